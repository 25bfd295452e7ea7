import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { resolveJob, throwIfAborted } from '../native/job.js'
import type { JobOptions } from '../tensor.js'
import { setLearningRate } from './live-weights.js'
import type { Schedule } from './schedule.js'
import { packState, type Resumable, recordOf, type State, type StateArray, unpackState } from './state.js'
import type { Optimizer, Scalar } from './tensorflow.js'

/** `MaskedTraining`, `CentroidTraining`, or anything that makes one update from a loss. */
export interface Trainer {
  step(loss: () => Scalar): Scalar
}

/** The run ends with whichever comes first; `steps` or `seconds` must be there. */
export interface Budget {
  /** Steps of the whole run, those before a checkpoint that it resumes from included. */
  steps?: number
  /** Seconds of this call. */
  seconds?: number
  /** Ends once `evaluate` has returned this or less, for example an error rate on held-out data. */
  target?: number
}

export interface CheckpointOptions {
  /** Steps between two checkpoints; default 500. One more is made when the run ends or is aborted. */
  every?: number
  /** Is given each checkpoint's bytes, for example to write them to a file; the run waits for it. */
  save?: (bytes: Uint8Array<ArrayBuffer>, step: number) => void | Promise<void>
  /**
   * What else changes during the run, by name: a `Pruning`, batches of a data set, your own random numbers. The trainer, which must
   * be `Resumable` itself, is always in it.
   */
  parts?: Readonly<Record<string, Resumable>>
}

export interface RunOptions {
  budget: Budget
  /** Builds the loss of step `step` (0, 1, ...) from that step's batch; called inside `tf.tidy`. */
  loss: (step: number) => Scalar
  /** Sets the optimizer's learning rate before each step. */
  learningRate?: { optimizer: Optimizer; schedule: Schedule }
  /** Called before each step: the place to prune further, freeze or free layers, fetch the next batch. */
  beforeStep?: (step: number, progress: number) => void | Promise<void>
  /** Called after each step with the loss before it; the answer `false` ends the run. */
  afterStep?: (step: number, loss: number) => unknown
  /** Smaller is better; called every `evaluateEvery` steps (default 500). */
  evaluate?: () => number | Promise<number>
  evaluateEvery?: number
  checkpoint?: CheckpointOptions
  /** Bytes of a checkpoint to go on from, with the same options and the same trainer and parts as made it. */
  resume?: Uint8Array
}

export interface RunResult {
  /** Steps done, also those before a checkpoint. */
  steps: number
  /** Of this call. */
  seconds: number
  /** Mean loss of the last steps (at most 100). */
  loss: number
  stoppedBy: 'steps' | 'seconds' | 'target' | 'callback'
  /** Of the end of the run, when `checkpoint` was given. */
  checkpoint?: Uint8Array<ArrayBuffer>
}

/** Thrown by a run that makes checkpoints. `checkpoint` is of the abort, or the last one made before a loss that is no number. */
export class StoppedRunError extends DeepCompressionError {
  readonly checkpoint: Uint8Array<ArrayBuffer>
  /** Steps done at the checkpoint. */
  readonly step: number

  constructor(error: DeepCompressionError, checkpoint: Uint8Array<ArrayBuffer>, step: number) {
    const status = error.code.slice('ERR_DC_'.length) as 'ABORTED' | 'NONFINITE'
    super(status, error.message, {
      ...(error.offset === undefined ? {} : { offset: error.offset }),
      ...(error.cause === undefined ? {} : { cause: error.cause }),
    })
    this.checkpoint = checkpoint
    this.step = step
  }
}

const RUN_KEYS = [
  'budget',
  'loss',
  'learningRate',
  'beforeStep',
  'afterStep',
  'evaluate',
  'evaluateEvery',
  'checkpoint',
  'resume',
] as const
const BUDGET_KEYS = ['steps', 'seconds', 'target'] as const
const CHECKPOINT_KEYS = ['every', 'save', 'parts'] as const
/** A step runs in the caller's thread; between steps the event loop gets a turn at least this often. */
const TURN_MS = 10
const LOSS_WINDOW = 100
const EVERY = 500

const turnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

