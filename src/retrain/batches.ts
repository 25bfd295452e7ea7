import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { randomOrder } from './random.js'
import { type Resumable, recordOf, type State } from './state.js'
import type { Tensor, TensorFlow } from './tensorflow.js'

/** Inputs and labels of one batch, a tensor for each input and output of the model. */
export interface Batch {
  xs: Tensor[]
  ys: Tensor[]
}

type Named = Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>>

/** Examples along the first axis of each tensor; several inputs or outputs as a list in the model's order, or by name. */
export interface Examples {
  xs: Named
  ys: Named
}

/** What this needs of a `tf.data.Dataset` of batches `{ xs, ys }` (or pairs of them). */
export interface DatasetLike {
  iterator(): Promise<{ next(): Promise<{ value: unknown; done?: boolean }> }>
}

export type TrainingData = Examples | DatasetLike | ((step: number) => Examples)

/** Where batches come from; a part of a run's checkpoints. */
export interface Batches extends Resumable {
  /** Before a step: fetches what `take` answers. */
  prepare(step: number): Promise<void>
  /** The batch of this step; inside the step's `tf.tidy`. */
  take(step: number): Batch
  dispose(): void
}

export interface BatchesOptions {
  inputNames: readonly string[]
  outputNames: readonly string[]
  batchSize: number
  seed: number
}

const isTensor = (value: unknown): value is Tensor => typeof (value as Tensor | null)?.dataSync === 'function'

export function tensorList(what: string, given: unknown, names: readonly string[]): Tensor[] {
  const list = isTensor(given)
    ? [given]
    : Array.isArray(given)
      ? given
      : names.map((name) => (given as Record<string, Tensor>)?.[name])
  if (list.length === names.length && list.every(isTensor)) return list
  throw new DeepCompressionError('ARG', `${what} must be ${names.length} tensors (${names.join(', ')})`, {
    section: what,
  })
}

export function batchesOf(tf: TensorFlow, data: TrainingData, options: BatchesOptions): Batches {
  if (typeof data === 'function') return new CalledBatches(data, options)
  if (typeof (data as DatasetLike)?.iterator === 'function') return new DatasetBatches(tf, data as DatasetLike, options)
  return new TensorBatches(tf, data as Examples, options)
}

function readExamples(value: unknown, { inputNames, outputNames }: BatchesOptions): Batch {
  const { xs, ys } = Array.isArray(value) ? { xs: value[0], ys: value[1] } : ((value ?? {}) as Examples)
  return { xs: tensorList('xs', xs, inputNames), ys: tensorList('ys', ys, outputNames) }
}

/** The caller makes the batch of a step; it must depend on nothing but the step for an exact resume. */
class CalledBatches implements Batches {
  readonly #make: (step: number) => Examples
  readonly #options: BatchesOptions

  constructor(make: (step: number) => Examples, options: BatchesOptions) {
    this.#make = make
    this.#options = options
  }

  async prepare(): Promise<void> {}

  take(step: number): Batch {
    return readExamples(this.#make(step), this.#options)
  }

  state(): State {
    return null
  }

  restore(): void {}

  dispose(): void {}
}

/** Shuffled batches of tensors. The order of an epoch is a function of the seed and the epoch; a remainder is left out. */
class TensorBatches implements Batches {
  readonly #tf: TensorFlow
  readonly #all: Batch
  readonly #count: number
  readonly #size: number
  readonly #seed: number
  #epoch = -1
  #order: Uint32Array = new Uint32Array(0)

  constructor(tf: TensorFlow, examples: Examples, options: BatchesOptions) {
    this.#tf = tf
    this.#all = readExamples(examples, options)
    this.#count = this.#all.xs[0]!.shape[0] ?? 0
    for (const { shape } of [...this.#all.xs, ...this.#all.ys]) {
      if (shape[0] === this.#count && this.#count > 0) continue
      throw new DeepCompressionError('ARG', `xs and ys must have as many examples, got ${this.#count} and ${shape[0]}`)
    }
    this.#size = Math.min(this.#count, assert.whole('batchSize', options.batchSize, 1, 2 ** 31))
    this.#seed = assert.whole('seed', options.seed, 0, 2 ** 32 - 1)
  }

  async prepare(): Promise<void> {}

  take(step: number): Batch {
    const perEpoch = Math.floor(this.#count / this.#size)
    const epoch = Math.floor(step / perEpoch)
    if (epoch !== this.#epoch) {
      this.#order = randomOrder(this.#count, this.#seed, epoch)
      this.#epoch = epoch
    }
    const from = (step % perEpoch) * this.#size
    const rows = this.#tf.tensor1d(Int32Array.from(this.#order.subarray(from, from + this.#size)), 'int32')
    const pick = (all: Tensor) => this.#tf.gather(all, rows)
    return { xs: this.#all.xs.map(pick), ys: this.#all.ys.map(pick) }
  }

  state(): State {
    return { seed: this.#seed }
  }

  restore(state: State): void {
    const { seed } = recordOf('the batches', state, ['seed'])
    if (seed !== this.#seed)
      throw new DeepCompressionError('ARG', `the checkpoint's batches have seed ${seed}, not ${this.#seed}`)
  }

  dispose(): void {}
}

/**
 * Batches of a `tf.data` data set, one epoch after another. To resume, a fresh data set is run forward to where the other one was, an
 * iterator for each epoch: a `shuffle` with a seed then deals the same batches.
 */
class DatasetBatches implements Batches {
  readonly #tf: TensorFlow
  readonly #dataset: DatasetLike
  readonly #options: BatchesOptions
  #iterator: Awaited<ReturnType<DatasetLike['iterator']>> | null = null
  #epoch = 0
  #taken = 0
  #now: unknown = null

  constructor(tf: TensorFlow, dataset: DatasetLike, options: BatchesOptions) {
    this.#tf = tf
    this.#dataset = dataset
    this.#options = options
  }

  async prepare(): Promise<void> {
    this.dispose()
    if (!this.#iterator) await this.#runForward()
    let next = await this.#iterator!.next()
    if (next.done) {
      this.#iterator = await this.#dataset.iterator()
      this.#epoch++
      this.#taken = 0
      next = await this.#iterator.next()
      if (next.done) throw new DeepCompressionError('ARG', 'the data set holds no batch')
    }
    this.#taken++
    this.#now = next.value
  }

  take(): Batch {
    return readExamples(this.#now, this.#options)
  }

  state(): State {
    return { epoch: this.#epoch, taken: this.#taken }
  }

  restore(state: State): void {
    const { epoch, taken } = recordOf('the data set', state, ['epoch', 'taken'])
    this.dispose()
    this.#iterator = null
    this.#epoch = epoch as number
    this.#taken = taken as number
  }

  dispose(): void {
    if (this.#now) this.#tf.dispose(this.#now as Tensor)
    this.#now = null
  }

  async #runForward(): Promise<void> {
    for (let epoch = 0; epoch <= this.#epoch; epoch++) this.#iterator = await this.#dataset.iterator()
    for (let batch = 0; batch < this.#taken; batch++) {
      const { value, done } = await this.#iterator!.next()
      if (done)
        throw new DeepCompressionError('ARG', `the data set has fewer than the checkpoint's ${this.#taken} batches`)
      this.#tf.dispose(value as Tensor)
    }
  }
}
