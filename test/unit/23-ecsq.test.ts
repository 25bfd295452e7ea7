import fc from 'fast-check'
import { generate } from '../../src/bench/workload'
import { ecsq, ecsqSync } from '../../src/quantize/ecsq'
import { kmeans1dSync } from '../../src/quantize/kmeans'

function entropy(counts: ArrayLike<number>): number {
  const all = Array.from(counts).reduce((a, b) => a + b, 0)
  return Array.from(counts).reduce((bits, c) => (c > 0 ? bits + (c / all) * Math.log2(all / c) : bits), 0)
}

/** What a result says of itself, counted again from its codes. */
function check(values: Float32Array, result: ReturnType<typeof ecsqSync>) {
  const { centroids, codes, counts } = result
  const again = new Uint32Array(centroids.length)
  let error = 0
  codes.forEach((code, i) => {
    again[code]!++
    error += (values[i]! - centroids[code]!) ** 2
  })
  expect([...again]).toEqual([...counts])
  expect(counts.every((count) => count > 0)).toBe(true)
  for (let i = 1; i < centroids.length; i++) expect(centroids[i]!).toBeGreaterThan(centroids[i - 1]!)
  // The addon adds up per cell: rounded in proportion to the values, not to the error.
  const scale = values.reduce((sum, x) => sum + x * x, 0)
  expect(Math.abs(result.squaredError - error)).toBeLessThanOrEqual(1e-9 * error + 1e-12 * scale)
  expect(result.entropyBits).toBeCloseTo(entropy(counts), 9)
}

describe('entropy-constrained quantization', () => {
  const laplace = generate({ count: 100_000, shape: 1, deviation: 0.01, outliers: 1e-4, seed: 5 })

  test('1. a budget is kept, with fewer bits than k-means of the same error', () => {
    const means = kmeans1dSync(laplace, { clusters: 32 })
    const result = ecsqSync(laplace, { squaredError: means.inertia })
    check(laplace, result)
    expect(result.squaredError).toBeLessThanOrEqual(means.inertia)
    expect(result.squaredError).toBeGreaterThan(0.95 * means.inertia)
    expect(result.entropyBits).toBeLessThan(0.95 * entropy(means.counts))
  })

  test('2. error + lambda * bits is not above that of k-means with any number of clusters', () => {
    const lambda = 1e-6
    const cost = (error: number, counts: ArrayLike<number>) =>
      error + lambda * (laplace.length * entropy(counts) + 32 * counts.length)
    const result = ecsqSync(laplace, { lambda })
    check(laplace, result)
    for (const clusters of [2, 4, 8, 16, 32, 64, 128, 256]) {
      const { inertia, counts } = kmeans1dSync(laplace, { clusters })
      expect(cost(result.squaredError, result.counts)).toBeLessThanOrEqual(cost(inertia, counts))
    }
  })

  test('3. any small input, any limit, any lambda: what the result says is true', () => {
    const value = fc.float({ min: -1000, max: 1000, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 200 }),
        fc.integer({ min: 1, max: 256 }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (list, clusters, lambda) => {
          const values = Float32Array.from(list)
          const result = ecsqSync(values, { clusters, lambda })
          expect(result.centroids.length).toBeLessThanOrEqual(clusters)
          check(values, result)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('4. zero stays apart from the negative numbers next to it', () => {
    for (const negative of [-1, -1e-30, -1e-45]) {
      const values = Float32Array.of(negative, negative, 0, 0, 0, -0)
      const result = ecsqSync(values, { clusters: 2, lambda: 0 })
      check(values, result)
      expect([...result.codes]).toEqual([0, 0, 1, 1, 1, 1])
      expect([...result.centroids]).toEqual([Math.fround(negative), 0])
    }
  })

  test('5. a mask leaves values out; threads do not change a bit', async () => {
    const mask = new Uint32Array(Math.ceil(laplace.length / 32)).fill(0x0f0f0f0f)
    const kept = laplace.filter((_, i) => (i & 4) === 0)
    const one = await ecsq(laplace, { mask, lambda: 1e-7 }, { threads: 1 })
    const two = await ecsq(laplace, { mask, lambda: 1e-7 }, { threads: 4 })
    expect(two).toEqual(one)
    check(kept, one)
    expect(ecsqSync(kept, { lambda: 1e-7 })).toEqual(one)
  })

  test.each([
    ['neither lambda nor a budget', {}, 'ERR_DC_ARG'],
    ['both', { lambda: 1, squaredError: 1 }, 'ERR_DC_ARG'],
    ['a negative lambda', { lambda: -1 }, 'ERR_DC_ARG'],
    ['257 clusters', { lambda: 0, clusters: 257 }, 'ERR_DC_ARG'],
    ['a budget that one cluster cannot keep', { squaredError: 1e-9, clusters: 1 }, 'ERR_DC_ARG'],
    ['a mask of another length', { lambda: 0, mask: new Uint32Array(1) }, 'ERR_DC_ARG'],
  ])('6. refused: %s', (_, options, code) => {
    expect(() => ecsqSync(laplace, options)).toThrow(expect.objectContaining({ code }))
  })

  test('7. NaN is refused with its place', () => {
    expect(() => ecsqSync(Float32Array.of(1, Number.NaN), { lambda: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_DC_NONFINITE', offset: 1 }),
    )
  })
})
