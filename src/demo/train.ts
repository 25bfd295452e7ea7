import type * as tfjs from '@tensorflow/tfjs'
import { assign } from '../quantize/assign.js'
import { kmeans1d } from '../quantize/kmeans.js'
import {
  CentroidTraining,
  cosineRate,
  MaskedTraining,
  Pruning,
  polynomialDensity,
  runTraining,
  type Trainer,
} from '../retrain/index.js'
import type { JobOptions, QuantizedTensor, WeightTensor } from '../tensor.js'
import { testError } from './evaluate.js'
import type { Net, TensorFlowJs } from './lenet.js'
import { type Batch, CLASSES, type DigitSet, IMAGE_PIXELS, shuffledBatches } from './mnist.js'
import type { DemoRecipe, Phase } from './recipe.js'

export interface TrainingData {
  train: DigitSet
  test: DigitSet
}

/** One line of a run: a stage's time and the test error after it, in per cent. */
export interface StageResult {
  stage: 'dense' | 'prune' | 'share' | 'fine-tune'
  seconds: number
  testError: number
}

export interface TrainedNet {
  stages: StageResult[]
  /** Every weight after the dense training, in the order of the variables. */
  denseWeights: WeightTensor[]
  /** Every weight now: pruned, shared, fine-tuned. */
  weights: WeightTensor[]
  /** The same kernels as codes and codebooks. */
  shared: QuantizedTensor[]
}

export interface Context {
  tf: TensorFlowJs
  net: Net
  recipe: DemoRecipe
  data: TrainingData
  seed: number
  job: JobOptions
  log: (message: string) => void
}

/** Mean cross entropy of a batch. */
function crossEntropy(tf: TensorFlowJs, net: Net, batch: Batch): tfjs.Scalar {
  const pixels = tf.tensor2d(batch.pixels, [batch.size, IMAGE_PIXELS])
  const truth = tf.oneHot(tf.tensor1d(batch.labels, 'int32'), CLASSES)
  return tf.neg(tf.mean(tf.sum(tf.mul(truth, tf.logSoftmax(net.logits(pixels))), 1)))
}

interface RunPhase {
  trainer: Trainer
  optimizer: tfjs.Optimizer
  phase: Phase
  /** Number of the random stream: its own order and shifts for each phase. */
  stream: number
  beforeStep?: (step: number, progress: number) => void
}

async function runPhase(context: Context, run: RunPhase): Promise<number> {
  const { tf, net, recipe, data, seed, job } = context
  const batches = shuffledBatches(data.train, { size: recipe.batch, shift: recipe.shift, seed, stream: run.stream })
  const steps = run.phase.epochs * batches.perEpoch
  const schedule = cosineRate(run.phase.rate, Math.min(0.5, 100 / steps))
  const result = await runTraining(
    run.trainer,
    {
      budget: { steps },
      loss: (step) => crossEntropy(tf, net, batches.at(step)),
      learningRate: { optimizer: run.optimizer, schedule },
      ...(run.beforeStep ? { beforeStep: run.beforeStep } : {}),
    },
    job,
  )
  return result.seconds
}

function newMomentum(tf: TensorFlowJs): tfjs.Optimizer {
  return tf.train.momentum(0.01, 0.9, true)
}

async function trainDense(context: Context): Promise<StageResult> {
  const { tf, net, recipe, data } = context
  const optimizer = newMomentum(tf)
  const trainer = new MaskedTraining(tf, { variables: net.variables, optimizer })
  const seconds = await runPhase(context, { trainer, optimizer, phase: recipe.dense, stream: 0 })
  optimizer.dispose()
  return { stage: 'dense', seconds, testError: testError(tf, net, data.test) }
}

/** The recipe's budgets on their way down: two cuts an epoch, each to the density its schedule has half an epoch later. */
function prunings({ tf, recipe }: Context, training: MaskedTraining, every: number): Pruning[] {
  const { epochs, until, initial = 1, criterion = 'magnitude' } = recipe.retrain
  const ahead = 1 / (epochs * 2)
  const schedule = (target: number) => {
    const density = polynomialDensity(target, { until, initial: Math.max(initial, target) })
    return (progress: number) => density(progress + ahead)
  }
  const cuts = { criterion, schedule, every }
  const each = Object.keys(recipe.density).length > 0 ? [{ density: recipe.density }] : []
  return [...each, ...(recipe.together ? [recipe.together] : [])].map(
    (budget) => new Pruning(tf, training, { ...budget, ...cuts }),
  )
}

