import fc from 'fast-check'
import { decodeQuantizedSync } from '../../src/decode/decode'
import { encodeTensorSync } from '../../src/encode/encode'
import {
  type NetLayer,
  netQuantized,
  netRecord,
  netRecordOf,
  netShared,
  netValues,
  parseNetLayers,
  readNet,
  writeNet,
} from '../../src/models/net'
import { netLayerNames, netLayersOfPrototxt } from '../../src/models/prototxt'

const code = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'no error'
}

const f32 = (...values: number[]) => [...new Uint8Array(Float32Array.from(values).buffer)]
const zeros = (count: number) => new Array<number>(count).fill(0)

/**
 * fc1, 2 x 24, codebook 0, 2, -1, 2 (unsorted, a value twice), 0 ...; 5 entries: position 0 code 1; 2 code 2; a filler to 18; 20 code 3;
 * 21 code 1. The other 26 weights are the tail. Bytes written by hand from the layout.
 */
const FC_LAYER: NetLayer = { name: 'fc1', shape: [2, 24] }
const FC_BLOCK = [
  ...f32(0, 2, -1, 2, ...zeros(12)),
  ...f32(0.5, -0.25),
  ...[0x21, 0x30, 0x01], // codes 1 2, 0 3, 1
  ...[0x10, 0x1f, 0x00], // gaps 0 1, 15 1, 0
]
/** conv1, 1 x 1 x 2 x 2: positions 1 and 3, slots 255 and 7. */
const CONV_LAYER: NetLayer = { name: 'conv1', shape: [1, 1, 2, 2] }
const CONV_BLOCK = [
  ...f32(...zeros(7), 3, ...zeros(247), -4),
  ...f32(1),
  ...[255, 7], // codes
  ...[0x11], // gaps 1, 1
]
const FILE = Uint8Array.from([2, 0, 0, 0, 5, 0, 0, 0, ...CONV_BLOCK, ...FC_BLOCK])
const LAYERS = [CONV_LAYER, FC_LAYER]
const FC_AT = 8 + CONV_BLOCK.length
const changed = (at: number, ...bytes: number[]) => {
  const copy = FILE.slice()
  copy.set(bytes, at)
  return copy
}

