import fc from 'fast-check'
import { parseArchive, sectionBytes } from '../../src/container/reader'
import { ArchiveWriter } from '../../src/container/writer'
import {
  decodeQuantizedSync,
  decodeTensor,
  decodeTensorPlain,
  decodeTensorSync,
  verifyArchive,
} from '../../src/decode/decode'
import { decodePlain } from '../../src/decode/plain/payload'
import { type EncodeOptions, encodeTensor, encodeTensorSync } from '../../src/encode/encode'
import type { QuantizedTensor } from '../../src/tensor'

function quantized(shape: number[], density: number, clusters: number, seed: number): QuantizedTensor {
  let state = seed * 2654435761 + 1
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const elements = shape.reduce((a, b) => a * b, 1)
  const mask = new Uint32Array(Math.ceil(elements / 32))
  const codes: number[] = []
  for (let i = 0; i < elements; i++) {
    if (random() >= density) continue
    mask[i >>> 5]! |= 1 << (i & 31)
    codes.push(Math.floor(random() * random() * clusters))
  }
  const codebook = Float32Array.from({ length: clusters }, (_, i) => (i - clusters / 3) * 0.0137)
  const kept = codes.length
  return { name: 'w', shape, mask: kept < elements ? mask : null, kept, codes: Uint8Array.from(codes), codebook }
}

function dense(t: QuantizedTensor): Float32Array {
  const elements = t.shape.reduce((a, b) => a * b, 1)
  let next = 0
  return Float32Array.from({ length: elements }, (_, i) =>
    t.mask === null || (t.mask[i >>> 5]! >>> (i & 31)) & 1 ? t.codebook[t.codes[next++]!]! : 0,
  )
}

/** Byte equality; jest's own comparison takes seconds for a megabyte. */
function expectSame(got: ArrayBufferView, expected: ArrayBufferView): void {
  expect(got.constructor).toBe(expected.constructor)
  const bytes = (v: ArrayBufferView) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)
  expect(bytes(got).equals(bytes(expected))).toBe(true)
}

const LAYOUTS = ['auto', 'dense', 'sparse', 'relative', 'context'] as const
const ENTROPIES = ['auto', 'none', 'huffman', 'rans'] as const

