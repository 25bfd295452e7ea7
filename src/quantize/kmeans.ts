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
import type { Codes } from './assign.js'
import { ownedSides, ownedSidesNow, type ResolvedSides, resolveSides, type Sides } from './sides.js'

/** In the order of the native enum (native/quantize/kmeans.h). */
export const KMEANS_ALGORITHMS = ['histogram', 'optimal', 'lloyd', 'sampled', 'fit'] as const
export const KMEANS_STARTS = ['linear', 'density', 'random', 'kmeans++', 'fit', 'histogram'] as const
const START_GIVEN = KMEANS_STARTS.length

export type KmeansAlgorithm = (typeof KMEANS_ALGORITHMS)[number]
export type KmeansStart = (typeof KMEANS_STARTS)[number]

export const MAX_CLUSTERS = 65536

export interface KmeansOptions extends Sides {
  /** Centroids at the most, 1 to 65,536. */
  clusters: number
  /**
   * `histogram` (default): the exact optimum over fine cells, refined on the data; `optimal`: the global optimum; `lloyd`:
   * Lloyd steps to the fixed point; `sampled`: k-means on 1 % of the values; `fit`: centroids of a fitted density.
   */
  algorithm?: KmeansAlgorithm
  /** Where `lloyd` starts: a rule (`linear` is the paper's choice), or `clusters` centroids. Default `histogram`. */
  init?: KmeansStart | Float32Array
  /** Leaves exact zeros out, as pruned weights that were not masked. */
  ignoreZeros?: boolean
  /** Lloyd steps at the most. Default: 10,000 for `histogram`, no limit otherwise. */
  maxIterations?: number
  /** Lloyd stops once no centroid moves further than this. Default 0: at the fixed point. */
  tolerance?: number
  /** Of the random starts and of `sampled`; a whole number. Default 0. */
  seed?: number
}

export interface KmeansResult {
  /** Strictly ascending; `min(clusters, distinct values)` of them, or fewer where a centroid would stay without values. */
  centroids: Float32Array
  /** Values nearest to each centroid, ties to the lower one. Of `fit` above 65,536 values: as its histogram tells. */
  counts: Uint32Array
  /** Sum of weight x (value - nearest centroid)^2, in double precision. Of `fit` above 65,536 values: an estimate. */
  inertia: number
  /** Lloyd steps taken. */
  iterations: number
  /** One more Lloyd step would change no centroid. */
  converged: boolean
  /** How many centroids there are: `centroids.length`. */
  used: number
  /** Values that took part. */
  kept: number
  /**
   * No centroids of this number have an inertia below `inertia - gapBound`. Of `optimal` what the rounding of the centroids
   * to float32 costs; of `histogram` a proven bound, far above the real gap (see native/quantize/README.md); else null.
   */
  gapBound: number | null
  algorithm: KmeansAlgorithm
}

const OPTION_KEYS = [
  'clusters',
  'algorithm',
  'init',
  'weights',
  'mask',
  'ignoreZeros',
  'maxIterations',
  'tolerance',
  'seed',
] as const

/** The options with every default filled in; frozen. */
export interface ResolvedKmeans extends ResolvedSides {
  readonly clusters: number
  readonly algorithm: KmeansAlgorithm
  readonly start: number
  readonly initial: Float32Array | null
  readonly ignoreZeros: boolean
  readonly maxIterations: number
  readonly tolerance: number
  readonly seed: number
}

export function resolveKmeans(
  values: Float32Array,
  options: KmeansOptions,
  copyShared: boolean,
  maxClusters = MAX_CLUSTERS,
): ResolvedKmeans {
  const given = assert.options<KmeansOptions>('options', options, OPTION_KEYS)
  const clusters = assert.whole('options.clusters', given.clusters, 1, maxClusters)
  const algorithm =
    given.algorithm === undefined ? 'histogram' : assert.oneOf('options.algorithm', given.algorithm, KMEANS_ALGORITHMS)
  const { init = 'histogram' } = given
  let start: number = START_GIVEN
  let initial: Float32Array | null = null
  if (typeof init === 'string') {
    start = KMEANS_STARTS.indexOf(assert.oneOf('options.init', init, KMEANS_STARTS))
  } else {
    initial = assert.float32('options.init', init, copyShared).slice()
    if (initial.length !== clusters || !initial.every(Number.isFinite)) {
      throw new DeepCompressionError('ARG', `options.init must hold ${clusters} finite centroids`, {
        section: 'options.init',
      })
    }
  }
  if (given.init !== undefined && algorithm !== 'lloyd') {
    throw new DeepCompressionError('ARG', `options.init is for algorithm "lloyd", not "${algorithm}"`, {
      section: 'options.init',
    })
  }
  return Object.freeze({
    clusters,
    algorithm,
    start,
    initial,
    ...resolveSides(values, given, copyShared),
    ignoreZeros: given.ignoreZeros === undefined ? false : assert.flag('options.ignoreZeros', given.ignoreZeros),
    maxIterations:
      given.maxIterations === undefined
        ? algorithm === 'histogram'
          ? 10_000
          : 2 ** 32 - 1
        : assert.whole('options.maxIterations', given.maxIterations, 0, 2 ** 32 - 1),
    tolerance: given.tolerance === undefined ? 0 : assert.finite('options.tolerance', given.tolerance, 0),
    seed: given.seed === undefined ? 0 : assert.whole('options.seed', given.seed, 0, Number.MAX_SAFE_INTEGER),
  })
}

