import * as assert from '../assert.js'
import { binding } from '../native/binding.js'
import { ownedInput, resolveJob, runJob } from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { assignOwned, type Codes } from './assign.js'
import {
  type KmeansOptions,
  type KmeansResult,
  kmeansCaller,
  kmeansOutputs,
  kmeansResult,
  ownedKmeans,
  resolveKmeans,
} from './kmeans.js'

export type SharedWeights = KmeansResult & {
  /** One code a weight, or with `mask` one a kept weight, in position order. */
  codes: Codes
}

/**
 * Clusters the weights and gives each its code, copying them once: `kmeans1d`, then `assign`. Options, result and errors as of
 * those two; `ignoreZeros` leaves zeros out of the clustering, but they get a code.
 */
export async function sharedWeights(
  values: Float32Array,
  options: KmeansOptions,
  job?: JobOptions,
): Promise<SharedWeights> {
  const resolvedJob = resolveJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const resolved = resolveKmeans(checked, options, resolvedJob.copyShared)
  binding()
  // Both begin in this turn: what the caller does to its arrays afterwards is not seen.
  const [input, safe] = await Promise.all([
    ownedInput('values', checked, resolvedJob),
    ownedKmeans(resolved, resolvedJob),
  ])
  const out = kmeansOutputs(resolved.clusters)
  await runJob({ stage: 'kmeans1d', total: input.length }, resolvedJob, kmeansCaller(input, safe, out))
  const result = kmeansResult(resolved.algorithm, out)
  const codes =
    result.kept === 0 && result.used === 0
      ? new Uint8Array(0)
      : await assignOwned(input, safe.mask, result.centroids as Float32Array<ArrayBuffer>, resolvedJob)
  return { ...result, codes }
}
