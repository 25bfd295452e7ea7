import * as assert from '../assert.js'
import { binding } from '../native/binding.js'
import { resolveJob } from '../native/job.js'
import { assignSync } from '../quantize/assign.js'
import { KMEANS_ALGORITHMS, type KmeansAlgorithm, kmeans1dSync } from '../quantize/kmeans.js'
import { interleave, type Machine, machine, peakNativeBytes, readPass, type Spread } from './timing.js'
import { generate, WORKLOADS } from './workload.js'

export interface KmeansBenchOptions {
  /** The arrays: `a` Gaussian 16.8 M, `b` generalized Gaussian with outliers, `c` like b with 102.8 M. Default a and b. */
  arrays?: readonly (keyof typeof WORKLOADS)[]
  /** Only the first so many weights of each array. */
  count?: number
  /** Default 256. */
  clusters?: readonly number[]
  /** Default: histogram, fit, optimal and lloyd (from its `density` start). */
  algorithms?: readonly KmeansAlgorithm[]
  /** Measured rounds after one to warm up; all cases in turn. Default 5. */
  rounds?: number
  threads?: number
}

export interface KmeansBenchRow extends Spread {
  array: string
  count: number
  clusters: number
  /** Centroids in use. */
  used: number
  algorithm: KmeansAlgorithm
  /** The minimum in read passes of the same run. */
  readPasses: number
  nsPerWeight: number
  /** Sum of squared errors in float64. */
  squaredError: number
  /** squaredError / that of `optimal` - 1; null when `optimal` was not among the algorithms. */
  aboveOptimum: number | null
  /** Peak memory above the input, the codes' not counted. */
  extraBytes: number
}

export interface KmeansBenchReport {
  machine: Machine
  threads: number
  rounds: number
  readPasses: ({ array: string; count: number } & Spread)[]
  rows: KmeansBenchRow[]
}

const OPTION_KEYS = ['arrays', 'count', 'clusters', 'algorithms', 'rounds', 'threads'] as const
const DEFAULT_ALGORITHMS: readonly KmeansAlgorithm[] = ['histogram', 'optimal', 'lloyd', 'fit']
const BLOCK = 65536

/** Sum of squared distances to the nearest centroid: float64, over blocks of 65,536, the one score of all rows. */
export function squaredError(values: Float32Array, centroids: Float32Array): number {
  const codes = assignSync(values, centroids, { force: true })
  let total = 0
  for (let begin = 0; begin < values.length; begin += BLOCK) {
    const end = Math.min(values.length, begin + BLOCK)
    let sum = 0
    for (let i = begin; i < end; i++) {
      const difference = values[i]! - centroids[codes[i]!]!
      sum += difference * difference
    }
    total += sum
  }
  return total
}

function resolve(options: KmeansBenchOptions) {
  const given = assert.options<KmeansBenchOptions>('options', options, OPTION_KEYS)
  const arrays = (given.arrays ?? ['a', 'b']).map((name) =>
    assert.oneOf('options.arrays', name, Object.keys(WORKLOADS) as (keyof typeof WORKLOADS)[]),
  )
  const algorithms = (given.algorithms ?? DEFAULT_ALGORITHMS).map((name) =>
    assert.oneOf('options.algorithms', name, KMEANS_ALGORITHMS),
  )
  return {
    arrays,
    algorithms,
    count: given.count === undefined ? Infinity : assert.whole('options.count', given.count, 1, 2 ** 32 - 1),
    clusters: (given.clusters ?? [256]).map((k) => assert.whole('options.clusters', k, 1, 65536)),
    rounds: assert.whole('options.rounds', given.rounds ?? 5, 1, 1000),
    threads: resolveJob(given.threads === undefined ? {} : { threads: given.threads }).threads,
  }
}

