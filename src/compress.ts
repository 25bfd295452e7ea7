import { Archive } from './archive.js'
import * as assert from './assert.js'
import { ArchiveWriter } from './container/writer.js'
import { fastCrc32c } from './decode/decode.js'
import { checkShape, type EncodedTensor, encodeTensor, nonFiniteError } from './encode/encode.js'
import { DeepCompressionError, isDeepCompressionError, printable } from './errors.js'
import { ownedInput, type ResolvedJob, resolveJob, throwIfAborted } from './native/job.js'
import { pruneOwned } from './prune/prune.js'
import { ecsqOwned, resolveEcsq } from './quantize/ecsq.js'
import { kmeans1dOwned, resolveKmeans } from './quantize/kmeans.js'
import { codesOwned, sharedWeightsOwned } from './quantize/shared-weights.js'
import { type Recipe, type ResolvedQuantize, ResolvedRecipe, type ResolvedRule } from './recipe.js'
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
 * A tensor that has at most `clusters` distinct values but zero is stored exactly (unless the rule sets a `lambda`). Zeros stay zero.
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
  throwIfAborted(resolved, 'compress')
  if (!assert.isIterable(tensors)) {
    throw new DeepCompressionError('TYPE', `tensors must be iterable, got ${assert.describe(tensors)}`, {
      section: 'tensors',
    })
  }
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
  if (typeof given !== 'object' || given === null) {
    throw new DeepCompressionError('TYPE', `a tensor must be an object, got ${assert.describe(given)}`, {
      section: 'tensors',
    })
  }
  const name = assert.text('a tensor name', given.name)
  try {
    checkShape(given)
  } catch (error) {
    throw named(error, name)
  }
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
    throw nonFiniteError(error, name, values) ?? named(error, name)
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
  const { kept } = pruned
  const shares = share(rule.quantize, values, mask, job, name)
  // Where two shares are encoded the mask is needed twice.
  const running = rule.quantize.by === 'ecsq' ? Object.freeze({ ...job, consume: false }) : ours
  let least: EncodedTensor | null = null
  for await (const { centroids, codes } of shares) {
    const tensor = { name, shape, mask, kept, codes, codebook: centroids }
    const encoded = await encodeTensor(tensor, rule.encode, running)
    if (!least || encoded.payload.length < least.payload.length) least = encoded
  }
  return least as EncodedTensor // there is at least one share
}

/** Codes are bytes. */
const CLUSTERS_MOST = 256
/** Symbol 0 of a sparse tensor may be needed for what is pruned. */
const ECSQ_CLUSTERS_MOST = 255

interface Share {
  centroids: Float32Array
  codes: Uint8Array<ArrayBuffer>
}

const NOTHING_KEPT: Share = Object.freeze({ centroids: Float32Array.of(0), codes: new Uint8Array(0) })

/** The ways to share a tensor's weights that a rule allows, one after the other; the smallest one when encoded is taken. */
async function* share(
  how: ResolvedQuantize,
  values: Float32Array<ArrayBuffer>,
  mask: Uint32Array<ArrayBuffer> | null,
  job: ResolvedJob,
  name: string,
): AsyncGenerator<Share> {
  const masked = mask ? { mask } : {}
  if (how.by === 'lambda') {
    if (mask?.every((word) => word === 0)) return yield NOTHING_KEPT
    const { clusters, lambda } = how
    yield (await ecsqOwned(values, resolveEcsq(values, { clusters, lambda, ...masked }, false), job, name)) as Share
    return
  }
  const { by, ...options } = how
  const kmeans = resolveKmeans(values, { ...options, ...masked }, false, CLUSTERS_MOST)
  if (by === 'kmeans') {
    yield (await sharedWeightsOwned(values, kmeans, job, name)) as Share
    return
  }
  const means = await kmeans1dOwned(values, kmeans, job, name)
  let shared = false
  if (means.inertia > 0) {
    try {
      const budget = { clusters: ECSQ_CLUSTERS_MOST, squaredError: means.inertia, ...masked }
      yield (await ecsqOwned(values, resolveEcsq(values, budget, false), job, name)) as Share
      shared = true
    } catch (error) {
      if (!isDeepCompressionError(error) || error.code !== 'ERR_DC_ARG') throw error // more centroids than ecsq may use
    }
  }
  if (shared && means.centroids.length > ECSQ_CLUSTERS_MOST) return // not every layout holds it
  yield { centroids: means.centroids, codes: (await codesOwned(values, mask, means, job, name)) as Share['codes'] }
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
