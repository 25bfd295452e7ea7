import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { resolveJob, throwIfAborted } from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { setLearningRate } from './live-weights.js'
import type { Schedule } from './schedule.js'
import type { Optimizer, Scalar } from './tensorflow.js'

/** `MaskedTraining`, `CentroidTraining`, or anything that makes one update from a loss. */
export interface Trainer {
  step(loss: () => Scalar): Scalar
}

/** The run ends with whichever comes first; `steps` or `seconds` must be there. */
export interface Budget {
  steps?: number
  seconds?: number
  /** Ends once `evaluate` has returned this or less, for example an error rate on held-out data. */
  target?: number
}

export interface RunOptions {
  budget: Budget
  /** Builds the loss of step `step` (0, 1, ...) from that step's batch; called inside `tf.tidy`. */
  loss: (step: number) => Scalar
  /** Sets the optimizer's learning rate before each step. */
  learningRate?: { optimizer: Optimizer; schedule: Schedule }
  /** Called before each step: the place to prune further, freeze or free layers. */
  beforeStep?: (step: number, progress: number) => void | Promise<void>
  /** Smaller is better; called every `evaluateEvery` steps (default 500). */
  evaluate?: () => number | Promise<number>
  evaluateEvery?: number
}

export interface RunResult {
  steps: number
  seconds: number
  /** Mean loss of the last steps (at most 100). */
  loss: number
  stoppedBy: 'steps' | 'seconds' | 'target'
}

const RUN_KEYS = ['budget', 'loss', 'learningRate', 'beforeStep', 'evaluate', 'evaluateEvery'] as const
const BUDGET_KEYS = ['steps', 'seconds', 'target'] as const
/** A step runs in the caller's thread; between steps the event loop gets a turn at least this often. */
const TURN_MS = 10
const LOSS_WINDOW = 100

const turnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

function resolveRun(options: RunOptions): RunOptions & { budget: Readonly<Budget> } {
  const given = assert.options<RunOptions>('options', options, RUN_KEYS)
  const budget = assert.options<Budget>('options.budget', given.budget, BUDGET_KEYS)
  const { steps, seconds, target } = budget
  if (steps === undefined && seconds === undefined) {
    throw new DeepCompressionError('ARG', 'options.budget must have steps or seconds', { section: 'options.budget' })
  }
  if (steps !== undefined) assert.whole('options.budget.steps', steps, 1, Number.MAX_SAFE_INTEGER)
  if (seconds !== undefined) assert.finite('options.budget.seconds', seconds, 0)
  if (target !== undefined) assert.finite('options.budget.target', target)
  if ((target === undefined) !== (given.evaluate === undefined)) {
    throw new DeepCompressionError('ARG', 'options.evaluate and options.budget.target go together')
  }
  return { ...given, budget }
}

/** Mean of the last values it was given. */
class RecentMean {
  readonly #values: number[] = []

  add(value: number): void {
    this.#values.push(value)
    if (this.#values.length > LOSS_WINDOW) this.#values.shift()
  }

  get value(): number {
    return this.#values.reduce((sum, value) => sum + value, 0) / this.#values.length
  }
}

/**
 * Steps a trainer until its budget is used up. The model can be trained further, saved or used as it stands after every return,
 * also after an abort: between steps it is always consistent (pruned weights zero, shared weights equal to their centroids).
 *
 * @throws ERR_DC_ABORTED between two steps once `job.signal` fires
 * @throws ERR_DC_NONFINITE when the loss is NaN or infinite: the learning rate is too high or the data are damaged
 */
export async function runTraining(trainer: Trainer, options: RunOptions, job?: JobOptions): Promise<RunResult> {
  const run = resolveRun(options)
  const resolved = resolveJob(job)
  const { steps = Infinity, seconds = Infinity, target } = run.budget
  const started = performance.now()
  const elapsed = () => (performance.now() - started) / 1000
  const recent = new RecentMean()
  const evaluateEvery = run.evaluateEvery ?? 500
  let lastTurn = started
  const result = (step: number, stoppedBy: RunResult['stoppedBy']) => ({
    steps: step,
    seconds: elapsed(),
    loss: recent.value,
    stoppedBy,
  })
  for (let step = 0; ; step++) {
    throwIfAborted(resolved, 'retrain')
    if (step >= steps) return result(step, 'steps')
    if (elapsed() >= seconds) return result(step, 'seconds')
    if (target !== undefined && step > 0 && step % evaluateEvery === 0 && (await run.evaluate!()) <= target) {
      return result(step, 'target')
    }
    const progress = Math.min(1, Math.max(step / steps, elapsed() / seconds))
    if (run.beforeStep) await run.beforeStep(step, progress)
    if (run.learningRate) setLearningRate(run.learningRate.optimizer, run.learningRate.schedule(progress))
    recent.add(
      finiteLoss(
        trainer.step(() => run.loss(step)),
        step,
      ),
    )
    if (performance.now() - lastTurn >= TURN_MS) {
      const total = Number.isFinite(steps) ? steps : 0
      resolved.onProgress?.({ stage: 'retrain', tensor: '', done: step + 1, total })
      await turnOfTheLoop()
      lastTurn = performance.now()
    }
  }
}

function finiteLoss(scalar: Scalar, step: number): number {
  const loss = scalar.dataSync()[0]!
  scalar.dispose()
  if (Number.isFinite(loss)) return loss
  throw new DeepCompressionError('NONFINITE', `retrain: the loss is ${loss} at step ${step}`, { offset: step })
}
