import { benchKmeans, formatKmeansBench } from '../../src/bench/kmeans'
import { benchPipeline, formatPipelineBench } from '../../src/bench/pipeline'
import { interleave } from '../../src/bench/timing'
import { generate } from '../../src/bench/workload'

describe('workloads of the benches', () => {
  const moments = (values: Float32Array) => {
    let second = 0
    let fourth = 0
    let mean = 0
    for (const v of values) {
      mean += v / values.length
      second += (v * v) / values.length
      fourth += v ** 4 / values.length
    }
    return { mean, deviation: Math.sqrt(second), kurtosis: fourth / second ** 2 }
  }

  test('1. shape 2 is the Gaussian: kurtosis 3', () => {
    const { mean, deviation, kurtosis } = moments(
      generate({ count: 1_000_000, shape: 2, deviation: 0.01, outliers: 0, seed: 1 }),
    )
    expect(Math.abs(mean)).toBeLessThan(5e-5)
    expect(Math.abs(deviation / 0.01 - 1)).toBeLessThan(0.003)
    expect(Math.abs(kurtosis - 3)).toBeLessThan(0.05)
  })

  test('2. shape 1 is the Laplace: kurtosis 6', () => {
    const { deviation, kurtosis } = moments(
      generate({ count: 1_000_000, shape: 1, deviation: 2, outliers: 0, seed: 4 }),
    )
    expect(Math.abs(deviation / 2 - 1)).toBeLessThan(0.005)
    expect(Math.abs(kurtosis - 6)).toBeLessThan(0.3)
  })

  test('3. outliers lie at 10 to 40 standard deviations, in the share asked for', () => {
    const values = generate({ count: 1_000_000, shape: 2, deviation: 1, outliers: 1e-3, seed: 5 })
    const outliers = values.filter((v) => Math.abs(v) > 9)
    expect(Math.abs(outliers.length - 1000)).toBeLessThan(150)
    expect(Math.min(...outliers.map(Math.abs))).toBeGreaterThanOrEqual(10)
    expect(Math.max(...outliers.map(Math.abs))).toBeLessThanOrEqual(40)
    expect(Math.abs(outliers.filter((v) => v > 0).length / outliers.length - 0.5)).toBeLessThan(0.06)
  })

  test('4. the same seed gives the same weights, another seed others', () => {
    const workload = { count: 100, shape: 1.2, deviation: 0.01, outliers: 0, seed: 7 }
    expect(generate(workload)).toEqual(generate(workload))
    expect(generate(workload)).not.toEqual(generate({ ...workload, seed: 8 }))
  })

  test('5. cases are measured in turn, the warm-up not counted', async () => {
    const order: string[] = []
    const measured = await interleave(
      [
        { name: 'x', run: () => order.push('x') },
        { name: 'y', run: () => order.push('y') },
      ],
      2,
    )
    expect(order.join('')).toBe('xyxyxy')
    expect(measured.map((m) => m.name)).toEqual(['x', 'y'])
    for (const { minMs, medianMs } of measured) expect(minMs).toBeLessThanOrEqual(medianMs)
  })
})

describe('benchKmeans', () => {
  test('6. reports time, error against the optimum and memory of each algorithm, and prints them', async () => {
    const report = await benchKmeans({ arrays: ['b'], count: 50_000, clusters: [8], rounds: 1 })
    expect(report.rows.map((row) => row.algorithm)).toEqual(['histogram', 'optimal', 'lloyd', 'fit'])
    for (const row of report.rows) {
      expect(row).toMatchObject({ array: 'b', count: 50_000, clusters: 8, used: 8 })
      expect(row.minMs).toBeGreaterThan(0)
      expect(row.readPasses).toBeCloseTo(row.minMs / report.readPasses[0]!.minMs, 6)
      expect(row.aboveOptimum).toBeGreaterThanOrEqual(-1e-6)
    }
    expect(report.rows[1]!.aboveOptimum).toBe(0)
    const text = formatKmeansBench(report)
    expect(text).toContain('array b, 50,000 weights; one read pass')
    expect(text).toMatch(/histogram +8 +[\d.]+x/)
  })

  test('7. an unknown array or option is refused', async () => {
    await expect(benchKmeans({ arrays: ['z' as 'a'] })).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    await expect(benchKmeans({ round: 1 } as object)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
  })
})

describe('the bench of the pipeline', () => {
  test('1. has a row a step, each in read passes of the run, and the bytes of a file that holds 4 %', async () => {
    const report = await benchPipeline({ count: 20_000, rounds: 1, threads: 1 })
    expect(report.rows.map(({ step }) => step)).toEqual(['compress', 'open', 'verify', 'decode', 'decode into out'])
    for (const { minMs, readPasses } of report.rows) expect(readPasses).toBeCloseTo(minMs / report.readPass.minMs, 6)
    expect(report.originalBytes).toBe(80_000)
    expect(report.ratio).toBe(report.originalBytes / report.compressedBytes)
    expect(report.ratio).toBeGreaterThan(40)
    expect(formatPipelineBench(report)).toMatch(/20,000 weights, 4 % kept, 32 values: 80,000 -> /)
  })

  test('2. refuses options it does not know', async () => {
    await expect(benchPipeline({ rouns: 1 } as never)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
  })
})
