import fc from 'fast-check'
import { squaredError } from '../../src/bench/kmeans'
import { generate } from '../../src/bench/workload'
import { assignSync, expandSync, kmeans1d, kmeans1dSync, sharedWeights, sharedWeightsSync } from '../../src/index'

const sorted = (values: Iterable<number>) => Float32Array.from(values).sort()

/** The textbook dynamic programme in float64, on at most a few dozen values. */
function optimum(values: Float32Array, k: number): number {
  const x = sorted(values)
  let best = new Array(x.length + 1).fill(Infinity)
  best[0] = 0
  for (let c = 0; c < Math.min(k, x.length); c++) {
    const next = best.slice()
    for (let i = 0; i < x.length; i++) {
      let mean = 0
      let cost = 0
      for (let j = i; j < x.length; j++) {
        const delta = x[j]! - mean
        mean += delta / (j - i + 1)
        cost += delta * (x[j]! - mean)
        next[j + 1] = Math.min(next[j + 1], best[i] + cost)
      }
    }
    best = next
  }
  return best[x.length]
}

describe('kmeans1d', () => {
  test('1. two pairs are two clusters, whatever the algorithm', async () => {
    for (const algorithm of ['histogram', 'optimal', 'lloyd', 'sampled', 'fit'] as const) {
      const result = await kmeans1d(Float32Array.of(11, 0, 1, 10), { clusters: 2, algorithm })
      expect(result.centroids).toEqual(Float32Array.of(0.5, 10.5))
      expect(result.counts).toEqual(Uint32Array.of(2, 2))
      expect(result.inertia).toBe(1)
      expect(result.used).toBe(2)
    }
  })

  test('2. fewer distinct values than clusters give exactly those values and no error', () => {
    const result = kmeans1dSync(Float32Array.of(2, 1, 2, 1, 2), { clusters: 16 })
    expect(result.centroids).toEqual(Float32Array.of(1, 2))
    expect(result.counts).toEqual(Uint32Array.of(2, 3))
    expect(result.inertia).toBe(0)
  })

  test('3. a mask and ignoreZeros leave weights out', () => {
    const values = Float32Array.of(5, 0, 7, 0, 100, 9)
    const mask = Uint32Array.of(0b101101)
    expect(kmeans1dSync(values, { clusters: 4, mask }).centroids).toEqual(Float32Array.of(0, 5, 7, 9))
    expect(kmeans1dSync(values, { clusters: 4, mask, ignoreZeros: true }).centroids).toEqual(Float32Array.of(5, 7, 9))
  })

  test('4. importance moves the centroid', () => {
    const weights = Float32Array.of(1, 0, 0, 3)
    expect(kmeans1dSync(Float32Array.of(1, 2, 3, 4), { clusters: 1, weights }).centroids).toEqual(Float32Array.of(3.25))
  })

  test('5. an outlier of 1e38 does not disturb the small ones', () => {
    const values = Float32Array.of(1e-38, 2e-38, 3e-38, 8e-38, 1e38)
    expect(kmeans1dSync(values, { clusters: 3, algorithm: 'optimal' }).centroids).toEqual(
      Float32Array.of(2e-38, 8e-38, 1e38),
    )
  })

  test('6. a NaN is refused with its index, wrong options are refused', () => {
    const thrown = (run: () => unknown) => {
      try {
        run()
      } catch (error) {
        return error as { code: string; offset?: number }
      }
      throw new Error('nothing was thrown')
    }
    const bad = Float32Array.of(1, 2, Number.NaN, Infinity)
    expect(thrown(() => kmeans1dSync(bad, { clusters: 2 }))).toMatchObject({ code: 'ERR_DC_NONFINITE', offset: 2 })
    const good = Float32Array.of(1, 2)
    expect(thrown(() => kmeans1dSync(good, { clusters: 0 })).code).toBe('ERR_DC_ARG')
    expect(thrown(() => kmeans1dSync(good, { clusters: 70000 })).code).toBe('ERR_DC_ARG')
    expect(thrown(() => kmeans1dSync(good, { clusters: 2, algorithm: 'magic' as 'lloyd' })).code).toBe('ERR_DC_ARG')
    expect(thrown(() => kmeans1dSync(good, { clusters: 2, weights: Float32Array.of(1) })).code).toBe('ERR_DC_ARG')
    expect(thrown(() => kmeans1dSync(good, { clusters: 2, mask: new Uint32Array(2) })).code).toBe('ERR_DC_ARG')
  })

  test('7. the optimum is the textbook optimum, and no other algorithm goes below it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -500, max: 500 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 8 }),
        (whole, clusters) => {
          const values = Float32Array.from(whole, (v) => v / 8)
          const best = optimum(values, clusters)
          const found = kmeans1dSync(values, { clusters, algorithm: 'optimal' }).inertia
          expect(found).toBeGreaterThanOrEqual(best * (1 - 1e-12) - 1e-12)
          expect(found).toBeLessThanOrEqual(best * (1 + 1e-6) + 1e-9)
          for (const algorithm of ['histogram', 'lloyd', 'sampled', 'fit'] as const) {
            expect(kmeans1dSync(values, { clusters, algorithm }).inertia).toBeGreaterThanOrEqual(best * (1 - 1e-12))
          }
        },
      ),
    )
  })

  test('8. the default is within 0.02 % of the optimum on Gaussian and heavy-tailed weights', () => {
    for (const shape of [2, 1.2]) {
      const values = generate({ count: 400_000, shape, deviation: 0.01, outliers: 1e-5, seed: 9 })
      const best = kmeans1dSync(values, { clusters: 64, algorithm: 'optimal' })
      const cells = kmeans1dSync(values, { clusters: 64 })
      expect(cells.inertia / best.inertia).toBeLessThan(1.0002)
      expect(Math.abs(squaredError(values, cells.centroids) / cells.inertia - 1)).toBeLessThan(1e-9)
    }
  })

  test('9. threads never change a result', () => {
    const values = generate({ count: 300_000, shape: 1.2, deviation: 0.01, outliers: 1e-4, seed: 3 })
    for (const algorithm of ['histogram', 'optimal', 'lloyd', 'sampled', 'fit'] as const) {
      const one = kmeans1dSync(values, { clusters: 32, algorithm }, { threads: 1 })
      for (const threads of [2, 4, 8])
        expect(kmeans1dSync(values, { clusters: 32, algorithm }, { threads })).toEqual(one)
    }
  })

  test('9b. histogram reports a bound on its gap to the optimum: never too small, and within half a per cent', () => {
    for (const shape of [1.2, 2]) {
      const values = generate({ count: 150_000, shape, deviation: 0.01, outliers: 1e-5, seed: 5 })
      const found = kmeans1dSync(values, { clusters: 64 })
      const best = kmeans1dSync(values, { clusters: 64, algorithm: 'optimal' })
      const smallest = best.inertia - best.gapBound!
      expect(found.inertia - found.gapBound!).toBeLessThanOrEqual(smallest * (1 + 1e-12))
      expect(found.gapBound!).toBeGreaterThanOrEqual(0)
      expect(found.gapBound!).toBeLessThan(0.005 * found.inertia)
    }
    // Few enough values are their own cells: the optimum itself, up to the rounding of the centroids.
    expect(kmeans1dSync(Float32Array.of(0, 1, 10, 11, 30), { clusters: 3 }).gapBound).toBeLessThan(1e-9)
    expect(kmeans1dSync(Float32Array.of(0, 1), { clusters: 2 }).gapBound).toBe(0)
  })

  test('9c. zero beside the least negative number goes to its own centroid, as assign says', () => {
    const tiny = Math.fround(1e-45)
    const values = Float32Array.of(-tiny, 0, tiny)
    const result = kmeans1dSync(values, { clusters: 2, algorithm: 'lloyd', init: Float32Array.of(-tiny, 0) })
    expect([...result.centroids]).toEqual([-tiny, 0])
    expect([...result.counts]).toEqual([1, 2])
    expect([...assignSync(values, result.centroids)]).toEqual([0, 1, 1])
  })
})

