import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import type { JobOptions } from '../tensor.js'
import { type Batch, batchesOf, type Examples, type TrainingData, tensorList } from './batches.js'
import type { MaskedTraining } from './masked-training.js'
import { modelWeights, VariablesState } from './model-weights.js'
import type { Pruning } from './pruning.js'
import { type CheckpointOptions, type RunOptions, type RunResult, runTraining } from './run.js'
import type { LayersModel, Scalar, Tensor, TensorFlow } from './tensorflow.js'

/** Loss or metric of a batch: a scalar, or one value an example (their mean counts). */
export type LossFunction = (labels: Tensor, predictions: Tensor) => Tensor

/** Mean loss and metrics of the validation data. */
export type Logs = Readonly<Record<string, number>>

export interface RetrainModelOptions extends Pick<RunOptions, 'learningRate' | 'afterStep' | 'resume'> {
  /** A `MaskedTraining` or `CentroidTraining` over `modelWeights(model).variables`, with the optimizer of your choice. */
  training: MaskedTraining
  pruning?: Pruning
  data: TrainingData
  /** For tensors; default 32. */
  batchSize?: number
  /** Of the order of tensors; default 0. */
  seed?: number
  /** One for all outputs, or one for each; default: those the model was compiled with. Regularizers of layers are added. */
  loss?: LossFunction | readonly LossFunction[]
  budget: {
    steps?: number
    seconds?: number
    /** Ends once a number of the validation is good enough; looked at every `evaluateEvery` steps. */
    target?: { metric: string; atMost?: number; atLeast?: number }
  }
  validation?: Examples
  /** By name, of the first output; `loss` is always there. */
  metrics?: Readonly<Record<string, LossFunction>>
  /** Default 500. */
  evaluateEvery?: number
  /** Called with each validation; the answer `false` ends the run. */
  onEvaluate?: (step: number, logs: Logs) => unknown
  /** Called before each step, after the pruning. */
  beforeStep?: RunOptions['beforeStep']
  checkpoint?: CheckpointOptions
}

export interface RetrainModelResult extends RunResult {
  /** The last validation; the one that reached the target, if it did. */
  logs?: Logs
}

const KEYS = [
  'training',
  'pruning',
  'data',
  'batchSize',
  'seed',
  'loss',
  'budget',
  'validation',
  'metrics',
  'evaluateEvery',
  'onEvaluate',
  'beforeStep',
  'checkpoint',
  'learningRate',
  'afterStep',
  'resume',
] as const
const TARGET_KEYS = ['metric', 'atMost', 'atLeast'] as const
const VALIDATION_BATCH = 256

/**
 * Retrains a tfjs layers model as it stands: your loss, optimizer, data, metrics and callbacks, under the masks and shared weights of
 * `training`. Dropout and batch normalization work as in `model.fit`; moving means are part of the checkpoints.
 *
 *     const { variables, kernels } = modelWeights(model, 'conv*')
 *     const training = new MaskedTraining(tf, { variables, optimizer: tf.train.adam(1e-3) })
 *     const pruning = new Pruning(tf, training, { density: 0.1, names: kernels })
 *     await retrainModel(tf, model, { training, pruning, data: { xs, ys }, budget: { steps: 2000 } })
 */
export async function retrainModel(
  tf: TensorFlow,
  model: LayersModel,
  options: RetrainModelOptions,
  job?: JobOptions,
): Promise<RetrainModelResult> {
  const given = assert.options<RetrainModelOptions>('options', options, KEYS)
  const losses = lossesOf(model, given.loss)
  const { inputNames, outputNames } = model
  const { batchSize = 32, seed = 0, evaluateEvery = 500, training, pruning } = given
  assert.whole('options.evaluateEvery', evaluateEvery, 1, Number.MAX_SAFE_INTEGER)
  const batches = batchesOf(tf, given.data, { inputNames, outputNames, batchSize, seed })
  const { target, ...budget } = given.budget
  const reached = targetOf(target, given)
  const moving = new VariablesState(tf, modelWeights(model).fixed)
  let logs: Logs | undefined
  let hit = false

  const afterStep = async (step: number, loss: number) => {
    const goOn = given.afterStep && (await given.afterStep(step, loss)) === false
    if (goOn) return false
    if (!given.validation || (step + 1) % evaluateEvery !== 0) return true
    logs = evaluateModel(tf, model, { ...given, losses })
    hit = reached(logs)
    return (await given.onEvaluate?.(step + 1, logs)) !== false && !hit
  }
  const parts = { batches, model: moving, ...(pruning ? { pruning } : {}), ...given.checkpoint?.parts }
  try {
    const result = await runTraining(
      training,
      {
        budget,
        loss: (step) => lossOf(tf, model, losses, batches.take(step)),
        ...(given.learningRate ? { learningRate: given.learningRate } : {}),
        beforeStep: async (step, progress) => {
          pruning?.beforeStep(step, progress)
          await given.beforeStep?.(step, progress)
          await batches.prepare(step)
        },
        afterStep,
        ...(given.checkpoint || given.resume ? { checkpoint: { ...given.checkpoint, parts } } : {}),
        ...(given.resume ? { resume: given.resume } : {}),
      },
      job,
    )
    return { ...result, ...(hit ? { stoppedBy: 'target' as const } : {}), ...(logs ? { logs } : {}) }
  } finally {
    batches.dispose()
  }
}

