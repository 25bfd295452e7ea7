import { types } from 'node:util'
import * as assert from '../assert.js'
import { DeepCompressionError, printable } from '../errors.js'
import { elementCount } from '../tensor.js'
import { applyUpdates, type GradientOf, LiveWeights, type NamedVariables } from './live-weights.js'
import { clearSlots, optimizerState, restoreOptimizer } from './optimizer-state.js'
import { type Resumable, readValues, recordOf, type State, writeValues } from './state.js'
import type { Optimizer, Scalar, Tensor, TensorFlow, Variable } from './tensorflow.js'

export interface MaskedTrainingOptions {
  /** Every variable that may be trained, by the caller's names. The order is kept for the life of the training. */
  variables: NamedVariables
  optimizer: Optimizer
  /**
   * Pruned weights may come back (Dynamic Network Surgery, Guo, Yao, Chen 2016): behind each masked variable a copy with all its
   * weights goes on training, by the gradients of the masked net, and a later mask may show more or others of them. Default false.
   */
  splicing?: boolean
}

export const MASKED_TRAINING_KEYS = ['variables', 'optimizer', 'splicing'] as const

interface Mask {
  readonly bits: Uint32Array<ArrayBuffer>
  readonly keep: Tensor
  /** What the pruned positions are filled with. */
  readonly zeros: Tensor
  /** With splicing: every weight as it would be without the mask. */
  readonly latent: Variable | null
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
export class MaskedTraining implements Resumable {
  readonly weights: LiveWeights
  protected readonly tf: TensorFlow
  protected readonly optimizer: Optimizer
  readonly splicing: boolean
  readonly #masks = new Map<string, Mask>()
  readonly #observers = new Set<(gradientOf: GradientOf) => void>()

  /** @param keys what the options may hold: more in a subclass. Errors: ERR_DC_ARG, ERR_DC_TYPE. */
  constructor(tf: TensorFlow, options: MaskedTrainingOptions, keys: readonly string[] = MASKED_TRAINING_KEYS) {
    const given = assert.options<MaskedTrainingOptions>('options', options, keys as never)
    this.tf = tf
    this.weights = new LiveWeights(tf, given.variables)
    this.optimizer = checkedOptimizer(given.optimizer)
    this.splicing = assert.flag('options.splicing', given.splicing ?? false)
  }

  /**
   * Prunes a variable now and keeps it pruned. The variable itself is not replaced.
   *
   * @param mask one bit a weight in C order, 1 = kept (the `mask` of `prune`); null lets every weight live (again): from 0, or with
   *   splicing from where its copy has got to
   */
  setMask(name: string, mask: Uint32Array | null): void {
    const variable = this.weights.variable(name)
    const keep = mask === null ? null : unpackMask(name, mask, elementCount(variable.shape))
    const latent = this.#masks.get(name)?.latent ?? null
    if (mask === null || keep === null) {
      if (latent) variable.assign(latent)
      this.#forget(name)
      return
    }
    const { tf } = this
    const made = {
      bits: mask.slice(),
      keep: tf.keep(tf.tensor(keep, variable.shape, 'bool')),
      zeros: tf.keep(tf.zerosLike(variable)),
      latent: latent ?? (this.splicing ? tf.tidy(() => tf.variable(tf.add(variable, 0), false)) : null),
    }
    this.#forget(name, latent)
    this.#masks.set(name, made)
    this.#applyMask(name)
  }

  isMasked(name: string): boolean {
    this.weights.variable(name)
    return this.#masks.has(name)
  }

  /** A copy of a variable's mask, null without one. */
  mask(name: string): Uint32Array<ArrayBuffer> | null {
    this.weights.variable(name)
    return this.#masks.get(name)?.bits.slice() ?? null
  }

  /** The weights that a pruning criterion looks at: the variable, or with splicing its copy with all weights alive. */
  candidates(name: string): Variable {
    return this.#masks.get(name)?.latent ?? this.weights.variable(name)
  }

  freeze(names: readonly string[]): void {
    this.weights.freeze(names)
  }

  free(names: readonly string[]): void {
    this.weights.free(names)
  }

  /** Shows the gradients of every step, before its update and inside its `tf.tidy`; the answer ends it. */
  observe(observer: (gradientOf: GradientOf) => void): () => void {
    this.#observers.add(observer)
    return () => this.#observers.delete(observer)
  }

