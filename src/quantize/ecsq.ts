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
import { countKept } from '../prune/mask.js'
import type { JobOptions } from '../tensor.js'
import { resolveSides } from './sides.js'

export interface EcsqOptions {
  /** Centroids at the most, 1 to 256. Default 256. */
  clusters?: number
  /** Squared error that one bit of code is worth; a positive number or 0. Either this or `squaredError`. */
  lambda?: number
  /** The squared error (sum over the weights) that is allowed: the fewest bits within it. */
  squaredError?: number
  /** One bit a value (see `QuantizedTensor`): only values whose bit is set take part. */
  mask?: Uint32Array
}

export interface EcsqResult {
  /** Strictly ascending; all of them used. */
  centroids: Float32Array
  /** One code a value that takes part. Not always the nearest centroid: a frequent code is cheaper. */
  codes: Uint8Array
  counts: Uint32Array
  squaredError: number
  /** Order-0 entropy of the codes, bits a code. */
  entropyBits: number
  /** As given, or as found for `squaredError`. */
  lambda: number
}

const REFUSED = 'cannot keep options.squaredError with so many clusters'
const OPTION_KEYS = ['clusters', 'lambda', 'squaredError', 'mask'] as const

/** Options after checking; frozen. */
export interface ResolvedEcsq {
  readonly clusters: number
  readonly lambda: number
  /** Allowed squared error; -1: `lambda` says. */
  readonly budget: number
  readonly mask: Uint32Array<ArrayBuffer> | null
}

export function resolveEcsq(values: Float32Array, options: EcsqOptions, copyShared: boolean): ResolvedEcsq {
  const given = assert.options<EcsqOptions>('options', options, OPTION_KEYS)
  if ((given.lambda === undefined) === (given.squaredError === undefined)) {
    throw new DeepCompressionError('ARG', 'options needs one of lambda and squaredError', { section: 'options' })
  }
  const { mask } = resolveSides(values, given.mask === undefined ? {} : { mask: given.mask }, copyShared)
  return Object.freeze({
    clusters: given.clusters === undefined ? 256 : assert.whole('options.clusters', given.clusters, 1, 256),
    lambda: given.lambda === undefined ? 0 : assert.finite('options.lambda', given.lambda, 0),
    budget: given.squaredError === undefined ? -1 : assert.finite('options.squaredError', given.squaredError, 0),
    mask,
  })
}

function outputs(clusters: number, kept: number) {
  return {
    centroids: new Float32Array(clusters),
    counts: new Uint32Array(clusters),
    codes: assert.allocate('codes', kept, (n) => new Uint8Array(n)),
    summary: new Float64Array(4),
  }
}

type Outputs = ReturnType<typeof outputs>

function caller(values: Float32Array, r: ResolvedEcsq, out: Outputs) {
  return (threads: number, control: Int32Array, done: Done) =>
    binding().ecsq(
      values,
      r.mask,
      r.clusters,
      r.lambda,
      r.budget,
      out.centroids,
      out.counts,
      out.codes,
      out.summary,
      threads,
      control,
      done,
    )
}

function result({ centroids, counts, codes, summary }: Outputs): EcsqResult {
  const [used, squaredError, entropyBits, lambda] = summary as unknown as [number, number, number, number]
  return {
    centroids: centroids.slice(0, used),
    counts: counts.slice(0, used),
    codes,
    squaredError,
    entropyBits,
    lambda,
  }
}

function keptOf(mask: Uint32Array | null, length: number): number {
  return mask === null ? length : countKept(mask, length)
}

/** `ecsq` for the pipeline: `values` and the mask belong to the job and nobody else touches them meanwhile; nothing is copied. */
export async function ecsqOwned(
  values: Float32Array<ArrayBuffer>,
  resolved: ResolvedEcsq,
  job: ResolvedJob,
  tensor = '',
): Promise<EcsqResult> {
  const out = outputs(resolved.clusters, keptOf(resolved.mask, values.length))
  await runJob({ stage: 'ecsq', tensor, total: values.length, refused: REFUSED }, job, caller(values, resolved, out))
  return result(out)
}

/**
 * Entropy-constrained scalar quantization: shares finite weights so that squared error + lambda * bits of an ideal entropy code is least. At
 * the same error its codes take fewer bits than those of k-means, which spends centroids where no error is saved that is worth their bits.
 * The result does not depend on the number of threads or on the processor.
 *
 * Errors: `ERR_DC_ARG` (also a `squaredError` that so many clusters cannot keep), `ERR_DC_NONFINITE`, `ERR_DC_TYPE`, `ERR_DC_ABORTED`,
 * `ERR_DC_NOMEM`.
 */
export async function ecsq(values: Float32Array, options: EcsqOptions, job?: JobOptions): Promise<EcsqResult> {
  const resolvedJob = resolveJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const resolved = resolveEcsq(checked, options, resolvedJob.copyShared)
  binding()
  const [input, mask] = await Promise.all([
    ownedInput('values', checked, resolvedJob),
    resolved.mask && ownedInput('options.mask', resolved.mask, resolvedJob),
  ])
  return ecsqOwned(input, { ...resolved, mask }, resolvedJob)
}

/** `ecsq`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function ecsqSync(
  values: Float32Array,
  options: EcsqOptions,
  job?: JobOptions & { force?: boolean },
): EcsqResult {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const resolved = resolveEcsq(checked, options, resolvedJob.copyShared)
  refuseLargeSync('values', checked, force)
  const mask = resolved.mask && ownedInputNow(resolved.mask)
  const out = outputs(resolved.clusters, keptOf(mask, checked.length))
  runNow({ stage: 'ecsq', refused: REFUSED }, resolvedJob, caller(ownedInputNow(checked), { ...resolved, mask }, out))
  return result(out)
}
