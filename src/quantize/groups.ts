import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { binding, type Done } from '../native/binding.js'
import {
  ownedInput,
  ownedInputNow,
  refuseLargeSync,
  resolveJob,
  resolveSyncJob,
  runJob,
  runNow,
} from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { MAX_CLUSTERS } from './kmeans.js'
import { ownedSides, ownedSidesNow, type ResolvedSides, resolveSides, type Sides } from './sides.js'

/** `weights` and `mask`: over all values, whatever the groups. */
export interface KmeansGroupsOptions extends Sides {
  /** Centroids a group at the most, 1 to 65,536. */
  clusters: number
  /** Values a group: group g is `values[g * groupSize]` and the next ones; the last group may be shorter. */
  groupSize: number
  /** Lloyd steps at the most after the optimum over cells. Default 100. */
  maxIterations?: number
}

export interface KmeansGroupsResult {
  groups: number
  clusters: number
  /** Row g holds `used[g]` ascending centroids of group g, then zeros: `groups * clusters` numbers. */
  centroids: Float32Array
  /** Values nearest to each centroid, laid out as `centroids`. */
  counts: Uint32Array
  used: Uint32Array
  /** Squared error of each group. */
  inertia: Float64Array
}

const OPTION_KEYS = ['clusters', 'groupSize', 'maxIterations', 'weights', 'mask'] as const

function prepare(values: Float32Array, options: KmeansGroupsOptions, copyShared: boolean) {
  const given = assert.options<KmeansGroupsOptions>('options', options, OPTION_KEYS)
  const clusters = assert.whole('options.clusters', given.clusters, 1, MAX_CLUSTERS)
  const groupSize = assert.whole('options.groupSize', given.groupSize, 1, 2 ** 32 - 1)
  const maxIterations = assert.whole('options.maxIterations', given.maxIterations ?? 100, 0, 2 ** 32 - 1)
  const sides = resolveSides(values, given, copyShared)
  const groups = Math.ceil(values.length / groupSize)
  if (groups * clusters > 2 ** 31) {
    throw new DeepCompressionError('ARG', `${groups} groups of ${clusters} centroids are more than 2^31`, {
      section: 'options.groupSize',
    })
  }
  const result = {
    groups,
    clusters,
    centroids: new Float32Array(groups * clusters),
    counts: new Uint32Array(groups * clusters),
    used: new Uint32Array(groups),
    inertia: new Float64Array(groups),
  }
  const caller =
    (input: Float32Array, { mask, weights }: ResolvedSides) =>
    (...run: [number, Int32Array, Done]) =>
      binding().kmeansGroups(
        input,
        mask,
        weights,
        groupSize,
        clusters,
        maxIterations,
        result.centroids,
        result.counts,
        result.used,
        result.inertia,
        ...run,
      )
  return { result, sides, caller }
}

/**
 * k-means of many small groups in one call (a codebook a channel): every group gets its own centroids, by a search
 * over cells refined by Lloyd steps on the values (of 4,096 Gaussian values, 16 clusters: 0.0004 % above the optimum in the middle). Same on any number of threads. Errors as of `kmeans1d`.
 */
export async function kmeans1dGroups(
  values: Float32Array,
  options: KmeansGroupsOptions,
  job?: JobOptions,
): Promise<KmeansGroupsResult> {
  const resolvedJob = resolveJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const { result, sides, caller } = prepare(checked, options, resolvedJob.copyShared)
  binding()
  const total = checked.length
  const [input, own] = await Promise.all([ownedInput('values', checked, resolvedJob), ownedSides(sides, resolvedJob)])
  await runJob({ stage: 'kmeans1dGroups', total }, resolvedJob, caller(input, own))
  return result
}

/** `kmeans1dGroups`, run now. Inputs above 64 MiB need `{ force: true }`. */
export function kmeans1dGroupsSync(
  values: Float32Array,
  options: KmeansGroupsOptions,
  job?: JobOptions & { force?: boolean },
): KmeansGroupsResult {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const checked = assert.float32('values', values, resolvedJob.copyShared)
  const { result, sides, caller } = prepare(checked, options, resolvedJob.copyShared)
  refuseLargeSync('values', checked, force)
  runNow({ stage: 'kmeans1dGroups' }, resolvedJob, caller(ownedInputNow(checked), ownedSidesNow(sides)))
  return result
}