  /**
   * One update of the free variables.
   *
   * @param loss builds the scalar loss of this step's batch from the live model
   * @returns the loss before the update; the caller disposes it
   */
  step(loss: () => Scalar): Scalar {
    return this.tf.tidy(() => {
      const { value, gradientOf } = this.weights.gradients(loss)
      for (const observer of this.#observers) observer(gradientOf)
      applyUpdates(
        this.optimizer,
        this.weights.names.map((name) => this.updateOf(name, gradientOf(name))),
      )
      for (const name of this.weights.names) if (!this.weights.isFrozen(name)) this.settle(name)
      return value
    })
  }

  /** Gives the masks back; the variables and the optimizer belong to the caller. */
  dispose(): void {
    for (const name of [...this.#masks.keys()]) this.#forget(name)
    this.#observers.clear()
  }

  /** Weights, masks, copies, frozen names and the optimizer's slots: what a later process needs to go on as if it had not stopped. */
  state(): State {
    const masks: Record<string, State> = {}
    for (const [name, { bits, latent }] of this.#masks) {
      masks[name] = { bits: bits.slice(), latent: latent && readValues(latent) }
    }
    return {
      weights: Object.fromEntries(this.weights.names.map((name) => [name, readValues(this.weights.variable(name))])),
      frozen: this.weights.names.filter((name) => this.weights.isFrozen(name)),
      masks,
      optimizer: optimizerState(this.optimizer),
    }
  }

  /** The inverse of `state`, on a training over variables of the same names and shapes and an optimizer of the same class. */
  restore(state: State): void {
    const { weights, frozen, masks, optimizer } = recordOf('training', state, [
      'weights',
      'frozen',
      'masks',
      'optimizer',
    ])
    const values = recordOf('weights', weights, this.weights.names)
    for (const name of this.weights.names) writeValues(this.tf, this.weights.variable(name), values[name], name)
    this.free(this.weights.names)
    this.freeze(frozen as string[])
    for (const name of this.weights.names) this.#restoreMask(name, (masks as Record<string, State>)[name] ?? null)
    restoreOptimizer(this.tf, this.optimizer, optimizer)
  }

  #restoreMask(name: string, state: State): void {
    this.#forget(name)
    if (state === null) return
    const { bits, latent } = recordOf(name, state, ['bits', 'latent'])
    if ((latent !== null) !== this.splicing) {
      throw new DeepCompressionError(
        'ARG',
        `the mask of ${printable(name)} is of a training with${latent ? '' : 'out'} splicing`,
      )
    }
    const shown = readValues(this.weights.variable(name))
    this.setMask(name, bits as Uint32Array)
    const copy = this.#masks.get(name)!.latent
    if (copy) writeValues(this.tf, copy, latent, name)
    writeValues(this.tf, this.weights.variable(name), shown, name)
  }

  /** What the optimizer moves for a variable, and by which gradient. */
  protected updateOf(name: string, gradient: Tensor | null): { name: string; tensor: Tensor | null } {
    return { name: this.candidates(name).name, tensor: gradient }
  }

  /** After an update: pruned weights are +0 again. */
  protected settle(name: string): void {
    if (this.#masks.has(name)) this.#applyMask(name)
  }

  /** The optimizer forgets what it knew of a variable (momentum, moments): something else takes its place in the list. */
  protected forgetSlots(name: string): void {
    clearSlots(this.optimizer, this.weights.names.indexOf(name))
  }

  #applyMask(name: string): void {
    const { keep, zeros, latent } = this.#masks.get(name)!
    const variable = this.weights.variable(name)
    // A select, not a product: -1 * 0 is -0 and NaN * 0 is NaN.
    this.tf.tidy(() => variable.assign(this.tf.where(keep, latent ?? variable, zeros)))
  }

  #forget(name: string, except: Variable | null = null): void {
    const mask = this.#masks.get(name)
    if (!mask) return
    this.tf.dispose([mask.keep, mask.zeros])
    if (mask.latent && mask.latent !== except) mask.latent.dispose()
    this.#masks.delete(name)
  }
}

function checkedOptimizer(optimizer: Optimizer): Optimizer {
  if (typeof optimizer?.applyGradients === 'function') return optimizer
  throw new DeepCompressionError('TYPE', 'options.optimizer must be an optimizer of TensorFlow.js')
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
