import fc from 'fast-check'
import {
  type NetLayer,
  netLayerNames,
  netQuantized,
  netRecord,
  netValues,
  parseNetLayers,
  readNet,
  writeNet,
} from '../../src/models/net'

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
})