function resolveRun(options: RunOptions): RunOptions & { budget: Readonly<Budget>; evaluateEvery: number } {
  const given = assert.options<RunOptions>('options', options, RUN_KEYS)
  const budget = assert.options<Budget>('options.budget', given.budget, BUDGET_KEYS)
  const { steps, seconds, target } = budget
  if (steps === undefined && seconds === undefined) {
    throw new DeepCompressionError('ARG', 'options.budget must have steps or seconds', { section: 'options.budget' })
  }
  if (typeof given.loss !== 'function') {
    throw new DeepCompressionError('TYPE', `options.loss must be a function, got ${assert.describe(given.loss)}`, {
      section: 'options.loss',
    })
  }
  if (steps !== undefined) assert.whole('options.budget.steps', steps, 1, Number.MAX_SAFE_INTEGER)
  if (seconds !== undefined) assert.finite('options.budget.seconds', seconds, 0)
  if (target !== undefined) assert.finite('options.budget.target', target)
  if ((target === undefined) !== (given.evaluate === undefined)) {
    throw new DeepCompressionError('ARG', 'options.evaluate and options.budget.target go together')
  }
  const evaluateEvery = given.evaluateEvery ?? EVERY
  assert.whole('options.evaluateEvery', evaluateEvery, 1, Number.MAX_SAFE_INTEGER)
  return { ...given, budget, evaluateEvery }
}

/** Mean of the last values it was given. */
class RecentMean {
  #values: number[] = []

  add(value: number): void {
    this.#values.push(value)
    if (this.#values.length > LOSS_WINDOW) this.#values.shift()
  }

  get value(): number {
    return this.#values.reduce((sum, value) => sum + value, 0) / this.#values.length
  }

  state(): State {
    return this.#values.slice()
  }

  restore(state: State): void {
    this.#values = (state as number[]).slice()
  }
}

/** Makes and restores the checkpoints of one run, and keeps the last good one. */
class Checkpoints {
  readonly every: number
  last: { bytes: Uint8Array<ArrayBuffer>; step: number } | null = null
  readonly #save: CheckpointOptions['save']
  readonly #parts: Readonly<Record<string, Resumable>>

