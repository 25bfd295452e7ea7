import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { resolveJob, throwIfAborted } from '../native/job.js'
import { plot } from '../plot.js'
import { formatTable } from '../report.js'
import type { JobOptions } from '../tensor.js'
import { keepLargest } from './keep-largest.js'
import { LiveWeights, type NamedVariables } from './live-weights.js'
import { readValues, writeValues } from './state.js'
import type { TensorFlow } from './tensorflow.js'

export interface SensitivityOptions {
  variables: NamedVariables
  /** The variables to prune, one at a time; default all. */
  names?: readonly string[]
  densities: readonly number[]
  /** Smaller is better: an error or a loss on held-out data. */
  evaluate: () => number | Promise<number>
}

export interface SensitivityScan {
  /** Of the net as it is. */
  error: number
  densities: readonly number[]
  /** Error with that variable alone pruned to each density, in their order. */
  layers: { name: string; weights: number; errors: number[] }[]
}

const KEYS = ['variables', 'names', 'densities', 'evaluate'] as const

/**
 * How much each layer can be pruned: prunes one at a time by magnitude, without retraining, and evaluates (Han et al. 2015, section
 * 4.4). Every weight is put back, bit for bit, also after an error or an abort.
 */
export async function sensitivityScan(
  tf: TensorFlow,
  options: SensitivityOptions,
  job?: JobOptions,
): Promise<SensitivityScan> {
  const given = assert.options<SensitivityOptions>('options', options, KEYS)
  const weights = new LiveWeights(tf, given.variables)
  const densities = given.densities.map((density, i) => assert.finite(`options.densities[${i}]`, density, 0, 1))
  const names = given.names ?? weights.names
  for (const name of names) weights.variable(name)
  const resolved = resolveJob(job)
  const error = await given.evaluate()
  const layers: SensitivityScan['layers'] = []
  for (const name of names) {
    const variable = weights.variable(name)
    const before = readValues(variable)
    const errors: number[] = []
    try {
      for (const density of densities) {
        throwIfAborted(resolved, 'sensitivity')
        const [mask] = keepLargest([before], Math.round(density * before.length))
        writeValues(
          tf,
          variable,
          before.map((value, i) => ((mask![i >>> 5]! >>> (i & 31)) & 1 ? value : 0)),
          name,
        )
        errors.push(await given.evaluate())
      }
    } finally {
      writeValues(tf, variable, before, name)
    }
    layers.push({ name, weights: before.length, errors })
    resolved.onProgress?.({ stage: 'sensitivity', tensor: name, done: layers.length, total: names.length })
  }
  return { error, densities, layers }
}

/** The scan as a table: a line a layer, a column a density. */
export function formatSensitivity(scan: SensitivityScan, digits = 2): string {
  return formatTable([
    ['layer', 'weights', 'as it is', ...scan.densities.map((density) => `${Number((100 * density).toPrecision(3))} %`)],
    ...scan.layers.map(({ name, weights, errors }) => [
      name,
      weights.toLocaleString('en-US'),
      scan.error.toFixed(digits),
      ...errors.map((error) => error.toFixed(digits)),
    ]),
  ])
}

export interface PlotSensitivityOptions {
  title?: string
  /** What `evaluate` measured; default `error`. */
  yLabel?: string
}

/** The scan as a picture (SVG): a line a layer over the density, on a logarithmic axis, from the net as it is (100 %) down. */
export function plotSensitivity(scan: SensitivityScan, options: PlotSensitivityOptions = {}): string {
  const given = assert.options<PlotSensitivityOptions>('options', options, ['title', 'yLabel'])
  const series = scan.layers.map(({ name, errors }) => {
    const points = scan.densities.map((density, i) => [100 * density, errors[i]!] as const)
    // A logarithm has no place for a density of 0, and a picture none for an error that is no number.
    const shown = points.filter(([density, error]) => density > 0 && density < 100 && Number.isFinite(error))
    return { name, points: [[100, scan.error] as const, ...shown.sort((a, b) => b[0] - a[0])] }
  })
  if (series.length === 0) throw new DeepCompressionError('ARG', 'the scan has no layer')
  const { title = 'one layer pruned at a time', yLabel = 'error' } = given
  return plot([{ title, xLabel: 'weights kept, %', yLabel, yScale: 'linear', xFalls: true, series }])
}