describe('sharedWeights', () => {
  test('10. codes and centroids give back the nearest values', async () => {
    const values = generate({ count: 20_000, shape: 2, deviation: 1, outliers: 0, seed: 4 })
    const shared = await sharedWeights(values, { clusters: 16 })
    const back = expandSync(shared.codes, shared.centroids)
    let error = 0
    for (let i = 0; i < values.length; i++) error += (values[i]! - back[i]!) ** 2
    expect(Math.abs(error / shared.inertia - 1)).toBeLessThan(1e-9)
  })

  test('11. with a mask there is a code a kept weight; nothing kept gives nothing', async () => {
    const values = Float32Array.of(1, 7, 2, 9)
    const shared = await sharedWeights(values, { clusters: 4, mask: Uint32Array.of(0b1101) })
    expect(shared.centroids).toEqual(Float32Array.of(1, 2, 9))
    expect(shared.codes).toEqual(Uint8Array.of(0, 1, 2))
    expect((await sharedWeights(values, { clusters: 4, mask: Uint32Array.of(0) })).codes).toEqual(new Uint8Array(0))
  })

  test('12. the synchronous twin answers the same', async () => {
    const values = generate({ count: 5000, shape: 2, deviation: 1, outliers: 0, seed: 6 })
    const mask = Uint32Array.from({ length: Math.ceil(values.length / 32) }, (_, w) => Math.imul(w + 1, 0x9e3779b1))
    for (const options of [{ clusters: 16 }, { clusters: 300 }, { clusters: 16, mask }]) {
      expect(sharedWeightsSync(values, options)).toEqual(await sharedWeights(values, options))
    }
  })

  test('13. it answers what kmeans1d and assign answer, and reports both as stages', async () => {
    const values = generate({ count: 70_000, shape: 2, deviation: 1, outliers: 0, seed: 7 })
    for (let i = 0; i < values.length; i += 3) values[i] = 0
    const mask = Uint32Array.from({ length: Math.ceil(values.length / 32) }, (_, w) => Math.imul(w + 1, 0x9e3779b1))
    const few = { clusters: 300, mask: Uint32Array.from(mask, (_, w) => (w < 4 ? 1 : 0)) }
    for (const options of [
      { clusters: 16, mask },
      { clusters: 300, mask },
      few,
      { clusters: 8, ignoreZeros: true, mask },
    ]) {
      const stages = new Set<string>()
      const { codes, ...means } = await sharedWeights(values, options, {
        onProgress: ({ stage, done, total }) => void (done === total && stages.add(stage)),
      })
      expect(means).toEqual(kmeans1dSync(values, options))
      expect(codes).toEqual(assignSync(values, means.centroids, { mask: options.mask }))
      expect([...stages]).toEqual(['kmeans1d', 'assign'])
    }
  })
})
