import type { Archive } from '../archive.js'
import { openArchive } from '../archive.js'
import * as assert from '../assert.js'
import { compress } from '../compress.js'
import { resolveJob } from '../native/job.js'
import type { Recipe } from '../recipe.js'
import { interleave, type Machine, machine, readPass, type Spread } from './timing.js'
import { generate, WORKLOADS } from './workload.js'

export interface PipelineBenchOptions {
  /** Only the first so many weights of the layer (4096 x 4096). */
  count?: number
  /** Measured rounds after one to warm up; all steps in turn. Default 5. */
  rounds?: number
  threads?: number
}

export interface PipelineBenchRow extends Spread {
  step: string
  /** The minimum in read passes of the same run. */
  readPasses: number
}

export interface PipelineBenchReport {
  machine: Machine
  threads: number
  rounds: number
  count: number
  recipe: Recipe
  originalBytes: number
  compressedBytes: number
  ratio: number
  readPass: Spread
  rows: PipelineBenchRow[]
}

const OPTION_KEYS = ['count', 'rounds', 'threads'] as const

/** The paper's fully connected layers: 4 % of the weights, 32 values. */
const RECIPE: Recipe = {
  rules: [{ match: '*', prune: { density: 0.04 }, quantize: { method: 'kmeans', clusters: 32 } }],
}

/** What one layer costs on its way into a file and back, and in the same run the time of one pass over its memory. */
export async function benchPipeline(options: PipelineBenchOptions = {}): Promise<PipelineBenchReport> {
  const given = assert.options<PipelineBenchOptions>('options', options, OPTION_KEYS)
  const workload = WORKLOADS.b
  const count = Math.min(workload.count, assert.whole('options.count', given.count ?? workload.count, 1, 2 ** 32 - 1))
  const rounds = assert.whole('options.rounds', given.rounds ?? 5, 1, 1000)
  const { threads } = resolveJob(given.threads === undefined ? {} : { threads: given.threads })
  const values = generate({ ...workload, count })
  const pack = () => compress([{ name: 'layer', shape: [count], values }], RECIPE, { threads })
  const archive = await pack()
  const { originalBytes, compressedBytes, ratio } = archive.report()
  const bytes = await archive.toBytes()
  archive.dispose()
  const out = new Float32Array(count)
  const opened = (work: (archive: Archive) => unknown) => async () => {
    using back = await openArchive(bytes)
    await work(back)
  }
  const [pass, ...steps] = await interleave(
    [
      { name: 'read pass', run: () => readPass(values, threads) },
      { name: 'compress', run: async () => (await pack()).dispose() },
      { name: 'open', run: opened(() => {}) },
      { name: 'verify', run: opened((back) => back.verify({ threads })) },
      { name: 'decode', run: opened((back) => back.decode('layer', { threads })) },
      { name: 'decode into out', run: opened((back) => back.decode('layer', { threads, out })) },
    ],
    rounds,
  )
  const { minMs, medianMs } = pass!
  const rows = steps.map(({ name, ...spread }) => ({ step: name, ...spread, readPasses: spread.minMs / minMs }))
  return {
    machine: machine(),
    threads,
    rounds,
    count,
    recipe: RECIPE,
    originalBytes,
    compressedBytes,
    ratio,
    readPass: { minMs, medianMs },
    rows,
  }
}

/** The report as a table for a terminal. */
export function formatPipelineBench(report: PipelineBenchReport): string {
  const { cpu, cores, isa, node } = report.machine
  const number = (value: number) => value.toLocaleString('en-US')
  const lines = [
    `pipeline on ${cpu} (${cores} cores, ${isa}, node ${node}), ${report.threads} threads, ${report.rounds} rounds in turn`,
    '',
    `${number(report.count)} weights, 4 % kept, 32 values: ${number(report.originalBytes)} -> ${number(report.compressedBytes)} bytes, ${report.ratio.toFixed(2)}x; one read pass ${report.readPass.minMs.toFixed(2)} ms (median ${report.readPass.medianMs.toFixed(2)})`,
    `${'step'.padEnd(16)}${['read passes', 'ms min', 'median'].map((title) => title.padStart(14)).join('')}`,
  ]
  for (const { step, readPasses, minMs, medianMs } of report.rows) {
    const cells = [`${readPasses.toFixed(1)}x`, minMs.toFixed(2), medianMs.toFixed(2)]
    lines.push(`${step.padEnd(16)}${cells.map((cell) => cell.padStart(14)).join('')}`)
  }
  return `${lines.join('\n')}\n`
}
