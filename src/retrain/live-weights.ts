import { DeepCompressionError, printable } from '../errors.js'
import type { Optimizer, Scalar, Tensor, TensorFlow, Variable } from './tensorflow.js'

/** The weights of a live model, by the names the caller uses for them (also in masks, codebooks and the file). */
export type NamedVariables = Readonly<Record<string, Variable>>

/** Gradients by name; null for a variable that is frozen in this step. */
export type GradientOf = (name: string) => Tensor | null

/**
 * The variables of one live model and which of them are free to move. A layer is frozen by leaving its variables out of
 * `tf.variableGrads`: the model is neither rebuilt nor recompiled, and the backward pass below a frozen prefix is not even run.
 */
export class LiveWeights {
  readonly names: readonly string[]
  readonly #tf: TensorFlow
  readonly #variables: ReadonlyMap<string, Variable>
  readonly #frozen = new Set<string>()

  constructor(tf: TensorFlow, variables: NamedVariables) {
    if (typeof tf?.variableGrads !== 'function') {
      throw new DeepCompressionError('TYPE', 'tf must be a TensorFlow.js namespace (it has no variableGrads)')
    }
    this.#tf = tf
    this.#variables = new Map(Object.entries(variables ?? {}))
    this.names = Object.freeze([...this.#variables.keys()])
    if (this.names.length === 0) throw new DeepCompressionError('ARG', 'variables must hold at least one variable')
    for (const [name, variable] of this.#variables) {
      if (typeof variable?.assign !== 'function') {
        throw new DeepCompressionError('TYPE', `variables[${printable(name)}] must be a tf.Variable`, { section: name })
      }
    }
  }

  variable(name: string): Variable {
    const variable = this.#variables.get(name)
    if (variable) return variable
    const known = this.names.slice(0, 8).map(printable).join(', ')
    throw new DeepCompressionError('ARG', `there is no variable ${printable(name)}; known: ${known}`, { section: name })
  }

  /** A list of names, all known. A string is one too, of its letters. */
  #listed(names: readonly string[]): readonly string[] {
    if (!Array.isArray(names)) throw new DeepCompressionError('TYPE', 'names must be an array of names')
    for (const name of names) this.variable(name)
    return names
  }

  freeze(names: readonly string[]): void {
    for (const name of this.#listed(names)) this.#frozen.add(name)
  }

  free(names: readonly string[]): void {
    for (const name of this.#listed(names)) this.#frozen.delete(name)
  }

  isFrozen(name: string): boolean {
    this.variable(name)
    return this.#frozen.has(name)
  }

  freeNames(): string[] {
    return this.names.filter((name) => !this.#frozen.has(name))
  }

  /** Loss and gradients over the free variables. To be called inside `tf.tidy`. */
  gradients(loss: () => Scalar): { value: Scalar; gradientOf: GradientOf } {
    const free = this.freeNames().map((name) => this.variable(name))
    if (free.length === 0) throw new DeepCompressionError('ARG', 'every variable is frozen: nothing can be trained')
    const { value, grads } = this.#tf.variableGrads(loss, free)
    return { value, gradientOf: (name) => (this.#frozen.has(name) ? null : (grads[this.variable(name).name] ?? null)) }
  }
}

/**
 * One update by a tfjs optimizer. `updates` must list the same variables in the same order at every step: tfjs optimizers keep
 * their slots (momentum, Adam's moments) by position, so a shorter list would give a layer the slots of another one. A variable
 * that is frozen takes its place with a null gradient, which every tfjs optimizer skips.
 */
export function applyUpdates(optimizer: Optimizer, updates: readonly { name: string; tensor: Tensor | null }[]): void {
  optimizer.applyGradients(updates as { name: string; tensor: Tensor }[])
}

/**
 * Sets an optimizer's learning rate for the following steps. `sgd` and `momentum` read a cached scalar, so assigning the
 * property (which TypeScript forbids and JavaScript does not) changes nothing there; `adam` and the others read the property.
 */
export function setLearningRate(optimizer: Optimizer, rate: number): void {
  const any = optimizer as unknown as { setLearningRate?: (rate: number) => void; learningRate?: number }
  if (typeof any.setLearningRate === 'function') any.setLearningRate(rate)
  else any.learningRate = rate
}