describe('Han et al.’s .net files', () => {
  test('1. a file written by hand reads as the layout says', () => {
    const [conv, fc1] = readNet(FILE, LAYERS)
    expect(conv!.bits).toBe(8)
    expect([...netValues(conv!)]).toEqual([0, -4, 0, 3])
    expect([...conv!.bias]).toEqual([1])
    expect([...fc1!.codes]).toEqual([1, 2, 0, 3, 1])
    expect([...fc1!.gaps]).toEqual([0, 1, 15, 1, 0])
    expect([...fc1!.bias]).toEqual([0.5, -0.25])
    expect([...netValues(fc1!)]).toEqual([2, 0, -1, ...zeros(17), 2, 2, ...zeros(26)])
  })

  test('2. what was read is written again byte for byte: order and repeats of the codebook, fillers and tails', () => {
    expect(writeNet(readNet(FILE, LAYERS))).toEqual(FILE)
  })

  test('3. as a quantized tensor the codebook is ascending, each value once, and zeros are pruned', () => {
    const { mask, codes, codebook, kept } = netQuantized(readNet(FILE, LAYERS)[1]!)
    expect([...codebook]).toEqual([-1, 2])
    expect([...mask!]).toEqual([1 | 4 | (1 << 20) | (1 << 21), 0])
    expect([...codes]).toEqual([1, 0, 1, 1])
    expect(kept).toBe(4)
  })

  test('4. every shorter file is ERR_DC_TRUNCATED, every longer one ERR_DC_TRAILING', () => {
    for (let length = 0; length < FILE.length; length++) {
      expect(code(() => readNet(FILE.subarray(0, length), LAYERS))).toBe('ERR_DC_TRUNCATED')
    }
    for (let more = 1; more <= 16; more++) {
      expect(code(() => readNet(Uint8Array.from([...FILE, ...zeros(more)]), LAYERS))).toBe('ERR_DC_TRAILING')
    }
  })

  test.each([
    ['more entries than weights', changed(0, 5), 'ERR_DC_INDEX'],
    ['the largest count', changed(0, 255, 255, 255, 255), 'ERR_DC_INDEX'],
    ['fewer entries', changed(4, 3), 'ERR_DC_TRAILING'],
    ['a gap past the end', changed(FC_AT - 1, 0x21), 'ERR_DC_INDEX'],
    ['slot 0 that is not 0', changed(FC_AT, ...f32(1)), 'ERR_DC_VALUE'],
    ['a codebook with NaN', changed(FC_AT + 4, ...f32(Number.NaN)), 'ERR_DC_NONFINITE'],
    ['a bias that is infinite', changed(FC_AT + 64, ...f32(Infinity)), 'ERR_DC_NONFINITE'],
    ['a code in the unused half', changed(FILE.length - 4, 0x11), 'ERR_DC_BITSTREAM'],
    ['a gap in the unused half', changed(FILE.length - 1, 0x10), 'ERR_DC_BITSTREAM'],
  ])('5. refused: %s', (_, bytes, expected) => {
    expect(code(() => readNet(bytes, LAYERS))).toBe(expected)
  })

  test('6. any weights of few values come back, and the file made of them is the same again', () => {
    const layer = fc.record({
      conv: fc.boolean(),
      outputs: fc.integer({ min: 1, max: 4 }),
      inputs: fc.integer({ min: 0, max: 90 }),
      palette: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 15 }),
      picks: fc.array(fc.tuple(fc.nat(360), fc.nat(14)), { maxLength: 60 }),
    })
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 4 }), (made) => {
        const layers = made.map(({ conv, outputs, inputs }, i) => ({
          name: `${conv ? 'conv' : 'ip'}${i}`,
          shape: [outputs, inputs],
        }))
        const weights = made.map(({ outputs, inputs, palette, picks }) => {
          const values = new Float32Array(outputs * inputs)
          for (const [at, which] of picks) {
            if (at < values.length) values[at] = palette[which % palette.length]! + 0 // no -0
          }
          return values
        })
        const bytes = writeNet(layers.map((l, i) => netRecord(l, weights[i]!)))
        const read = readNet(bytes, layers)
        expect(read.map(netValues)).toEqual(weights)
        expect(writeNet(read)).toEqual(bytes)
      }),
      { numRuns: 300 },
    )
  })

  test('7. any codebook order, codes and gaps are written again byte for byte', () => {
    const entry = fc.record({ gap: fc.nat(15), slot: fc.nat(255) })
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 80 }),
        fc.array(fc.constantFrom(-1, 0, 0.5, 2, 3), { minLength: 255, maxLength: 255 }),
        fc.boolean(),
        (entries, slots, wide) => {
          const bits = wide ? 8 : 4
          const codes = Uint8Array.from(entries, ({ slot }) => slot & (2 ** bits - 1))
          const gaps = Uint8Array.from(entries, ({ gap }) => gap)
          const reach = gaps.reduce((sum, gap) => sum + gap + 1, 0)
          const codebook = Float32Array.from([0, ...slots.slice(0, 2 ** bits - 1)])
          const layer: NetLayer = { name: 'x', shape: [1, reach + 40], bits }
          const record = { ...layer, bits: bits as 4 | 8, codes, gaps, codebook, bias: new Float32Array(1) }
          const bytes = writeNet([record])
          const read = readNet(bytes, [layer])
          expect(read).toEqual([record])
          expect(writeNet(read)).toEqual(bytes)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('8. what the layout cannot hold is refused with the name of the layer', () => {
    const distinct = (count: number) => Float32Array.from({ length: count }, (_, i) => i + 1)
    expect(netRecord({ name: 'fc', shape: [15] }, distinct(15)).codes.length).toBe(15)
    expect(() => netRecord({ name: 'fc', shape: [16] }, distinct(16))).toThrow(
      /layer "fc": more than 15 distinct values/,
    )
    expect(code(() => netRecord({ name: 'fc', shape: [16] }, distinct(16)))).toBe('ERR_DC_VALUE')
    expect(netRecord({ name: 'conv', shape: [255] }, distinct(255)).bits).toBe(8)
    expect(code(() => netRecord({ name: 'conv', shape: [256] }, distinct(256)))).toBe('ERR_DC_VALUE')
    expect(code(() => netRecord({ name: 'fc', shape: [2] }, Float32Array.of(1, Number.NaN)))).toBe('ERR_DC_NONFINITE')
    expect(code(() => netRecord({ name: 'fc', shape: [2] }, distinct(1)))).toBe('ERR_DC_ARG')
    expect(code(() => netRecord({ name: 'fc', shape: [2] }, distinct(2), distinct(3)))).toBe('ERR_DC_ARG')
    expect(code(() => netRecord({ name: 'fc', shape: [] }, distinct(1)))).toBe('ERR_DC_ARG')
    expect(
      code(() => writeNet([{ ...netRecord({ name: 'fc', shape: [2] }, distinct(2)), gaps: Uint8Array.of(0, 16) }])),
    ).toBe('ERR_DC_VALUE')
  })

  test('9. the layer list is strict', () => {
    const list = parseNetLayers(
      '{ "layers": [ { "name": "fc6", "shape": [4096, 9216] }, { "name": "f", "shape": [1], "bits": 8 } ] }',
    )
    expect(list).toEqual([
      { name: 'fc6', shape: [4096, 9216] },
      { name: 'f', shape: [1], bits: 8 },
    ])
    for (const text of [
      '[]',
      '{}',
      '{"layers":[{"name":"a"}]}',
      '{"layers":[],"x":1}',
      '{"layers":[{"name":"a","shape":[1],"y":1}]}',
    ]) {
      expect(code(() => parseNetLayers(text))).toBe('ERR_DC_STRUCTURE')
    }
    expect(code(() => parseNetLayers('{"layers":[{"name":"a","shape":[1],"bits":5}]}'))).toBe('ERR_DC_ARG')
    expect(code(() => readNet(FILE, [FC_LAYER, FC_LAYER]))).toBe('ERR_DC_ARG')
  })

  test('10. a prototxt names the layers that have weights', () => {
    const text = `name: "net" # a comment }
      input: "data" input_dim: 1
      layer { name: "conv1" type: "Convolution" bottom: "data" convolution_param { num_output: 96 weight_filler { type: "xavier" } } }
      layer { name: "relu_conv1" type: "ReLU" }
      layer { type: 'InnerProduct' inner_product_param { num_output: 10 } name: 'fc6' }
      layers { name: "ip1" type: INNER_PRODUCT }`
    expect(netLayerNames(text)).toEqual(['conv1', 'fc6', 'ip1'])
    expect(code(() => netLayerNames('layer { name: "a"'))).toBe('ERR_DC_STRUCTURE')
    expect(code(() => netLayerNames('}'))).toBe('ERR_DC_STRUCTURE')
  })

  test('11. as an archive keeps it: order and repeats of the codebook stay, and of the fillers only those that no rule gives', () => {
    const shared = netShared(readNet(FILE, LAYERS)[1]!)
    expect([...shared.codebook]).toEqual([2, -1, 2, ...zeros(12)])
    expect([...shared.codes]).toEqual([0, 1, 2, 0])
    expect([...shared.mask!]).toEqual([1 | 4 | (1 << 20) | (1 << 21), 0])
    // Gaps 0 and 2 with code 0, and a filler at the end: three entries of value 0 that are the file's own.
    const own = { ...readNet(FILE, LAYERS)[1]!, codes: Uint8Array.of(0, 0, 1, 0), gaps: Uint8Array.of(0, 2, 3, 15) }
    const kept = netShared(own)
    expect([...kept.codebook]).toEqual([0, 2, -1, 2, ...zeros(12)])
    expect([...kept.codes]).toEqual([0, 0, 1, 0])
    expect([...kept.mask!]).toEqual([1 | (1 << 3) | (1 << 7) | (1 << 23), 0])
    expect(netRecordOf(FC_LAYER, kept, own.bias)).toEqual(own)
  })

  test('12. any record comes out of an archive as it went in: order of the codebook, codes and gaps', () => {
    const entry = fc.record({ gap: fc.oneof(fc.nat(15), fc.constant(15)), slot: fc.oneof(fc.nat(255), fc.constant(0)) })
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 80 }),
        fc.array(fc.constantFrom(-1, 0, 0.5, 2, 3, 1e-30), { minLength: 255, maxLength: 255 }),
        fc.boolean(),
        fc.nat(40),
        (entries, slots, wide, tail) => {
          const bits: 4 | 8 = wide ? 8 : 4
          const codes = Uint8Array.from(entries, ({ slot }) => slot & (2 ** bits - 1))
          const gaps = Uint8Array.from(entries, ({ gap }) => gap)
          const reach = gaps.reduce((sum, gap) => sum + gap + 1, 0)
          const codebook = Float32Array.from([0, ...slots.slice(0, 2 ** bits - 1)])
          const layer: NetLayer = { name: 'x', shape: [1, reach + tail], bits }
          const record = { ...layer, bits, codes, gaps, codebook, bias: Float32Array.of(0.5) }
          const { descriptor, payload } = encodeTensorSync(netShared(record))
          const back = decodeQuantizedSync(descriptor, payload)
          expect(netRecordOf(layer, back, record.bias)).toEqual(record)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('13. what an archive cannot keep, or a .net file, is refused', () => {
    const record = readNet(FILE, LAYERS)[1]!
    for (const slot of [0, 5]) {
      const codebook = record.codebook.slice()
      codebook[slot] = -0
      expect(code(() => netShared({ ...record, codebook }))).toBe('ERR_DC_VALUE')
    }
    const shared = netShared(record)
    expect(code(() => netRecordOf(FC_LAYER, { ...shared, codebook: new Float32Array(16).fill(1) }))).toBe(
      'ERR_DC_VALUE',
    )
    expect(code(() => netRecordOf(FC_LAYER, { ...shared, codebook: new Float32Array(17) }))).toBe('ERR_DC_VALUE')
    expect(code(() => netRecordOf(FC_LAYER, { ...shared, kept: 5 }))).toBe('ERR_DC_ARG')
    expect(code(() => netRecordOf(FC_LAYER, shared, new Float32Array(3)))).toBe('ERR_DC_ARG')
  })

  test('14. shapes from a deploy prototxt: those of AlexNet, computed as Caffe does', () => {
    const conv = (name: string, from: string, outputs: number, rest: string) =>
      `layer { name: "${name}" type: "Convolution" bottom: "${from}" top: "${name}" convolution_param { num_output: ${outputs} ${rest} } }
       layer { name: "relu_${name}" type: "ReLU" bottom: "${name}" top: "${name}" }`
    const pool = (name: string, from: string) =>
      `layer { name: "${name}" type: "Pooling" bottom: "${from}" top: "${name}" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }`
    const fully = (name: string, from: string, outputs: number) =>
      `layer { name: "${name}" type: "InnerProduct" bottom: "${from}" top: "${name}" inner_product_param { num_output: ${outputs} } }`
    const body = [
      conv('conv1', 'data', 96, 'kernel_size: 11 stride: 4'),
      pool('pool1', 'conv1'),
      conv('conv2', 'pool1', 256, 'pad: 2 kernel_h: 5 kernel_w: 5 group: 2'),
      pool('pool2', 'conv2'),
      conv('conv3', 'pool2', 384, 'pad: 1 kernel_size: 3'),
      conv('conv4', 'conv3', 384, 'pad: 1 kernel_size: 3 group: 2'),
      conv('conv5', 'conv4', 256, 'pad: 1 kernel_size: 3 group: 2'),
      pool('pool5', 'conv5'),
      fully('fc6', 'pool5', 4096),
      fully('fc7', 'fc6', 4096),
      fully('fc8', 'fc7', 1000),
    ].join('\n')
    const expected = [
      { name: 'conv1', shape: [96, 3, 11, 11], bits: 8 },
      { name: 'conv2', shape: [256, 48, 5, 5], bits: 8 },
      { name: 'conv3', shape: [384, 256, 3, 3], bits: 8 },
      { name: 'conv4', shape: [384, 192, 3, 3], bits: 8 },
      { name: 'conv5', shape: [256, 192, 3, 3], bits: 8 },
      { name: 'fc6', shape: [4096, 9216], bits: 4 },
      { name: 'fc7', shape: [4096, 4096], bits: 4 },
      { name: 'fc8', shape: [1000, 4096], bits: 4 },
    ]
    const heads = [
      'input: "data" input_dim: 10 input_dim: 3 input_dim: 227 input_dim: 227',
      'input: "data" input_shape { dim: 10 dim: 3 dim: 227 dim: 227 }',
      'layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 10 dim: 3 dim: 227 dim: 227 } } }',
    ]
    for (const head of heads) expect(netLayersOfPrototxt(`name: "AlexNet"\n${head}\n${body}`)).toEqual(expected)
    expect(code(() => netLayersOfPrototxt(body))).toBe('ERR_DC_STRUCTURE')
  })

  test('15. shapes go through concatenation, padding of pools and global pools', () => {
    // Squeeze and expand as in SqueezeNet, whose convolutions have 8-bit codes whatever their name. 7 x 7, pool 2 stride 2 pad 1: 4 x 4.
    const text = `input: "x" input_shape { dim: 1 dim: 6 dim: 7 dim: 7 }
      layer { name: "p" type: "Pooling" bottom: "x" top: "p" pooling_param { kernel_size: 2 stride: 2 pad: 1 } }
      layer { name: "e1" type: "Convolution" bottom: "p" top: "e1" convolution_param { num_output: 5 kernel_size: 1 } }
      layer { name: "e3" type: "Convolution" bottom: "p" top: "e3" convolution_param { num_output: 7 kernel_size: 3 pad: 1 } }
      layer { name: "cat" type: "Concat" bottom: "e1" bottom: "e3" top: "cat" }
      layer { name: "drop" type: "Dropout" bottom: "cat" top: "cat" include { phase: TRAIN } }
      layer { name: "flat" type: "InnerProduct" bottom: "cat" top: "flat" inner_product_param { num_output: 2 } }
      layer { name: "all" type: "Pooling" bottom: "cat" top: "all" pooling_param { pool: AVE global_pooling: true } }
      layers { name: "last" type: INNER_PRODUCT bottom: "all" top: "last" inner_product_param { num_output: 3 } }`
    expect(netLayersOfPrototxt(text)).toEqual([
      { name: 'e1', shape: [5, 6, 1, 1], bits: 8 },
      { name: 'e3', shape: [7, 6, 3, 3], bits: 8 },
      { name: 'flat', shape: [2, 12 * 4 * 4], bits: 4 },
      { name: 'last', shape: [3, 12], bits: 4 },
    ])
    for (const wrong of [
      'layer { name: "a"',
      '}',
      'name:',
      text.replace('kernel_size: 1', 'kernel_size: one'),
      text.replace('kernel_size: 1', ''),
      text.replace('num_output: 5', ''),
      text.replace('num_output: 5', 'num_output: 5 group: 4'),
      text.replace('"Concat"', '"Unknown"'),
    ]) {
      expect([wrong, code(() => netLayersOfPrototxt(wrong))]).toEqual([wrong, 'ERR_DC_STRUCTURE'])
    }
  })
})