/** Prunes while the net is retrained. Paper, section 2. */
async function pruneAndRetrain(context: Context): Promise<StageResult & { masks: Map<string, Uint32Array> }> {
  const { tf, net, recipe, data } = context
  const optimizer = newMomentum(tf)
  const training = new MaskedTraining(tf, { variables: net.variables, optimizer })
  const budgets = prunings(context, training, Math.floor(data.train.count / recipe.batch / 2))
  const seconds = await runPhase(context, {
    trainer: training,
    optimizer,
    phase: recipe.retrain,
    stream: 1,
    beforeStep: (step, progress) => {
      for (const pruning of budgets) pruning.beforeStep(step, progress)
    },
  })
  for (const pruning of budgets) pruning.finish()
  const masks = new Map<string, Uint32Array>()
  for (const name of training.weights.names) {
    const mask = training.mask(name)
    if (mask) masks.set(name, mask)
  }
  for (const pruning of budgets) pruning.dispose()
  training.dispose()
  optimizer.dispose()
  return { stage: 'prune', seconds, testError: testError(tf, net, data.test), masks }
}

/** Shares the kept weights of one tensor (all of a bias): k-means, then the nearest centroid of each. Paper, section 3. */
async function shareKernel(
  name: string,
  variable: tfjs.Variable,
  mask: Uint32Array | null,
  clusters: number,
): Promise<QuantizedTensor> {
  const values = (await variable.data()) as Float32Array
  const kept = mask ? { mask } : {}
  const { centroids } = await kmeans1d(values, { clusters, ...kept, algorithm: 'lloyd', init: 'linear' })
  const codes = Uint8Array.from(await assign(values, centroids, kept))
  return { name, shape: variable.shape, mask, kept: codes.length, codes, codebook: centroids }
}

/** Shares all kernels and fine-tunes their centroids (section 3.3), the biases with them. */
async function shareAndFineTune(context: Context, masks: ReadonlyMap<string, Uint32Array>) {
  const { tf, net, recipe, data } = context
  const started = performance.now()
  const names = Object.keys(recipe.clusters)
  const first = await Promise.all(
    names.map((name) => shareKernel(name, net.variables[name]!, masks.get(name) ?? null, recipe.clusters[name]!)),
  )
  const optimizer = tf.train.adam(recipe.centroids.rate)
  const training = new CentroidTraining(tf, { variables: net.variables, shared: first, optimizer })
  const share: StageResult = {
    stage: 'share',
    seconds: (performance.now() - started) / 1000,
    testError: testError(tf, net, data.test),
  }
  context.log(describe(share))
  const seconds = await runPhase(context, { trainer: training, optimizer, phase: recipe.centroids, stream: 2 })
  if (recipe.halfPrecision) {
    for (const name of names) {
      const tensor = training.quantized(name)
      training.share({ ...tensor, codebook: tensor.codebook.map(nearestHalf) })
    }
  }
  const shared = names.map((name) => training.quantized(name))
  training.dispose()
  optimizer.dispose()
  const tune: StageResult = { stage: 'fine-tune', seconds, testError: testError(tf, net, data.test) }
  context.log(describe(tune))
  return { stages: [share, tune], shared }
}

/** The nearest number with the 11 significant bits of a float16, for magnitudes below 65,504. */
function nearestHalf(value: number): number {
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10)
  return Math.round(value / step) * step
}

function describe(result: StageResult): string {
  return `${result.stage.padEnd(9)} ${result.seconds.toFixed(1).padStart(6)} s   test error ${result.testError.toFixed(2)} %`
}

/** Copies of all weights, in the order of the variables. */
export async function readWeights(net: Net): Promise<WeightTensor[]> {
  const read = Object.entries(net.variables).map(async ([name, variable]) => ({
    name,
    shape: variable.shape,
    values: Float32Array.from(await variable.data()),
  }))
  return Promise.all(read)
}

/** Dense training, pruning with retraining, weight sharing, centroid fine-tuning, all on one live net. */
export async function trainCompressed(context: Context): Promise<TrainedNet> {
  const dense = await trainDense(context)
  context.log(describe(dense))
  const denseWeights = await readWeights(context.net)
  const { masks, ...pruned } = await pruneAndRetrain(context)
  context.log(describe(pruned))
  const { stages, shared } = await shareAndFineTune(context, masks)
  const weights = await readWeights(context.net)
  return { stages: [dense, pruned, ...stages], denseWeights, weights, shared }
}
