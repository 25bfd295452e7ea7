import { Archive } from './archive.js'
import * as assert from './assert.js'
import { ArchiveWriter } from './container/writer.js'
import { fastCrc32c } from './decode/decode.js'
import { type EncodedTensor, encodeTensor } from './encode/encode.js'
import { DeepCompressionError, isDeepCompressionError, printable } from './errors.js'
import { ownedInput, type ResolvedJob, resolveJob, throwIfAborted } from './native/job.js'
import { pruneOwned } from './prune/prune.js'
import { ecsqOwned, resolveEcsq } from './quantize/ecsq.js'
import { kmeans1dOwned, type ResolvedKmeans, resolveKmeans } from './quantize/kmeans.js'
import { codesOwned, type SharedWeights, sharedWeightsOwned } from './quantize/shared-weights.js'
import { type Recipe, ResolvedRecipe, type ResolvedRule } from './recipe.js'
import { elementCount, type JobOptions, type QuantizedTensor, type WeightTensor } from './tensor.js'

/** Keeps every weight that is not zero. */
const NON_ZERO = Object.freeze({ by: 'threshold', amount: 0 } as const)

/**
 * The pipeline (paper, Figure 1, without the training): each tensor is pruned, its weights shared, its codes and gaps encoded, by the first rule
 * of the recipe that matches its name. One tensor is in memory at a time, besides the encoded bytes.
 *
 * A tensor that is shared already (`QuantizedTensor`, as `sharedWeights` or a `.net` file give it) is encoded as it is: same mask, codes and
 * order of the codebook, by the `encode` part of its rule.
 *
 * A tensor that has at most `clusters` distinct values but zero is stored exactly. Zeros stay zero.
 *
 * @param tensors values are copied, or with `job.consume` taken
 * @param metadata string pairs that go along
 * @throws ERR_DC_ARG (recipe, names, shapes), ERR_DC_NONFINITE with the tensor's name, ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function compress(
  tensors: Iterable<WeightTensor | QuantizedTensor> | AsyncIterable<WeightTensor | QuantizedTensor>,
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

async function compressTensor(
  given: WeightTensor | QuantizedTensor,
  rules: ResolvedRecipe,
  job: ResolvedJob,
): Promise<EncodedTensor> {
  const name = assert.text('a tensor name', given.name)
  if ('codes' in given) {
    try {
      return await encodeTensor(given, rules.ruleFor(name, given.shape).encode, job)
    } catch (error) {
      throw named(error, name)
    }
  }
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
  const how = resolveKmeans(values, mask ? { ...options, mask } : options, false, CLUSTERS_MOST)
  const shared = await (method === 'ecsq' ? fewestBits : sharedWeightsOwned)(values, how, job, name)
  const codes = shared.codes as Uint8Array<ArrayBuffer> // 256 clusters at the most
  const tensor = { name, shape, mask, kept: pruned.kept, codes, codebook: shared.centroids }
  return encodeTensor(tensor, rule.encode, ours)
}

/** Codes are bytes. */
const CLUSTERS_MOST = 256
/** Symbol 0 of a sparse tensor may be needed for what is pruned. */
const ECSQ_CLUSTERS_MOST = 255

/** Codes of the fewest bits at the error of k-means; those of k-means where it is exact, or needs more centroids than ecsq may use. */
async function fewestBits(
  values: Float32Array<ArrayBuffer>,
  how: ResolvedKmeans,
  job: ResolvedJob,
  name: string,
): Promise<Pick<SharedWeights, 'centroids'> & { codes: Uint8Array | Uint16Array }> {
  const { mask } = how
  const means = await kmeans1dOwned(values, how, job, name)
  if (means.inertia > 0) {
    try {
      const budget = { clusters: ECSQ_CLUSTERS_MOST, squaredError: means.inertia }
      return await ecsqOwned(values, resolveEcsq(values, mask ? { ...budget, mask } : budget, false), job, name)
    } catch (error) {
      if (!isDeepCompressionError(error) || error.code !== 'ERR_DC_ARG') throw error
    }
  }
  return { centroids: means.centroids, codes: await codesOwned(values, mask, means, job, name) }
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