describe('decode', () => {
  test('1. every layout and entropy coder gives back mask, codes and codebook', () => {
    for (const layout of LAYOUTS) {
      for (const entropy of ENTROPIES) {
        for (const [shape, density, clusters] of [
          [[300, 784], 0.08, 32],
          [[66000], 0.9, 200],
          [[5], 0.5, 2],
          [[64, 64], 1, 16],
          [[300, 1000], 0.001, 1],
          [[70001], 0.7, 254],
        ] as const) {
          const tensor = quantized([...shape], density, clusters, 7)
          const { descriptor, payload } = encodeTensorSync(tensor, { layout, entropy })
          const back = decodeQuantizedSync(descriptor, payload)
          if (descriptor.layout === 'zero') continue
          expect(back.mask === null).toBe(tensor.mask === null)
          if (back.mask && tensor.mask) expectSame(back.mask, tensor.mask)
          expectSame(back.codes, tensor.codes)
          expect(back.codebook).toEqual(tensor.codebook)
          expectSame(decodeTensorSync(descriptor, payload), dense(tensor))
        }
      }
    }
  })

  test('2. index bits 2 to 8 give back the tensor in sparse and relative layouts', () => {
    const tensor = quantized([128, 1000], 0.03, 16, 3)
    for (const layout of ['sparse', 'relative'] as const) {
      for (let indexBits = 2; indexBits <= 8; indexBits++) {
        const { descriptor, payload } = encodeTensorSync(tensor, { layout, indexBits })
        expectSame(decodeTensorSync(descriptor, payload), dense(tensor))
        if (layout === 'relative') expect(descriptor.indexBits).toBe(indexBits)
        else expect(descriptor.escape).toBe(2 ** indexBits - 1)
      }
    }
  })

  test('3. a range of elements is what the whole has there', async () => {
    const tensor = quantized([1000, 300], 0.2, 32, 5)
    const whole = dense(tensor)
    for (const layout of ['dense', 'sparse', 'relative', 'context'] as const) {
      const { descriptor, payload } = await encodeTensor(tensor, { layout })
      for (const [first, count] of [
        [0, 1],
        [65535, 2],
        [1000, 200000],
        [299999, 1],
        [65536, 65536],
        [7, 0],
      ] as const) {
        const part = await decodeTensor(descriptor, payload, { range: { first, count } })
        expectSame(part, whole.slice(first, first + count))
      }
    }
  })

  test('4. floats that are not quantized come back bit by bit', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 2000 }), (values) => {
        const { descriptor, payload } = encodeTensorSync({ name: 'b', shape: [values.length], values })
        const back = decodeTensorSync(descriptor, payload)
        expect(new Uint32Array(back.buffer)).toEqual(new Uint32Array(values.slice().buffer))
        expect(payload.length).toBeLessThanOrEqual(4 * values.length)
      }),
      { numRuns: 300 },
    )
  })

  test('5. tensors without elements, of rank 0, with nothing kept and with one cluster round-trip', () => {
    const empty = encodeTensorSync({ name: 'e', shape: [3, 0, 5], values: new Float32Array(0) })
    expect(empty.descriptor.layout).toBe('zero')
    expect(decodeTensorSync(empty.descriptor, empty.payload)).toEqual(new Float32Array(0))
    const scalar = encodeTensorSync({ name: 's', shape: [], values: Float32Array.of(-2.5) })
    expect(decodeTensorSync(scalar.descriptor, scalar.payload)).toEqual(Float32Array.of(-2.5))
    const pruned = encodeTensorSync({
      name: 'p',
      shape: [33],
      mask: new Uint32Array(2),
      kept: 0,
      codes: new Uint8Array(0),
      codebook: new Float32Array(0),
    })
    expect(pruned.payload.length).toBe(0)
    expect(decodeTensorSync(pruned.descriptor, pruned.payload)).toEqual(new Float32Array(33))
    const one = quantized([100, 100], 1, 1, 1)
    const constant = encodeTensorSync(one)
    expect(constant.payload.length).toBeLessThan(10)
    expectSame(decodeTensorSync(constant.descriptor, constant.payload), dense(one))
  })

  test('6. an unsorted codebook with repeats keeps its order', () => {
    const tensor: QuantizedTensor = {
      name: 'n',
      shape: [6],
      mask: Uint32Array.of(0b101101),
      kept: 4,
      codes: Uint8Array.of(2, 0, 1, 3),
      codebook: Float32Array.of(0.5, -0.25, 0.5, 0.1),
    }
    const { descriptor, payload } = encodeTensorSync(tensor)
    expect(descriptor.sourceOrder).toBe(true)
    expect(decodeQuantizedSync(descriptor, payload)).toEqual(tensor)
  })

  test('7. any small quantized tensor round-trips in any layout', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 255 }),
        fc.integer(),
        fc.constantFrom(...LAYOUTS),
        fc.constantFrom(...ENTROPIES),
        (n, density, clusters, seed, layout, entropy) => {
          const tensor = quantized([n], density, clusters, seed)
          const options: EncodeOptions = { layout, entropy }
          const { descriptor, payload } = encodeTensorSync(tensor, options)
          expectSame(decodeTensorSync(descriptor, payload), dense(tensor))
          expect(payload.length).toBe(descriptor.storedBytes)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('8. a file of several tensors is written, parsed, verified and decoded', async () => {
    const writer = new ArchiveWriter()
    const tensors = [
      quantized([300, 784], 0.08, 32, 1),
      quantized([100, 300], 0.09, 32, 2),
      quantized([10, 100], 0.26, 16, 3),
    ]
    const biases = [300, 100, 10].map((n, i) => ({
      name: `fc${i + 1}/bias`,
      shape: [n],
      values: Float32Array.from({ length: n }, (_, j) => Math.sin(i + j)),
    }))
    for (const [i, tensor] of tensors.entries())
      writer.add(await encodeTensor({ ...tensor, name: `fc${i + 1}/kernel` }))
    for (const bias of biases) writer.add(await encodeTensor(bias))
    writer.setMetadata('net', 'lenet-300-100')
    const file = writer.toBytes()
    const archive = parseArchive(file)
    expect([...archive.tensors.keys()]).toEqual([
      'fc1/bias',
      'fc1/kernel',
      'fc2/bias',
      'fc2/kernel',
      'fc3/bias',
      'fc3/kernel',
    ])
    expect(archive.metadata).toEqual(new Map([['net', 'lenet-300-100']]))
    const payloads = archive.sections.reduce((sum, s) => sum + s.storedBytes, 0)
    expect(file.length - payloads).toBeLessThan(450)
    await verifyArchive(archive, { length: file.length, read: async (at, n) => file.slice(at, at + n) })
    for (const [i, tensor] of tensors.entries()) {
      const found = archive.tensors.get(`fc${i + 1}/kernel`)!
      expectSame(await decodeTensor(found, sectionBytes(archive, found.section!, file)), dense(tensor))
    }
    for (const bias of biases) {
      const found = archive.tensors.get(bias.name)!
      expectSame(await decodeTensor(found, sectionBytes(archive, found.section!, file)), bias.values)
    }
  })

  test('9. bytes are the same for 1, 2, 4 and 8 threads', () => {
    const tensor = quantized([2000, 1000], 0.1, 64, 9)
    for (const layout of ['dense', 'sparse', 'relative'] as const) {
      const one = encodeTensorSync(tensor, { layout }, { threads: 1 })
      for (const threads of [2, 4, 8]) {
        expectSame(encodeTensorSync(tensor, { layout }, { threads }).payload, one.payload)
      }
    }
  })

  test('10. more decoded bytes than the limit are refused before anything is decoded', async () => {
    const { descriptor, payload } = encodeTensorSync(quantized([1000], 0.5, 4, 1))
    await expect(decodeTensor(descriptor, payload, { limits: { maxDecodedBytes: 3999 } })).rejects.toMatchObject({
      code: 'ERR_DC_LIMIT',
      limit: 'maxDecodedBytes',
      declared: 4000,
      allowed: 3999,
    })
  })

  test('11. values are written into the array that is passed as out', async () => {
    const tensor = quantized([1000], 0.5, 4, 1)
    for (const layout of ['dense', 'sparse', 'relative'] as const) {
      const { descriptor, payload } = encodeTensorSync(tensor, { layout })
      const out = new Float32Array(1000).fill(7) // nothing of what it held may be left
      expect(await decodeTensor(descriptor, payload, { out })).toBe(out)
      expectSame(out, dense(tensor))
    }
    const zeros = encodeTensorSync(quantized([1000], 0, 4, 1))
    expect(zeros.descriptor.layout).toBe('zero')
    const out = new Float32Array(1000).fill(7)
    expectSame(await decodeTensor(zeros.descriptor, zeros.payload, { out }), new Float32Array(1000))
    const { descriptor, payload } = encodeTensorSync(tensor)
    await expect(decodeTensor(descriptor, payload, { out: new Float32Array(999) })).rejects.toMatchObject({
      code: 'ERR_DC_ARG',
    })
  })

  test('12. NaN and infinities are refused with their index, and kept where they are allowed', () => {
    const values = Float32Array.of(1, 2, Number.NaN, Infinity)
    expect(() => encodeTensorSync({ name: 'w', shape: [4], values })).toThrow(
      expect.objectContaining({ code: 'ERR_DC_NONFINITE', offset: 2 }),
    )
    const { descriptor, payload } = encodeTensorSync({ name: 'w', shape: [4], values }, { allowNonFinite: true })
    expect(() => decodeTensorSync(descriptor, payload)).toThrow(expect.objectContaining({ code: 'ERR_DC_VALUE' }))
    expect(decodeTensorSync(descriptor, payload, { allowNonFinite: true })).toEqual(values)
  })

  test('13. an aborted decode rejects with ERR_DC_ABORTED', async () => {
    const { descriptor, payload } = encodeTensorSync(quantized([1000], 0.5, 4, 1))
    await expect(decodeTensor(descriptor, payload, {}, { signal: AbortSignal.abort('why') })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
      cause: 'why',
    })
  })

  test('14. unknown options, wrong lengths and wrong kinds are refused before any work', () => {
    const tensor = quantized([100], 0.5, 4, 1)
    const arg = expect.objectContaining({ code: 'ERR_DC_ARG' })
    const type = expect.objectContaining({ code: 'ERR_DC_TYPE' })
    expect(() => encodeTensorSync(tensor, { layot: 'dense' } as never)).toThrow(arg)
    expect(() => encodeTensorSync(tensor, { indexBits: 9 })).toThrow(arg)
    expect(() => encodeTensorSync(tensor, { layout: 'csr' as never })).toThrow(arg)
    expect(() => encodeTensorSync({ ...tensor, shape: [200] })).toThrow(arg)
    expect(() => encodeTensorSync({ ...tensor, shape: [-1] })).toThrow(arg)
    expect(() => encodeTensorSync({ ...tensor, codes: tensor.codes.subarray(1) })).toThrow(arg)
    expect(() => encodeTensorSync({ ...tensor, codes: [] as never })).toThrow(type)
    expect(() => encodeTensorSync({ name: 'w', shape: [2], values: new Float64Array(2) as never })).toThrow(type)
    const { descriptor, payload } = encodeTensorSync(tensor)
    expect(() => decodeTensorSync(descriptor, payload.subarray(1))).toThrow(arg)
    expect(() => decodeTensorSync(descriptor, payload, { rang: 1 } as never)).toThrow(arg)
    expect(() => decodeTensorSync(descriptor, payload, { range: { first: 99, count: 2 } })).toThrow(arg)
  })

  test('15. a payload whose second chunk is damaged: both decoders name the byte where that chunk begins', () => {
    // 16 MiB are a chunk; bits of which no byte plane is smaller, NaNs among them.
    const bits = new Uint32Array(2 ** 22 + 1)
    for (let i = 0; i < bits.length; i++) bits[i] = Math.imul(i, 2654435761)
    const values = new Float32Array(bits.buffer)
    const any = { allowNonFinite: true }
    const writer = new ArchiveWriter()
    writer.add(encodeTensorSync({ name: 'w', shape: [values.length], values }, any))
    const file = writer.toBytes()
    const tensor = parseArchive(file).tensors.get('w')!
    expect([tensor.rawForm, tensor.section!.checksums.length]).toEqual(['stored', 2])
    const payload = file.slice(tensor.section!.offset, tensor.section!.offset + tensor.storedBytes)
    for (const decode of [decodeTensorSync, decodeTensorPlain]) expectSame(decode(tensor, payload, any), values)
    payload[payload.length - 1]! ^= 1
    for (const decode of [decodeTensorSync, decodeTensorPlain]) {
      expect(() => decode(tensor, payload, any)).toThrow(
        expect.objectContaining({ code: 'ERR_DC_CHECKSUM', offset: 2 ** 24 }),
      )
    }
    const unchecked = decodeTensorPlain(tensor, payload, { ...any, checksums: false })
    expect(new Uint8Array(unchecked.buffer).at(-1)).toBe(payload.at(-1))
  })

  test('16. index bits are for gaps and coders for blocks: what has none is the same with any', () => {
    const tensor = quantized([60, 50], 0.2, 8, 15)
    for (const [layout, options] of [
      ['dense', { indexBits: 5 }],
      ['context', { indexBits: 5 }],
      ['context', { entropy: 'rans' }],
    ] as const) {
      const { descriptor, payload } = encodeTensorSync(tensor, { layout, ...options })
      expect(descriptor.layout).toBe(layout)
      expectSame(payload, encodeTensorSync(tensor, { layout }).payload)
    }
  })

  test('17. layout context is decoded in pieces of 4,096 positions, and left where its bytes end', () => {
    const tensor = quantized([100, 100], 0.3, 16, 16)
    const { descriptor, payload } = encodeTensorSync(tensor, { layout: 'context' })
    const out = new Float32Array(10000)
    expect([...decodePlain(descriptor, payload, 0, out, false)]).toHaveLength(6) // three of the mask, three of the codes
    expectSame(out, dense(tensor))
    const cut = { ...descriptor, codeBytes: 6, storedBytes: descriptor.storedBytes - descriptor.codeBytes + 6 }
    let steps = 0
    const run = () => {
      for (const _ of decodePlain(cut, payload.subarray(0, cut.storedBytes), 0, out, false)) steps++
    }
    expect(run).toThrow(expect.objectContaining({ code: 'ERR_DC_BITSTREAM' }))
    expect(steps).toBe(3)
  })

  test('18. a tensor that layout context would make too small for its bits is refused, and auto leaves it', () => {
    const same = { ...quantized([30000], 1, 256, 17), codes: new Uint8Array(30000).fill(9) }
    const refused = (message: RegExp) =>
      expect.objectContaining({ code: 'ERR_DC_ARG', message: expect.stringMatching(message) })
    expect(() => encodeTensorSync(same, { layout: 'context' })).toThrow(refused(/DCZ-38/))
    const large = { ...same, shape: [2 ** 20 + 1], codes: new Uint8Array(2 ** 20 + 1) }
    expect(() => encodeTensorSync(large, { layout: 'context' })).toThrow(refused(/at most 1048576/))
    expect(encodeTensorSync(same).descriptor.layout).toBe('dense')
  })
})
