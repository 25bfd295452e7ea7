import { kmeans1d, kmeans1dGroups, kmeans1dGroupsSync, kmeans1dSync } from '../../src/index'

describe('kmeans1dGroups', () => {
  test('1. each group has its own centroids; a short last group counts as one', async () => {
    const values = Float32Array.of(0, 1, 10, 11, 5, 5, 5, 5, 100, 200)
    const result = await kmeans1dGroups(values, { clusters: 2, groupSize: 4 })
    expect(result.groups).toBe(3)
    expect(result.centroids).toEqual(Float32Array.of(0.5, 10.5, 5, 0, 100, 200))
    expect(result.counts).toEqual(Uint32Array.of(2, 2, 4, 0, 1, 1))
    expect(result.used).toEqual(Uint32Array.of(2, 1, 2))
    expect(result.inertia).toEqual(Float64Array.of(1, 0, 0))
  })

  test('2. groups of thousands come within 0.1 % of the optimum of each, on any number of threads', async () => {
    const values = new Float32Array(3 * 5000)
    for (let i = 0; i < values.length; i++)
      values[i] = Math.sin(i * 1.7) ** 3 * (1 + Math.floor(i / 5000)) + 1e-3 * (i % 7)
    const one = kmeans1dGroupsSync(values, { clusters: 16, groupSize: 5000 }, { threads: 1 })
    expect(kmeans1dGroupsSync(values, { clusters: 16, groupSize: 5000 }, { threads: 4 })).toEqual(one)
    for (let group = 0; group < 3; group++) {
      const part = values.slice(group * 5000, (group + 1) * 5000)
      const best = await kmeans1d(part, { clusters: 16, algorithm: 'optimal' })
      expect(one.inertia[group]).toBeLessThanOrEqual(best.inertia * 1.001)
      expect(one.inertia[group]).toBeGreaterThanOrEqual(best.inertia * (1 - 1e-6))
    }
  })

  test('3. weights and a mask count as if the values were there as often, or not at all', () => {
    const values = Float32Array.from({ length: 6000 }, (_, i) => Math.fround(Math.sin(i * 12.9898) * 43758.5453) % 1)
    const repeats = values.map((_, i) => i % 4) // 0: takes no part
    const mask = Uint32Array.from({ length: Math.ceil(6000 / 32) }, (_, i) => Math.imul(i + 1, 0x9e3779b1))
    const groupSize = 3000
    const options = { clusters: 16, groupSize, weights: repeats, mask }
    const weighted = kmeans1dGroupsSync(values, options, { threads: 2 })
    for (const group of [0, 1]) {
      const expanded: number[] = []
      for (let i = group * groupSize; i < (group + 1) * groupSize; i++) {
        const kept = (mask[i >> 5]! >>> (i & 31)) & 1
        for (let r = 0; r < kept * repeats[i]!; r++) expanded.push(values[i]!)
      }
      const best = kmeans1dSync(Float32Array.from(expanded), { clusters: 16, algorithm: 'optimal' })
      expect(weighted.inertia[group]).toBeLessThanOrEqual(best.inertia * 1.001)
      expect(weighted.inertia[group]).toBeGreaterThanOrEqual(best.inertia * (1 - 1e-6))
    }
    expect(kmeans1dGroupsSync(values, options, { threads: 1 })).toEqual(weighted)
  })

  test('4. nothing in gives no groups', async () => {
    const result = await kmeans1dGroups(new Float32Array(0), { clusters: 4, groupSize: 8 })
    expect(result.groups).toBe(0)
    expect(result.centroids).toHaveLength(0)
  })

  test('5. a NaN is named by its index in the whole array, and options are checked', async () => {
    const values = new Float32Array(100)
    values[77] = Number.NaN
    await expect(kmeans1dGroups(values, { clusters: 2, groupSize: 10 })).rejects.toMatchObject({
      code: 'ERR_DC_NONFINITE',
      offset: 77,
    })
    await expect(kmeans1dGroups(values, { clusters: 2, groupSize: 0 })).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    const weights = new Float32Array(100).fill(1)
    weights[78] = -1
    const mask = new Uint32Array(4).fill(0xffffffff)
    mask[2] = ~(1 << (77 & 31))
    await expect(kmeans1dGroups(values, { clusters: 2, groupSize: 10, mask, weights })).rejects.toMatchObject({
      code: 'ERR_DC_VALUE',
      offset: 78,
    })
    expect((await kmeans1dGroups(values, { clusters: 2, groupSize: 10, mask })).used[7]).toBe(1)
    await expect(kmeans1dGroups(values, { clusters: 2, groupSize: 5, mask: new Uint32Array(3) })).rejects.toMatchObject(
      { code: 'ERR_DC_ARG' },
    )
    await expect(kmeans1dGroups(values, { clusters: 2, groupSize: 5, size: 1 } as never)).rejects.toMatchObject({
      code: 'ERR_DC_ARG',
    })
  })

  test('6. a weight that would vanish beside the largest is refused with its place, in a group and alone', async () => {
    const values = Float32Array.of(1e-20, 1e-10, 1, 2, 3e10, 1e16, 1.5e16)
    const weights = Float32Array.of(1, 1, 1, 2 ** 70, 1, 1, 1)
    const refusal = { code: 'ERR_DC_VALUE', offset: 2 }
    const mask = Uint32Array.of(0b1111100)
    await expect(kmeans1d(values, { clusters: 3, weights, mask })).rejects.toMatchObject(refusal)
    await expect(kmeans1dGroups(values, { clusters: 3, groupSize: 7, weights, mask })).rejects.toMatchObject(refusal)
    weights[3] = 2 ** 60
    expect((await kmeans1d(values, { clusters: 3, weights, mask })).inertia).toBeGreaterThan(0)
  })
})
