import { types } from 'node:util'
import { DeepCompressionError, printable } from '../errors.js'
import { elementCount } from '../tensor.js'
import { applyUpdates, LiveWeights, type NamedVariables } from './live-weights.js'
import type { Optimizer, Scalar, Tensor, TensorFlow } from './tensorflow.js'

export interface MaskedTrainingOptions {
  /** Every variable that may be trained, by the caller's names. The order is kept for the life of the training. */
  variables: NamedVariables
  optimizer: Optimizer
}

/**
 * Retraining after pruning (paper, section 2): the kept weights move, the pruned ones stay exactly +0.
 *
 *     const training = new MaskedTraining(tf, { variables: { 'ip1/kernel': w1, ... }, optimizer: tf.train.momentum(0.01, 0.9) })
 *     training.setMask('ip1/kernel', (await prune(values, { density: 0.08 })).mask)
 *     training.freeze(['conv1/kernel'])
 *     const loss = training.step(() => tf.losses.softmaxCrossEntropy(labels, model.apply(images)))
 *
 * The mask is applied to the weights after each update, not to the gradients. It is therefore exact under every optimizer: weight
 * decay, momentum from before the pruning and Adam's moments cannot revive a weight. It costs one select a pruned tensor and step.
 */
export class MaskedTraining {
  readonly weights: LiveWeights
  readonly #tf: TensorFlow
  readonly #optimizer: Optimizer
  readonly #masks = new Map<string, { keep: Tensor; zeros: Tensor }>()

  constructor(tf: TensorFlow, options: MaskedTrainingOptions) {
    this.#tf = tf
    this.weights = new LiveWeights(tf, options.variables)
    this.#optimizer = options.optimizer
  }

  /**
   * Prunes a variable now and keeps it pruned. The variable itself is not replaced.
   *
   * @param mask one bit a weight in C order, 1 = kept (the `mask` of `prune`); null lets every weight live (again)
   */
  setMask(name: string, mask: Uint32Array | null): void {
    const variable = this.weights.variable(name)
    const keep = mask === null ? null : unpackMask(name, mask, elementCount(variable.shape))
    this.#forget(name)
    if (keep === null) return
    const tf = this.#tf
    const tensors = { keep: tf.tensor(keep, variable.shape, 'bool'), zeros: tf.keep(tf.zerosLike(variable)) }
    tf.keep(tensors.keep)
    this.#masks.set(name, tensors)
    this.#applyMask(name)
  }

  isMasked(name: string): boolean {
    this.weights.variable(name)
    return this.#masks.has(name)
  }

  freeze(names: readonly string[]): void {
    this.weights.freeze(names)
  }

  free(names: readonly string[]): void {
    this.weights.free(names)
  }

  /**
   * One update of the free variables.
   *
   * @param loss builds the scalar loss of this step's batch from the live model
   * @returns the loss before the update; the caller disposes it
   */
  step(loss: () => Scalar): Scalar {
    return this.#tf.tidy(() => {
      const { value, gradientOf } = this.weights.gradients(loss)
      const update = (name: string) => ({ name: this.weights.variable(name).name, tensor: gradientOf(name) })
      applyUpdates(this.#optimizer, this.weights.names.map(update))
      for (const name of this.#masks.keys()) if (!this.weights.isFrozen(name)) this.#applyMask(name)
      return value
    })
  }

  /** Gives the masks back; the variables and the optimizer belong to the caller. */
  dispose(): void {
    for (const name of [...this.#masks.keys()]) this.#forget(name)
  }

  #applyMask(name: string): void {
    const { keep, zeros } = this.#masks.get(name)!
    const variable = this.weights.variable(name)
    // A select, not a product: -1 * 0 is -0 and NaN * 0 is NaN.
    this.#tf.tidy(() => variable.assign(this.#tf.where(keep, variable, zeros)))
  }

  #forget(name: string): void {
    const tensors = this.#masks.get(name)
    if (tensors) this.#tf.dispose([tensors.keep, tensors.zeros])
    this.#masks.delete(name)
  }
}

/** One byte a weight from one bit a weight. */
function unpackMask(name: string, mask: Uint32Array, count: number): Uint8Array {
  if (!types.isUint32Array(mask) || mask.length !== Math.ceil(count / 32)) {
    throw new DeepCompressionError(
      'ARG',
      `the mask of ${printable(name)} must be a Uint32Array of ${Math.ceil(count / 32)} words for ${count} weights`,
      { section: name },
    )
  }
  const keep = new Uint8Array(count)
  for (let i = 0; i < count; i++) keep[i] = (mask[i >>> 5]! >>> (i & 31)) & 1
  return keep
}
