import fc from 'fast-check'
import type { TensorDescriptor } from '../../src/container/layout'
import { parseArchive, sectionBytes } from '../../src/container/reader'
import { decodeTensorPlain, decodeTensorSync } from '../../src/decode/decode'
import { encodeTensorSync } from '../../src/encode/encode'
import { golden } from '../support/dcz'

/** The native decoder against the TypeScript one, which was written from the specification: same values, same error codes. */

function outcome(decode: () => Float32Array): string {
  try {
    const values = decode()
    return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')
  } catch (error) {
    return (error as { code: string }).code
  }
}

function both(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  range?: { first: number; count: number },
): [string, string] {
  const options = { checksums: false, ...(range ? { range } : {}) }
  return [
    outcome(() => decodeTensorSync(tensor, payload, options)),
    outcome(() => decodeTensorPlain(tensor, payload, options)),
  ]
}

const SMALL = [
  'substitution-4096.dcz',
  'sparse-huffman.dcz',
  'sparse-rans.dcz',
  'sparse-raw-codes.dcz',
  'relative.dcz',
  'dense-all-kept.dcz',
  'source-order.dcz',
  'half-codebook.dcz',
  'planes.dcz',
  'context.dcz',
  'context-all-kept.dcz',
]

describe('native and TypeScript decoders', () => {
  test.each([
    ...SMALL,
    'sparse-two-blocks.dcz',
    'relative-two-blocks.dcz',
    'dense-two-blocks.dcz',
    'planes-two-blocks.dcz',
  ])('1. agree on the values of %s, whole and in ranges', (name) => {
    const file = golden(name)
    const archive = parseArchive(file)
    for (const tensor of archive.tensors.values()) {
      if (!tensor.section) continue
      const payload = sectionBytes(archive, tensor.section, file)
      for (const range of [
        undefined,
        { first: 0, count: 1 },
        { first: tensor.elements - 1, count: 1 },
        { first: Math.floor(tensor.elements / 3), count: Math.floor(tensor.elements / 2) },
      ]) {
        const [native, plain] = both(tensor, payload, range)
        expect(native).not.toMatch(/^ERR/)
        expect(plain).toBe(native)
      }
    }
  })

  test.each(SMALL)('2. agree on damaged payloads of %s, checksums not looked at', (name) => {
    const file = golden(name)
    const archive = parseArchive(file)
    const seen = new Map<string, number>()
    for (const tensor of archive.tensors.values()) {
      if (!tensor.section) continue
      const payload = sectionBytes(archive, tensor.section, file).slice()
      // Codebook, models and directory bit by bit, then a sample of the streams.
      const stride = Math.ceil(payload.length / 150)
      for (let at = 0; at < payload.length; at += at < 60 ? 1 : stride) {
        for (const flip of at < 60 ? [1, 2, 4, 8, 16, 32, 64, 128, 255] : [1 << (at % 8)]) {
          payload[at]! ^= flip
          const [native, plain] = both(tensor, payload)
          if (plain !== native)
            throw new Error(`${tensor.name} byte ${at} ^ ${flip}: ${native.slice(0, 20)} / ${plain.slice(0, 20)}`)
          const kind = native.startsWith('ERR') ? native : 'values'
          seen.set(kind, (seen.get(kind) ?? 0) + 1)
          payload[at]! ^= flip
        }
      }
    }
    expect([...seen.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(100)
    expect([...seen.keys()].some((kind) => kind.startsWith('ERR'))).toBe(true)
  })

  test('3. agree on random tensors in every layout and coder', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 255 }),
        fc.integer({ min: 1, max: 1 << 30 }),
        fc.integer({ min: 1, max: 80 }),
        fc.constantFrom('auto', 'dense', 'sparse', 'relative', 'context' as const),
        fc.constantFrom('auto', 'none', 'huffman', 'rans' as const),
        (rows, density, clusters, seed, columns, layout, entropy) => {
          const n = rows * columns
          let state = seed
          const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
          const mask = new Uint32Array(Math.ceil(n / 32))
          const codes: number[] = []
          for (let i = 0; i < n; i++) {
            if (random() >= density) continue
            mask[i >>> 5]! |= 1 << (i & 31)
            codes.push(Math.floor(random() * random() * clusters))
          }
          const codebook = Float32Array.from({ length: clusters }, (_, i) => (i - 7) * 0.125)
          const tensor = {
            name: 'w',
            shape: [rows, columns],
            mask,
            kept: codes.length,
            codes: Uint8Array.from(codes),
            codebook,
          }
          const { descriptor, payload } = encodeTensorSync(tensor, { layout, entropy } as never)
          const [native, plain] = both(descriptor, payload)
          expect(native).not.toMatch(/^ERR/)
          expect(plain).toBe(native)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('4. agree on a layer with many lanes', () => {
    const n = 300000
    const mask = new Uint32Array(Math.ceil(n / 32)).fill(0x5bd1e995)
    mask[mask.length - 1]! &= (1 << (n % 32)) - 1
    let kept = 0
    for (let i = 0; i < n; i++) kept += (mask[i >>> 5]! >>> (i & 31)) & 1
    const codes = Uint8Array.from({ length: kept }, (_, i) => Math.clz32(Math.imul(i, 2654435761)))
    const codebook = Float32Array.from({ length: 33 }, (_, i) => i - 16.1)
    for (const layout of ['dense', 'sparse', 'relative'] as const) {
      for (const entropy of ['huffman', 'rans'] as const) {
        const { descriptor, payload } = encodeTensorSync(
          { name: 'w', shape: [n], mask, kept, codes, codebook },
          { layout, entropy },
        )
        const [native, plain] = both(descriptor, payload)
        expect(native).not.toMatch(/^ERR/)
        expect(plain === native).toBe(true)
      }
    }
  })
})
