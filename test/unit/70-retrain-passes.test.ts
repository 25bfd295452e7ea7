import fc from 'fast-check'
import { type Assignment, nativePasses, readAssignment, spreadCodes, sumByCode } from '../../src/retrain/clusters.js'
import { randomBelow } from '../../src/retrain/random.js'

/** `weights` of them with values in `clusters` codes; `eighths` of 8 are kept, 9: no mask. */
function assignmentOf(weights: number, clusters: number, eighths: number, seed: number): Assignment {
  const mask = eighths > 8 ? null : new Uint32Array(Math.ceil(weights / 32))
  let kept = mask ? 0 : weights
  for (let i = 0; mask && i < weights; i++) {
    if (randomBelow(8, seed, 1, i) >= eighths) continue
    mask[i >>> 5]! |= 1 << (i & 31)
    kept++
  }
  const codes = Uint8Array.from({ length: kept }, (_, i) => randomBelow(clusters, seed, 2, i))
  const codebook = new Float32Array(clusters)
  return readAssignment({ name: 'w', shape: [weights], mask, kept, codes, codebook }, [weights])
}

const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => (randomBelow(2 ** 24, seed, 3, i) / 2 ** 24 - 0.5) * 2 ** (i % 40))

/** Not by `toEqual`, which takes a second for a hundred thousand numbers. */
const sameBits = (a: ArrayBufferView, b: ArrayBufferView) =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

describe('the two passes over the weights of a centroid step', () => {
  test('by hand: sums by code of the kept weights, centroids at their places, +0 elsewhere', () => {
    const shared = {
      name: 'w',
      shape: [2, 3],
      mask: Uint32Array.of(0b101011),
      kept: 4,
      codes: Uint8Array.of(1, 0, 1, 1),
    }
    const assignment = readAssignment({ ...shared, codebook: Float32Array.of(-1, 2) }, [2, 3])
    for (const passes of [nativePasses()!, { sumByCode, spreadCodes }]) {
      expect([...passes.sumByCode(Float32Array.of(1, 2, 4, 8, 16, 32), assignment)]).toEqual([2, 41])
      expect([...passes.spreadCodes(Float32Array.of(-1, 2), assignment)]).toEqual([2, -1, 0, 2, 0, 2])
    }
  })

  test('a tensor that is pruned whole has no centroid to sum for, and zeros everywhere', () => {
    const shared = { name: 'w', shape: [4], mask: new Uint32Array(1), kept: 0, codes: new Uint8Array(0) }
    const assignment = readAssignment({ ...shared, codebook: new Float32Array(0) }, [4])
    for (const passes of [nativePasses()!, { sumByCode, spreadCodes }]) {
      expect([...passes.sumByCode(Float32Array.of(1, 2, 3, 4), assignment)]).toEqual([])
      expect([...passes.spreadCodes(new Float32Array(0), assignment)]).toEqual([0, 0, 0, 0])
    }
  })

  test('the addon and TypeScript give the same bits, in blocks of 65,536 codes as well', () => {
    const sizes = fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 131060, max: 131080 }) },
    )
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: 1, max: 256 }),
        fc.integer({ min: 0, max: 9 }),
        fc.nat(),
        (n, k, e, seed) => {
          const assignment = assignmentOf(n, k, e, seed)
          const native = nativePasses()!
          const gradient = noise(n, seed)
          expect(sameBits(native.sumByCode(gradient, assignment), sumByCode(gradient, assignment))).toBe(true)
          const codebook = noise(k, seed + 1)
          expect(sameBits(native.spreadCodes(codebook, assignment), spreadCodes(codebook, assignment))).toBe(true)
        },
      ),
      { numRuns: 30 },
    )
  })

  test('plain and shared arrays are summed without the addon', () => {
    const assignment = assignmentOf(100, 7, 9, 1)
    const gradient = noise(100, 1)
    const shared = new Float32Array(new SharedArrayBuffer(400))
    shared.set(gradient)
    for (const given of [[...gradient], shared]) {
      expect(nativePasses()!.sumByCode(given, assignment)).toEqual(sumByCode(gradient, assignment))
    }
  })
})
