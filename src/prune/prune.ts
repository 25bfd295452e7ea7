import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { binding, type Done } from '../native/binding.js'
import {
  ownedInput,
  ownedInputNow,
  type ResolvedJob,
  refuseLargeSync,
  resolveJob,
  resolveSyncJob,
  runJob,
  runNow,
} from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { maskWords } from './mask.js'

/**
 * How much to prune; exactly one of
 * - `density`: the share to keep, 0 to 1. Exactly `Math.round(density * count)` weights stay, those of the largest
 *   magnitude, of equal magnitudes the first ones; fewer only when there are fewer non-zero weights.
 * - `threshold`: weights stay whose magnitude is at least this.
 * - `stdFactor`: the threshold is this times the standard deviation of the weights (population, about the mean, zeros
 *   included), the quality parameter of Han et al. 2015, section 3.
 */
export type PruneOptions =
  | { density: number; threshold?: never; stdFactor?: never }
  | { threshold: number; density?: never; stdFactor?: never }
  | { stdFactor: number; density?: never; threshold?: never }

export interface PruneResult {
  /** One bit a weight (bit `i & 31` of word `i >>> 5`), 1 = kept; bits past the last weight are 0. */
  mask: Uint32Array<ArrayBuffer>
  /** What stays has at least this magnitude: as asked for, or with `density` the smallest magnitude kept (Infinity: none). */
  threshold: number
  kept: number
}

const OPTION_KEYS = ['density', 'threshold', 'stdFactor'] as const

/** Pruning options after checking: the native function and its number. */
export interface ResolvedPrune {
  readonly by: (typeof OPTION_KEYS)[number]
  readonly amount: number
}

/** Checks pruning options once. `count` does not matter: the same recipe serves many tensors. */
export function resolvePrune(options: unknown, name = 'options'): ResolvedPrune {
  const given = assert.options<Record<(typeof OPTION_KEYS)[number], number>>(name, options, OPTION_KEYS)
  const keys = OPTION_KEYS.filter((key) => given[key] !== undefined)
  if (keys.length !== 1) {
    throw new DeepCompressionError(
      'ARG',
      `${name} must have exactly one of ${OPTION_KEYS.join(', ')}, got ${keys.length === 0 ? 'none' : keys.join(' and ')}`,
      { section: name },
    )
  }
  const by = keys[0]!
  const amount = assert.finite(`${name}.${by}`, given[by], 0, by === 'density' ? 1 : Infinity)
  return Object.freeze({ by, amount })
}

function checkedValues(value: unknown, allowShared: boolean): Float32Array<ArrayBuffer> {
  const values = assert.float32('values', value, allowShared)
  if (values.length > 2 ** 32 - 1) {
    throw new DeepCompressionError('TOO_LARGE', `values must have at most 4294967295 entries, got ${values.length}`, {
      section: 'values',
    })
  }
  return values
}

function prepared(values: Float32Array, how: ResolvedPrune) {
  const mask = new Uint32Array(maskWords(values.length))
  const summary = new Float64Array(2)
  const call = (threads: number, control: Int32Array, done: Done) => {
    const native = binding()
    if (how.by === 'density') {
      const keep = Math.round(how.amount * values.length)
      return native.pruneToCount(values, keep, mask, summary, threads, control, done)
    }
    const run = how.by === 'threshold' ? native.pruneBelow : native.pruneBelowDeviations
    return run(values, how.amount, mask, summary, threads, control, done)
  }
  const result = (): PruneResult => ({ mask, threshold: summary[1]!, kept: summary[0]! })
  return { call, result }
}

/** `prune` for the pipeline: `values` belong to the job and nobody else touches them meanwhile; nothing is copied. */
export async function pruneOwned(
  values: Float32Array<ArrayBuffer>,
  how: ResolvedPrune,
  job: ResolvedJob,
  tensor = '',
): Promise<PruneResult> {
  const { call, result } = prepared(values, how)
  await runJob({ stage: 'prune', tensor, total: values.length }, job, call)
  return result()
}

/**
 * Decides which weights stay. The weights themselves are not changed. Weights that are zero already are never kept. The
 * result does not depend on the number of threads or on the processor.
 *
 * Errors: `ERR_DC_NONFINITE` with the index of the first NaN or infinity, `ERR_DC_ARG`, `ERR_DC_TYPE`, `ERR_DC_ABORTED`,
 * `ERR_DC_NOMEM`.
 */
export async function prune(values: Float32Array, options: PruneOptions, job?: JobOptions): Promise<PruneResult> {
  const resolvedJob = resolveJob(job)
  const how = resolvePrune(options)
  const checked = checkedValues(values, resolvedJob.copyShared)
  binding()
  return pruneOwned(await ownedInput('values', checked, resolvedJob), how, resolvedJob)
}

/** `prune`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function pruneSync(
  values: Float32Array,
  options: PruneOptions,
  job?: JobOptions & { force?: boolean },
): PruneResult {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const how = resolvePrune(options)
  const checked = checkedValues(values, resolvedJob.copyShared)
  refuseLargeSync('values', checked, force)
  const { call, result } = prepared(ownedInputNow(checked), how)
  runNow({ stage: 'prune' }, resolvedJob, call)
  return result()
}
