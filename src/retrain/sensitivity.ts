import * as assert from '../assert.js'
import { resolveJob, throwIfAborted } from '../native/job.js'
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
