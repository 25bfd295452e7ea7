import { type ResolvedJob, throwIfAborted } from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { assignOwned, type Codes, codesFor } from './assign.js'
import {
  type KmeansOptions,
  type KmeansResult,
  kmeans1dOwned,
  kmeans1dOwnedNow,
  type ResolvedKmeans,
  takeKmeans,
  takeKmeansNow,
} from './kmeans.js'

export type SharedWeights = KmeansResult & {
  /** One code a weight, or with `mask` one a kept weight, in position order. */
  codes: Codes
}

/** The code of each weight that took part in `means`; nothing is copied. */
export async function codesOwned(
  values: Float32Array<ArrayBuffer>,
  mask: Uint32Array<ArrayBuffer> | null,
  means: KmeansResult,
  job: ResolvedJob,
  tensor = '',
): Promise<Codes> {
  if (means.used === 0) return new Uint8Array(0)
  return assignOwned(values, mask, means.centroids as Float32Array<ArrayBuffer>, job, tensor)
}

/** Codes are bytes where the centroids in use allow it, however many were asked for. */
function shared(means: KmeansResult, codes: Codes): SharedWeights {
  if (means.used === 0) return { ...means, codes: new Uint8Array(0) }
  return { ...means, codes: means.used <= 256 && codes.BYTES_PER_ELEMENT > 1 ? Uint8Array.from(codes) : codes }
}

/** `sharedWeights` for the pipeline: the arrays belong to the job and nobody else touches them meanwhile; nothing is copied. */
export async function sharedWeightsOwned(
  values: Float32Array<ArrayBuffer>,
  resolved: ResolvedKmeans,
  job: ResolvedJob,
  tensor = '',
): Promise<SharedWeights> {
  const codes = codesFor(resolved.clusters, values.length, resolved.mask)
  const means = await kmeans1dOwned(values, resolved, job, tensor, codes)
  throwIfAborted(job, 'assign')
  job.onProgress?.({ stage: 'assign', tensor, done: values.length, total: values.length })
  return shared(means, codes)
}

/**
 * `kmeans1d` and `assign` in one: clusters the weights and gives each its code. The arrays are copied once, and with a mask they are read
 * once. Options, result and errors as of those two; `ignoreZeros` leaves zeros out of the clustering, but they get a code.
 */
export async function sharedWeights(
  values: Float32Array,
  options: KmeansOptions,
  job?: JobOptions,
): Promise<SharedWeights> {
  const taken = await takeKmeans(values, options, job)
  return sharedWeightsOwned(taken.input, taken.resolved, taken.job)
}

/** `sharedWeights`, run now. Inputs above 64 MiB need `{ force: true }`. */
export function sharedWeightsSync(
  values: Float32Array,
  options: KmeansOptions,
  job?: JobOptions & { force?: boolean },
): SharedWeights {
  const taken = takeKmeansNow(values, options, job)
  const codes = codesFor(taken.resolved.clusters, taken.input.length, taken.resolved.mask)
  return shared(kmeans1dOwnedNow(taken, codes), codes)
}
