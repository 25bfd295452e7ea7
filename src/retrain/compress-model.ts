import type { Archive } from '../archive.js'
import * as assert from '../assert.js'
import { compress } from '../compress.js'
import { DeepCompressionError } from '../errors.js'
import { assign } from '../quantize/assign.js'
import { kmeans1d } from '../quantize/kmeans.js'
import type { JobOptions, QuantizedTensor, WeightTensor } from '../tensor.js'
import type { Examples, TrainingData } from './batches.js'
import { CentroidTraining } from './centroid-training.js'
import { modelWeights, VariablesState } from './model-weights.js'
import { Pruning } from './pruning.js'
import { evaluateModel, type LossFunction, lossesOf, type RetrainModelOptions, retrainModel } from './retrain-model.js'
import { cosineRate, polynomialDensity } from './schedule.js'
import { readValues, type State } from './state.js'
import type { LayersModel, Optimizer, Tensor, TensorFlow, Variable } from './tensorflow.js'

export interface CompressModelOptions extends Pick<RetrainModelOptions, 'loss' | 'batchSize' | 'seed'> {
  /** How much larger the error may be than that of the model as it is given, on the validation data. Default 0. */
  maxErrorIncrease?: number
  /** The error of each validation example, smaller is better; default 1 where the largest of the outputs is not that of the labels. */
  error?: LossFunction
  /** Names of the weights to prune and share; default every kernel of a known layer. */
  match?: string | readonly string[]
  /** Makes the optimizer of each training; default Adam. */
  optimizer?: (rate: number) => Optimizer
  /** Rate at the peak of each retraining; default 0.001. Centroids are tuned with a quarter of it. */
  rate?: number
  /** Steps of retraining after each choice of a density; default 1,000. */
  steps?: number
  /** Steps of centroid training after each sharing; default a quarter of `steps`. */
  tuneSteps?: number
  /** Most choices to try, each a point of the curve; half of them at most for densities. Default 16. */
  tries?: number
  /** Least density to look for; default 0.01. */
  leastDensity?: number
  /** Shared values of a kernel to begin with; default 32. */
  clusters?: number
  /** Told each point when it is there. */
  onTry?: (point: CurvePoint) => void
}

/** One archive that was really made and its net really measured. */
export interface CurvePoint {
  /** Kept weights by weights, of all kernels together and of each. */
  density: number
  densities: Record<string, number>
  /** Shared values of each kernel; empty for the archive of the model as it was given. */
  clusters: Record<string, number>
  error: number
  bytes: number
  /** The error is within the contract. */
  holds: boolean
}

export interface CompressModelResult {
  /** The smallest archive that holds the contract; its weights are the model's now. */
  archive: Archive
  /** On the validation data: of the model as it was given, and of the archive. */
  errorBefore: number
  errorAfter: number
  /** Every archive that was tried, in order; the first is lossless. */
  curve: CurvePoint[]
}

const KEYS = [
  'maxErrorIncrease',
  'error',
  'match',
  'optimizer',
  'rate',
  'steps',
  'tuneSteps',
  'tries',
  'leastDensity',
  'clusters',
  'onTry',
  'loss',
  'batchSize',
  'seed',
] as const
/** Two densities this close are not told apart any more. */
const CLOSE = 1.1
const TUNE_RATE = 0.25

/** A net on the way: its weights before the sharing and after the fine-tuning. */
interface Candidate {
  point: CurvePoint
  archive: Archive
  pruned: State
  shared: State
}

/**
 * The smallest archive of a model whose error on held-out validation data is at most `maxErrorIncrease` above that of the model as it
 * is given. It searches itself: first the density (one budget for all kernels, so that each layer gets its own, halved in
 * logarithm between what held and what did not, each retrained from the last that held), then the number of shared values, kernel by
 * kernel from the largest on, halved as long as the contract holds. The curve has every archive it made. At the end the model has the
 * weights of the archive, bit for bit; after an error or an abort it has those it began with.
 */
export async function compressModel(
  tf: TensorFlow,
  model: LayersModel,
  data: { train: TrainingData; validation: Examples },
  options: CompressModelOptions = {},
  job?: JobOptions,
): Promise<CompressModelResult> {
  const search = new Search(tf, model, data, options, job)
  try {
    await search.densities()
    await search.clusters()
    return search.result()
  } catch (error) {
    search.undo()
    throw error
  }
}

class Search {
  readonly #tf: TensorFlow
  readonly #model: LayersModel
  readonly #data: { train: TrainingData; validation: Examples }
  readonly #options: ReturnType<typeof resolve>
  readonly #job: JobOptions | undefined
  readonly #variables: Record<string, Variable>
  readonly #kernels: readonly string[]
  readonly #all: Record<string, Variable>
  readonly #weights: VariablesState
  readonly #before: State
  readonly #errorBefore: number
  readonly #curve: CurvePoint[] = []
  #best: Candidate | null = null

