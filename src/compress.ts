import { Archive } from './archive.js'
import * as assert from './assert.js'
import { ArchiveWriter } from './container/writer.js'
import { fastCrc32c } from './decode/decode.js'
import { type EncodedTensor, encodeTensor } from './encode/encode.js'
import { DeepCompressionError, isDeepCompressionError, printable } from './errors.js'
import { ownedInput, type ResolvedJob, resolveJob, throwIfAborted } from './native/job.js'
import { pruneOwned } from './prune/prune.js'
import { ecsq } from './quantize/ecsq.js'
import { type KmeansOptions, kmeans1d } from './quantize/kmeans.js'
import { sharedWeights } from './quantize/shared-weights.js'
import { type Recipe, ResolvedRecipe, type ResolvedRule } from './recipe.js'
import { elementCount, type JobOptions, type WeightTensor } from './tensor.js'

/** Keeps every weight that is not zero. */
const NON_ZERO = Object.freeze({ by: 'threshold', amount: 0 } as const)

/**
 * The pipeline (paper, Figure 1, without the training): each tensor is pruned, its weights shared, its codes and gaps encoded, by the first rule
 * of the recipe that matches its name. One tensor is in memory at a time, besides the encoded bytes.
 *
 * A tensor that has at most `clusters` distinct values but zero is stored exactly. Zeros stay zero.
 *
 * @param tensors values are copied, or with `job.consume` taken
 * @param metadata string pairs that go along
 * @throws ERR_DC_ARG (recipe, names, shapes), ERR_DC_NONFINITE with the tensor's name, ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function compress(
  tensors: Iterable<WeightTensor> | AsyncIterable<WeightTensor>,
  recipe?: Recipe,
  job?: JobOptions,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<Archive> {
  const resolved = resolveJob(job)
  const rules = new ResolvedRecipe(recipe)
  const writer = new ArchiveWriter(fastCrc32c)
  for (const [key, value] of metadata) writer.setMetadata(key, value)
  for await (const tensor of tensors) {
    throwIfAborted(resolved, 'compress')
    writer.add(await compressTensor(tensor, rules, resolved))
  }
  return Archive.fromChunks(writer.toChunks())
}

async function compressTensor(given: WeightTensor, rules: ResolvedRecipe, job: ResolvedJob): Promise<EncodedTensor> {
  const name = assert.text('a tensor name', given.name)
  const checked = assert.float32(`the values of tensor ${printable(name)}`, given.values, job.copyShared)
  const values = (await ownedInput(name, checked, job)) as Float32Array<ArrayBuffer>
  if (values.length !== elementCount(given.shape)) {
    throw new DeepCompressionError(
      'ARG',
      `tensor ${printable(name)} has ${values.length} values; its shape says ${elementCount(given.shape)}`,
      { section: name },
    )
  }
  try {
    return await runStages({ name, shape: given.shape, values }, rules.ruleFor(name, given.shape), job)
  } catch (error) {
    throw named(error, name)
  }
}

async function runStages(
  { name, shape, values }: WeightTensor & { values: Float32Array<ArrayBuffer> },
  rule: ResolvedRule,
  job: ResolvedJob,
): Promise<EncodedTensor> {
  // These arrays are ours: the stages take them and make no copies.
  const ours: ResolvedJob = Object.freeze({ ...job, consume: true })
  if (!rule.quantize || values.length === 0) {
    if (rule.prune) {
      const { mask } = await pruneOwned(values, rule.prune, job, name)
      await zeroPruned(values, mask)
    }
    return encodeTensor({ name, shape, values }, rule.encode, ours)
  }
  const pruned = await pruneOwned(values, rule.prune ?? NON_ZERO, job, name)
  const mask = pruned.kept < values.length ? pruned.mask : null
  const { method, ...options } = rule.quantize
  if (method === 'ecsq') {
    const fewest = await fewestBits(values, mask, pruned.kept, options, job)
    if (fewest) return encodeTensor({ name, shape, mask, kept: pruned.kept, ...fewest }, rule.encode, ours)
  }
  const shared = await sharedWeights(
    values,
    { ...options, ...(mask ? { mask: mask.slice() } : {}) },
    ours as JobOptions,
  )
  const codes = shared.codes as Uint8Array<ArrayBuffer> // 256 clusters at the most
  const tensor = { name, shape, mask, kept: pruned.kept, codes, codebook: shared.centroids }
  return encodeTensor(tensor, rule.encode, ours)
}

/** Symbol 0 of a sparse tensor may be needed for what is pruned. */
const ECSQ_CLUSTERS_MOST = 255

/** Codes of the fewest bits at the error of k-means; null where k-means is exact, or needs more centroids than ecsq may use. */
async function fewestBits(
  values: Float32Array,
  mask: Uint32Array | null,
  kept: number,
  options: KmeansOptions,
  job: ResolvedJob,
): Promise<{ codes: Uint8Array; codebook: Float32Array } | null> {
  const copying = { ...job, consume: false } as JobOptions
  const masked = mask ? { mask } : {}
  const { inertia } = await kmeans1d(values, { ...options, ...masked }, copying)
  if (inertia === 0 || kept === 0) return null
  try {
    const shared = await ecsq(values, { clusters: ECSQ_CLUSTERS_MOST, squaredError: inertia, ...masked }, copying)
    return { codes: shared.codes, codebook: shared.centroids }
  } catch (error) {
    if (isDeepCompressionError(error) && error.code === 'ERR_DC_ARG') return null
    throw error
  }
}

/** A turn of the event loop is at most this many weights long. */
const WEIGHTS_A_TURN = 1 << 20

async function zeroPruned(values: Float32Array, mask: Uint32Array): Promise<void> {
  for (let begin = 0; begin < values.length; begin += WEIGHTS_A_TURN) {
    const end = Math.min(values.length, begin + WEIGHTS_A_TURN)
    for (let i = begin; i < end; i++) if (!((mask[i >>> 5]! >>> (i & 31)) & 1)) values[i] = 0
    await new Promise(setImmediate)
  }
}

/** The stages below do not all know the tensor's name. */
function named(error: unknown, name: string): unknown {
  if (!isDeepCompressionError(error) || error.section === name || error.code === 'ERR_DC_ABORTED') return error
  const status = error.code.slice('ERR_DC_'.length) as ConstructorParameters<typeof DeepCompressionError>[0]
  return new DeepCompressionError(status, `tensor ${printable(name)}: ${error.message}`, {
    section: name,
    ...(error.offset === undefined ? {} : { offset: error.offset }),
    cause: error,
  })
}