  constructor(options: CheckpointOptions, trainer: Trainer, recent: RecentMean) {
    const given = assert.options<CheckpointOptions>('options.checkpoint', options, CHECKPOINT_KEYS)
    this.every = assert.whole('options.checkpoint.every', given.every ?? EVERY, 1, Number.MAX_SAFE_INTEGER)
    this.#save = given.save
    this.#parts = { trainer: trainer as Trainer & Resumable, 'recent losses': recent, ...given.parts }
    for (const [name, part] of Object.entries(this.#parts)) {
      if (typeof part?.state === 'function' && typeof part.restore === 'function') continue
      throw new DeepCompressionError('TYPE', `a checkpoint needs state() and restore() of its part "${name}"`)
    }
  }

  async make(step: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.last?.step === step) return this.last.bytes
    const parts = Object.fromEntries(Object.entries(this.#parts).map(([name, part]) => [name, part.state()]))
    if (!allFinite(parts)) {
      throw new DeepCompressionError('NONFINITE', `retrain: a weight is no finite number after ${step} steps`, {
        offset: step,
      })
    }
    const bytes = packState({ step, parts })
    this.last = { bytes, step }
    await this.#save?.(bytes, step)
    return bytes
  }

  /** @returns the step to go on with */
  restore(bytes: Uint8Array): number {
    const { step, parts } = recordOf('the run', unpackState(bytes), ['step', 'parts'])
    const states = recordOf('the run', parts, Object.keys(this.#parts))
    for (const [name, part] of Object.entries(this.#parts)) part.restore(states[name]!)
    this.last = { bytes: Uint8Array.from(bytes), step: step as number }
    return step as number
  }
}

function allFinite(state: State): boolean {
  if (ArrayBuffer.isView(state)) return (state as StateArray).every(Number.isFinite)
  return typeof state !== 'object' || state === null || Object.values(state).every(allFinite)
}

/**
 * Steps a trainer until its budget is used up. The model can be trained further, saved or used as it stands after every return,
 * also after an abort: between steps it is always consistent (pruned weights zero, shared weights equal to their centroids).
 *
 * With `checkpoint` a run can be stopped at any step and gone on with by `resume`, here or in another process; the weights are then
 * byte for byte those of a run that was not stopped, as long as the loss of a step depends on nothing but the step, the weights and
 * the parts, and the schedules not on the time.
 *
 * @throws ERR_DC_ABORTED between two steps once `job.signal` fires
 * @throws ERR_DC_NONFINITE when the loss is NaN or infinite: the learning rate is too high or the data are damaged. With `checkpoint`
 *   everything is set back to the last good one first. Both are a `StoppedRunError` then.
 */
export async function runTraining(trainer: Trainer, options: RunOptions, job?: JobOptions): Promise<RunResult> {
  const run = resolveRun(options)
  const resolved = resolveJob(job)
  const { steps = Infinity, seconds = Infinity, target } = run.budget
  const recent = new RecentMean()
  const wanted = run.checkpoint || run.resume ? new Checkpoints(run.checkpoint ?? {}, trainer, recent) : null
  const first = run.resume ? wanted!.restore(run.resume) : 0
  const checkpoints = run.checkpoint ? wanted : null
  const started = performance.now()
  const elapsed = () => (performance.now() - started) / 1000
  let lastTurn = started
  let step = first
  let inStep = false

  const reasonToStop = async (): Promise<RunResult['stoppedBy'] | null> => {
    if (step >= steps) return 'steps'
    if (elapsed() >= seconds) return 'seconds'
    const due = target !== undefined && step > first && step % run.evaluateEvery === 0
    return due && (await run.evaluate!()) <= target ? 'target' : null
  }
  const oneStep = async (): Promise<RunResult['stoppedBy'] | null> => {
    inStep = true
    const progress = Math.min(1, Math.max(step / steps, elapsed() / seconds))
    if (run.beforeStep) await run.beforeStep(step, progress)
    if (run.learningRate) setLearningRate(run.learningRate.optimizer, run.learningRate.schedule(progress))
    const loss = finiteLoss(
      trainer.step(() => run.loss(step)),
      step,
    )
    recent.add(loss)
    const done = step++
    inStep = false
    return run.afterStep && (await run.afterStep(done, loss)) === false ? 'callback' : null
  }
  const turn = async () => {
    if (performance.now() - lastTurn < TURN_MS) return
    const total = Number.isFinite(steps) ? steps : 0
    resolved.onProgress?.({ stage: 'retrain', tensor: '', done: step, total })
    await turnOfTheLoop()
    lastTurn = performance.now()
  }
  const steppedOut = async (): Promise<RunResult['stoppedBy']> => {
    if (checkpoints && !checkpoints.last) await checkpoints.make(step)
    for (;;) {
      throwIfAborted(resolved, 'retrain')
      const reason = (await reasonToStop()) ?? (await oneStep())
      if (reason) return reason
      if (checkpoints && step % checkpoints.every === 0) await checkpoints.make(step)
      await turn()
    }
  }

  try {
    const stoppedBy = await steppedOut()
    const result = { steps: step, seconds: elapsed(), loss: recent.value, stoppedBy }
    return checkpoints ? { ...result, checkpoint: await checkpoints.make(step) } : result
  } catch (error) {
    if (!checkpoints || !(error instanceof DeepCompressionError)) throw error
    throw await stoppedWith(error, checkpoints, inStep ? null : step)
  }
}

/** @param step steps done; null in the middle of one, where only the last checkpoint is sound */
async function stoppedWith(
  error: DeepCompressionError,
  checkpoints: Checkpoints,
  step: number | null,
): Promise<DeepCompressionError> {
  if (error.code === 'ERR_DC_ABORTED' && step !== null) await checkpoints.make(step)
  if ((error.code !== 'ERR_DC_ABORTED' && error.code !== 'ERR_DC_NONFINITE') || !checkpoints.last) return error
  const { bytes, step: good } = checkpoints.last
  if (error.code === 'ERR_DC_ABORTED') return new StoppedRunError(error, bytes, good)
  checkpoints.restore(bytes)
  const message = `${error.message}; everything is set back to the checkpoint of step ${good}`
  const said = new DeepCompressionError(
    'NONFINITE',
    message,
    error.offset === undefined ? {} : { offset: error.offset },
  )
  return new StoppedRunError(said, bytes, good)
}

function finiteLoss(scalar: Scalar, step: number): number {
  const loss = scalar.dataSync()[0]!
  scalar.dispose()
  if (Number.isFinite(loss)) return loss
  throw new DeepCompressionError('NONFINITE', `retrain: the loss is ${loss} at step ${step}`, { offset: step })
}