  constructor(
    tf: TensorFlow,
    model: LayersModel,
    data: { train: TrainingData; validation: Examples },
    options: CompressModelOptions,
    job?: JobOptions,
  ) {
    this.#tf = tf
    this.#model = model
    this.#data = data
    this.#options = resolve(tf, options)
    this.#job = job
    const { variables, kernels, fixed } = modelWeights(model, this.#options.match)
    if (kernels.length === 0) throw new DeepCompressionError('ARG', 'the model has no kernel that options.match names')
    this.#variables = variables
    this.#kernels = kernels
    this.#all = { ...variables, ...fixed }
    this.#weights = new VariablesState(tf, this.#all)
    this.#before = this.#weights.state()
    this.#errorBefore = this.#error()
  }

  /** From the lossless archive down, each density retrained from the last one that held. */
  async densities(): Promise<void> {
    const { tries, leastDensity, clusters } = this.#options
    await this.#consider(this.#before, {}, this.#before)
    const counts = Object.fromEntries(this.#kernels.map((name) => [name, clusters]))
    let held = 1
    let missed = leastDensity / 2
    for (let i = 0; i < tries / 2 && held / missed > CLOSE && held > leastDensity; i++) {
      const density = Math.max(leastDensity, Math.sqrt(held * missed))
      const pruned = await this.#prune(this.#best!.pruned, held, density)
      if (await this.#share(pruned, counts)) held = density
      else missed = density
    }
  }

  /** Fewer shared values, one kernel at a time, the largest first; a kernel that does not bear fewer is let alone. */
  async clusters(): Promise<void> {
    const bySize = [...this.#kernels].sort((a, b) => this.#all[b]!.size - this.#all[a]!.size)
    const open = new Set(bySize)
    while (open.size > 0 && this.#curve.length <= this.#options.tries) {
      for (const name of bySize) {
        const now = this.#best!.point.clusters[name] ?? 0
        if (!open.has(name) || now < 4 || this.#curve.length > this.#options.tries) open.delete(name)
        else if (!(await this.#share(this.#best!.pruned, { ...this.#best!.point.clusters, [name]: now >> 1 })))
          open.delete(name)
      }
    }
  }

  result(): CompressModelResult {
    const { archive, point, shared } = this.#best!
    this.#weights.restore(shared)
    return { archive, errorBefore: this.#errorBefore, errorAfter: point.error, curve: this.#curve }
  }

  undo(): void {
    this.#best?.archive.dispose()
    this.#weights.restore(this.#before)
  }

  async #prune(from: State, held: number, density: number): Promise<State> {
    const { steps, rate } = this.#options
    this.#weights.restore(from)
    const optimizer = this.#options.optimizer(rate)
    const training = new CentroidTraining(this.#tf, { variables: this.#variables, optimizer })
    const pruning = new Pruning(this.#tf, training, {
      density,
      names: this.#kernels,
      // A layer may fall to a fifth of the whole's density, not to nothing.
      leastDensity: density / 5,
      schedule: (target) => polynomialDensity(target, { initial: held }),
      every: Math.max(1, Math.floor(steps / 20)),
    })
    try {
      await this.#retrain(training, steps, optimizer, rate, pruning)
      return this.#weights.state()
    } finally {
      pruning.dispose()
      training.dispose()
      optimizer.dispose()
    }
  }

  /** Shares the kernels as they are pruned, tunes the centroids and considers the outcome. @returns whether it is the best now */
  async #share(pruned: State, clusters: Record<string, number>): Promise<boolean> {
    const { tuneSteps } = this.#options
    const rate = this.#options.rate * TUNE_RATE
    this.#weights.restore(pruned)
    const optimizer = this.#options.optimizer(rate)
    const training = new CentroidTraining(this.#tf, { variables: this.#variables, optimizer, reduction: 'mean' })
    try {
      for (const name of this.#kernels)
        training.share(await sharedValues(name, this.#all[name]!, clusters[name]!, this.#job))
      if (tuneSteps > 0) await this.#retrain(training, tuneSteps, optimizer, rate)
      return await this.#consider(pruned, clusters, this.#weights.state())
    } finally {
      training.dispose()
      optimizer.dispose()
    }
  }

  async #retrain(
    training: CentroidTraining,
    steps: number,
    optimizer: Optimizer,
    rate: number,
    pruning?: Pruning,
  ): Promise<void> {
    const { loss, batchSize, seed } = this.#options
    await retrainModel(
      this.#tf,
      this.#model,
      {
        training,
        data: this.#data.train,
        budget: { steps },
        learningRate: { optimizer, schedule: cosineRate(rate, 0.05) },
        ...(pruning ? { pruning } : {}),
        ...(loss === undefined ? {} : { loss }),
        ...(batchSize === undefined ? {} : { batchSize }),
        ...(seed === undefined ? {} : { seed }),
      },
      this.#job,
    )
  }

  /** Makes the archive of the model as it stands, measures, and keeps it if it is the smallest that holds. */
  async #consider(pruned: State, clusters: Record<string, number>, shared: State): Promise<boolean> {
    const tensors: WeightTensor[] = Object.entries(this.#all).map(([name, variable]) => ({
      name,
      shape: variable.shape,
      values: readValues(variable),
    }))
    const shares = Object.entries(clusters).map(([match, count]) => ({
      match,
      quantize: { method: 'kmeans' as const, clusters: count },
    }))
    const archive = await compress(tensors, { rules: [...shares, { match: '*', quantize: null }] }, this.#job)
    const error = this.#error()
    const { density, densities } = densitiesOf(tensors.filter(({ name }) => this.#kernels.includes(name)))
    const holds = error <= this.#errorBefore + this.#options.maxErrorIncrease
    const bytes = archive.report().compressedBytes
    const point: CurvePoint = { density, densities, clusters: { ...clusters }, error, bytes, holds }
    this.#curve.push(point)
    const better = holds && (this.#best === null || bytes < this.#best.point.bytes)
    if (better) {
      this.#best?.archive.dispose()
      this.#best = { point, archive, pruned, shared }
    } else archive.dispose()
    this.#options.onTry?.(point)
    return better
  }

  #error(): number {
    const { loss, error } = this.#options
    const { validation } = this.#data
    const losses = lossesOf(this.#model, loss)
    return evaluateModel(this.#tf, this.#model, { validation, losses, metrics: { error } }).error!
  }
}

function resolve(tf: TensorFlow, options: CompressModelOptions) {
  const given = assert.options<CompressModelOptions>('options', options, KEYS)
  const steps = assert.whole('options.steps', given.steps ?? 1000, 1, Number.MAX_SAFE_INTEGER)
  return {
    ...given,
    match: given.match ?? '*',
    error: given.error ?? wrongAnswers(tf),
    optimizer: given.optimizer ?? ((rate: number) => tf.train.adam(rate)),
    maxErrorIncrease: assert.finite('options.maxErrorIncrease', given.maxErrorIncrease ?? 0, 0),
    rate: assert.finite('options.rate', given.rate ?? 0.001, 0),
    steps,
    tuneSteps: assert.whole('options.tuneSteps', given.tuneSteps ?? steps >> 2, 0, Number.MAX_SAFE_INTEGER),
    tries: assert.whole('options.tries', given.tries ?? 16, 1, 1_000_000),
    leastDensity: assert.finite('options.leastDensity', given.leastDensity ?? 0.01, 0.0001, 1),
    clusters: assert.whole('options.clusters', given.clusters ?? 32, 2, 256),
  }
}

function wrongAnswers(tf: TensorFlow): LossFunction {
  return (labels: Tensor, predictions: Tensor) => {
    if (predictions.shape.at(-1)! > 1 && labels.shape.join() === predictions.shape.join()) {
      return tf.cast(tf.notEqual(tf.argMax(labels, -1), tf.argMax(predictions, -1)), 'float32')
    }
    throw new DeepCompressionError('ARG', 'options.error must be given: the labels are not one of several classes each')
  }
}

/** The weights of one kernel that are not zero, shared: k-means, then the nearest centroid of each. */
async function sharedValues(
  name: string,
  variable: Variable,
  clusters: number,
  job?: JobOptions,
): Promise<QuantizedTensor> {
  const values = readValues(variable)
  const mask = new Uint32Array(Math.ceil(values.length / 32))
  values.forEach((value, i) => {
    if (value !== 0) mask[i >>> 5]! |= 1 << (i & 31)
  })
  const { shape } = variable
  if (mask.every((word) => word === 0)) {
    return { name, shape, mask, kept: 0, codes: new Uint8Array(0), codebook: Float32Array.of(0) }
  }
  const { centroids } = await kmeans1d(values, { clusters, mask }, job)
  const codes = Uint8Array.from(await assign(values, centroids, { mask, ...job }))
  return { name, shape, mask, kept: codes.length, codes, codebook: centroids }
}

function densitiesOf(kernels: readonly WeightTensor[]): { density: number; densities: Record<string, number> } {
  const kept = kernels.map(({ values }) => values.reduce((count, value) => count + (value === 0 ? 0 : 1), 0))
  const densities = Object.fromEntries(kernels.map(({ name, values }, i) => [name, kept[i]! / values.length]))
  const all = kernels.reduce((count, { values }) => count + values.length, 0)
  return { density: kept.reduce((sum, count) => sum + count, 0) / all, densities }
}