async function benchArray(
  array: string,
  values: Float32Array<ArrayBuffer>,
  options: ReturnType<typeof resolve>,
  report: KmeansBenchReport,
) {
  const { algorithms, clusters, rounds, threads } = options
  const codes = new Uint16Array(values.length)
  const narrow = new Uint8Array(codes.buffer, 0, values.length)
  const cases = clusters.flatMap((k) =>
    algorithms.map((algorithm) => {
      const cluster = () => kmeans1dSync(values, { clusters: k, algorithm }, { threads, force: true })
      // Clustering and codes, as the pipeline needs both.
      const run = () => {
        const { centroids } = cluster()
        const out = centroids.length <= 256 ? narrow : codes
        binding().assign(values, null, centroids, out, threads, new Int32Array(8), null)
      }
      return { name: `${algorithm} ${k}`, algorithm, k, cluster, run }
    }),
  )
  const measured = await interleave([{ name: 'read pass', run: () => readPass(values, threads) }, ...cases], rounds)
  const pass = measured[0]!
  const count = values.length
  report.readPasses.push({ array, count, minMs: pass.minMs, medianMs: pass.medianMs })
  const rows = cases.map(({ algorithm, k, cluster }, i): KmeansBenchRow => {
    const { minMs, medianMs } = measured[i + 1]!
    const { centroids } = cluster()
    return {
      array,
      count,
      clusters: k,
      used: centroids.length,
      algorithm,
      minMs,
      medianMs,
      readPasses: minMs / pass.minMs,
      nsPerWeight: (minMs * 1e6) / count,
      squaredError: squaredError(values, centroids),
      aboveOptimum: null,
      extraBytes: peakNativeBytes(cluster),
    }
  })
  for (const row of rows) {
    const optimum = rows.find((other) => other.algorithm === 'optimal' && other.clusters === row.clusters)
    if (optimum && optimum.squaredError > 0) row.aboveOptimum = row.squaredError / optimum.squaredError - 1
  }
  report.rows.push(...rows)
}

/** Starts a report without figures. */
function emptyReport({ threads, rounds }: ReturnType<typeof resolve>): KmeansBenchReport {
  return { machine: machine(), threads, rounds, readPasses: [], rows: [] }
}

/**
 * This machine's k-means figures: time (with the codes), squared error against the optimum, memory, and in the same run the time
 * of one pass over the memory. Cases take turns, so that a disturbance meets them all.
 */
export async function benchKmeans(
  options: KmeansBenchOptions = {},
  onArray?: (name: string) => void,
): Promise<KmeansBenchReport> {
  const resolved = resolve(options)
  const report = emptyReport(resolved)
  for (const array of resolved.arrays) {
    onArray?.(array)
    const workload = WORKLOADS[array]
    const values = generate({ ...workload, count: Math.min(workload.count, resolved.count) })
    await benchArray(array, values, resolved, report)
  }
  return report
}

/** The same on weights of the caller's. */
export async function benchKmeansOn(
  name: string,
  values: Float32Array<ArrayBuffer>,
  options: Omit<KmeansBenchOptions, 'arrays' | 'count'> = {},
): Promise<KmeansBenchReport> {
  const resolved = resolve(options)
  const report = emptyReport(resolved)
  await benchArray(name, values, resolved, report)
  return report
}

/** The report as a table for a terminal, the ratio to a read pass first. */
export function formatKmeansBench(report: KmeansBenchReport): string {
  const { cpu, cores, isa, node } = report.machine
  const lines = [
    `k-means with codes on ${cpu} (${cores} cores, ${isa}, node ${node}), ${report.threads} threads, ${report.rounds} rounds in turn`,
  ]
  const columns = ['read passes', 'ms min', 'median', 'ns/weight', 'above optimum', 'MiB extra', 'used']
  for (const { array, count, minMs, medianMs } of report.readPasses) {
    lines.push(
      '',
      `array ${array}, ${count.toLocaleString('en-US')} weights; one read pass ${minMs.toFixed(2)} ms (median ${medianMs.toFixed(2)})`,
    )
    lines.push(`${'algorithm'.padEnd(12)}${'k'.padStart(6)}${columns.map((c) => c.padStart(15)).join('')}`)
    for (const row of report.rows) {
      if (row.array !== array) continue
      const above = row.aboveOptimum === null ? '' : `${(row.aboveOptimum * 100).toFixed(4)} %`
      const extra = (row.extraBytes / 2 ** 20).toFixed(1)
      const cells = [
        `${row.readPasses.toFixed(1)}x`,
        row.minMs.toFixed(1),
        row.medianMs.toFixed(1),
        row.nsPerWeight.toFixed(2),
        above,
        extra,
        String(row.used),
      ]
      lines.push(
        `${row.algorithm.padEnd(12)}${String(row.clusters).padStart(6)}${cells.map((c) => c.padStart(15)).join('')}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}