/** What the native call writes. */
export interface KmeansOutputs {
  centroids: Float32Array<ArrayBuffer>
  counts: Uint32Array<ArrayBuffer>
  summary: Float64Array<ArrayBuffer>
}

export function kmeansOutputs(clusters: number): KmeansOutputs {
  return {
    centroids: new Float32Array(clusters),
    counts: new Uint32Array(clusters),
    summary: new Float64Array(8),
  }
}

export function kmeansResult(algorithm: KmeansAlgorithm, out: KmeansOutputs): KmeansResult {
  const [used, iterations, converged, kept, inertia, lowerBound] = out.summary as unknown as number[]
  return {
    centroids: out.centroids.slice(0, used),
    counts: out.counts.slice(0, used),
    inertia: inertia!,
    iterations: iterations!,
    converged: converged === 1,
    used: used!,
    kept: kept!,
    gapBound: lowerBound! < 0 ? null : Math.max(0, inertia! - lowerBound!),
    algorithm,
  }
}

/** `codes`: room for one code a value that the mask keeps, to be written in the same call. */
export function kmeansCaller(
  values: Float32Array,
  resolved: ResolvedKmeans,
  out: KmeansOutputs,
  codes: Codes | null = null,
) {
  const r = resolved
  return (threads: number, control: Int32Array, done: Done) =>
    binding().kmeans1d(
      values,
      r.mask,
      r.weights,
      r.initial,
      r.ignoreZeros,
      r.clusters,
      KMEANS_ALGORITHMS.indexOf(r.algorithm),
      r.start,
      r.maxIterations,
      r.tolerance,
      r.seed,
      out.centroids,
      out.counts,
      out.summary,
      codes,
      threads,
      control,
      done,
    )
}

/** Checked arguments, in arrays that nobody else touches while the job runs. */
export interface TakenKmeans {
  input: Float32Array<ArrayBuffer>
  resolved: ResolvedKmeans
  job: ResolvedJob
}

/** Checks the arguments of a call and takes its arrays, all in the turn of the call: what the caller does to them afterwards is not seen. */
export async function takeKmeans(values: Float32Array, options: KmeansOptions, job?: JobOptions): Promise<TakenKmeans> {
  const resolvedJob = resolveJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const resolved = resolveKmeans(checked, options, resolvedJob.copyShared)
  binding()
  const [input, sides] = await Promise.all([
    ownedInput('values', checked, resolvedJob),
    ownedSides(resolved, resolvedJob),
  ])
  return { input, resolved: { ...resolved, ...sides }, job: resolvedJob }
}

export function takeKmeansNow(
  values: Float32Array,
  options: KmeansOptions,
  job?: JobOptions & { force?: boolean },
): TakenKmeans {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const resolved = resolveKmeans(checked, options, resolvedJob.copyShared)
  refuseLargeSync('values', checked, force)
  return { input: ownedInputNow(checked), resolved: { ...resolved, ...ownedSidesNow(resolved) }, job: resolvedJob }
}

/**
 * `kmeans1d` for the pipeline: `values` and the mask and weights of the options belong to the job and nobody else touches them meanwhile;
 * nothing is copied.
 */
export async function kmeans1dOwned(
  values: Float32Array<ArrayBuffer>,
  resolved: ResolvedKmeans,
  job: ResolvedJob,
  tensor = '',
  codes: Codes | null = null,
): Promise<KmeansResult> {
  const out = kmeansOutputs(resolved.clusters)
  await runJob({ stage: 'kmeans1d', tensor, total: values.length }, job, kmeansCaller(values, resolved, out, codes))
  return kmeansResult(resolved.algorithm, out)
}

/** `kmeans1dOwned`, run now. */
export function kmeans1dOwnedNow({ input, resolved, job }: TakenKmeans, codes: Codes | null = null): KmeansResult {
  const out = kmeansOutputs(resolved.clusters)
  runNow({ stage: 'kmeans1d' }, job, kmeansCaller(input, resolved, out, codes))
  return kmeansResult(resolved.algorithm, out)
}

/**
 * One-dimensional k-means of finite float32 values (at most 2^32 - 1; -0 counts as +0). The result does not depend on the
 * number of threads or on the processor. Fewer distinct values than clusters gives exactly those values and zero error.
 *
 * Errors: `ERR_DC_NONFINITE` with the index of the first NaN or infinity, `ERR_DC_VALUE` for a negative weight,
 * `ERR_DC_ARG`, `ERR_DC_TYPE`, `ERR_DC_ABORTED`, `ERR_DC_NOMEM`.
 */
export async function kmeans1d(values: Float32Array, options: KmeansOptions, job?: JobOptions): Promise<KmeansResult> {
  const taken = await takeKmeans(values, options, job)
  return kmeans1dOwned(taken.input, taken.resolved, taken.job)
}

/** `kmeans1d`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function kmeans1dSync(
  values: Float32Array,
  options: KmeansOptions,
  job?: JobOptions & { force?: boolean },
): KmeansResult {
  return kmeans1dOwnedNow(takeKmeansNow(values, options, job))
}