/** A sequential model makes its inputs and outputs at its first use. */
function buildSequential(model: LayersModel): void {
  if (!model?.inputNames?.length) (model as unknown as { build?: () => void })?.build?.()
}

/** The loss that training sees: that of each output, and the layers' regularizers. */
function lossOf(tf: TensorFlow, model: LayersModel, losses: readonly LossFunction[], { xs, ys }: Batch): Scalar {
  const answers = outputsOf(model.apply(xs.length === 1 ? xs[0]! : xs, { training: true }) as Tensor | Tensor[])
  const parts = answers.map((answer, i) => tf.mean(losses[i]!(ys[i]!, answer)))
  const penalties = model.calculateLosses().map((penalty) => tf.mean(penalty))
  return [...parts, ...penalties].reduce((sum, part) => tf.add(sum, part)) as Scalar
}

const outputsOf = (answer: Tensor | Tensor[]) => (Array.isArray(answer) ? answer : [answer])

/** A loss for each output: the given one or ones, else those the model was compiled with. */
export function lossesOf(model: LayersModel, given: RetrainModelOptions['loss']): readonly LossFunction[] {
  buildSequential(model)
  const { outputNames } = model
  if (typeof given === 'function') return outputNames.map(() => given)
  // A sequential model keeps what it was compiled with in the model behind it.
  const inner = model as unknown as { lossFunctions?: LossFunction[]; model?: { lossFunctions?: LossFunction[] } }
  const list = given ?? inner.lossFunctions ?? inner.model?.lossFunctions
  if (list?.length === outputNames.length && list.every((loss) => typeof loss === 'function')) return list
  const why = given
    ? `${given.length} functions for ${outputNames.length} outputs`
    : 'neither given nor compiled into the model'
  throw new DeepCompressionError('ARG', `options.loss: ${why}`, { section: 'options.loss' })
}

function targetOf(
  target: RetrainModelOptions['budget']['target'],
  options: RetrainModelOptions,
): (logs: Logs) => boolean {
  if (target === undefined) return () => false
  const { metric, atMost, atLeast } = assert.options<NonNullable<typeof target>>(
    'options.budget.target',
    target,
    TARGET_KEYS,
  )
  assert.oneOf('options.budget.target.metric', metric, ['loss', ...Object.keys(options.metrics ?? {})])
  if (!options.validation || (atMost === undefined) === (atLeast === undefined)) {
    throw new DeepCompressionError(
      'ARG',
      'options.budget.target needs options.validation, and either atMost or atLeast',
    )
  }
  const limit = assert.finite('options.budget.target', atMost ?? atLeast)
  return (logs) => (atMost === undefined ? logs[metric]! >= limit : logs[metric]! <= limit)
}

interface Evaluation extends Pick<RetrainModelOptions, 'validation' | 'metrics'> {
  losses: readonly LossFunction[]
}

/** Mean loss (without regularizers) and metrics over the validation examples, the model as in `predict`. */
export function evaluateModel(
  tf: TensorFlow,
  model: LayersModel,
  { validation, metrics = {}, losses }: Evaluation,
): Logs {
  const xs = tensorList('validation.xs', validation!.xs, model.inputNames)
  const ys = tensorList('validation.ys', validation!.ys, model.outputNames)
  const count = xs[0]!.shape[0]!
  const sums: Record<string, number> = Object.fromEntries(['loss', ...Object.keys(metrics)].map((name) => [name, 0]))
  for (let from = 0; from < count; from += VALIDATION_BATCH) {
    const size = Math.min(VALIDATION_BATCH, count - from)
    const rows = (all: Tensor) =>
      tf.slice(all, [from, ...all.shape.slice(1).map(() => 0)], [size, ...all.shape.slice(1)])
    tf.tidy(() => {
      const input = xs.map(rows)
      const labels = ys.map(rows)
      const answers = outputsOf(model.apply(input.length === 1 ? input[0]! : input) as Tensor | Tensor[])
      const add = (name: string, value: Tensor) => {
        sums[name]! += size * tf.mean(value).dataSync()[0]!
      }
      for (const [i, answer] of answers.entries()) add('loss', losses[i]!(labels[i]!, answer))
      for (const [name, metric] of Object.entries(metrics)) add(name, metric(labels[0]!, answers[0]!))
    })
  }
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / count]))
}
