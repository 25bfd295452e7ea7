import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { keepLargest } from './keep-largest.js'
import type { GradientOf } from './live-weights.js'
import type { MaskedTraining } from './masked-training.js'
import { gradualDensity, type Schedule } from './schedule.js'
import { type Resumable, readValues, recordOf, type State, writeValues } from './state.js'
import type { TensorFlow, Variable } from './tensorflow.js'

/** How much a weight matters: |w|, or |w x dL/dw| summed over the steps since the last cut (Molchanov et al. 2017). */
export type PruningCriterion = 'magnitude' | 'first-order'

export interface PruningOptions {
  /**
   * Share of the weights to keep in the end: of each variable (`{ 'ip1/kernel': 0.05, ... }`), or one number for all variables of
   * `names` together, whichever layers they lie in.
   */
  density: number | Readonly<Record<string, number>>
  /** With one number: the variables it is for. */
  names?: readonly string[]
  /** With one number: no variable falls below this density, however little its weights matter. Default 0. */
  leastDensity?: number
  criterion?: PruningCriterion
  /** The way to a density; default `gradualDensity`: a cubic over the first half of the run. */
  schedule?: (target: number) => Schedule
  /** Steps between cuts; default 100. */
  every?: number
}

const PRUNING_KEYS = ['density', 'names', 'leastDensity', 'criterion', 'schedule', 'every'] as const

/** The smallest float32 above 0. */
const SMALLEST = 2 ** -149

/** One budget: the variables it is for, and their density at each point of the run. */
interface Group {
  readonly names: readonly string[]
  readonly density: Schedule
}

/**
 * Pruning while a net trains. Called before each step (`runTraining`'s `beforeStep`), it cuts when `every` steps have passed and the
 * density of its schedule has fallen; in a training with `splicing` it chooses anew every time, so that weights come back.
 *
 *     const pruning = new Pruning(tf, training, { density: 0.05, names: kernels, criterion: 'magnitude' })
 *     await runTraining(training, { ..., beforeStep: (step, progress) => pruning.beforeStep(step, progress) })
 */
export class Pruning implements Resumable {
  readonly #tf: TensorFlow
  readonly #training: MaskedTraining
  readonly #groups: readonly Group[]
  readonly #options: { leastDensity: number; criterion: PruningCriterion; every: number }
  /** First-order scores since the last cut; empty for the criterion of magnitude, and before the first step. */
  readonly #scores = new Map<string, Variable>()
  /** Density of each group after its last cut. */
  #reached: number[]
  #stop: () => void = () => {}

  constructor(tf: TensorFlow, training: MaskedTraining, options: PruningOptions) {
    const given = assert.options<PruningOptions>('options', options, PRUNING_KEYS)
    const schedule = given.schedule ?? gradualDensity
    this.#tf = tf
    this.#training = training
    this.#options = {
      leastDensity: assert.finite('options.leastDensity', given.leastDensity ?? 0, 0, 1),
      criterion: assert.oneOf('options.criterion', given.criterion ?? 'magnitude', ['magnitude', 'first-order']),
      every: assert.whole('options.every', given.every ?? 100, 1, Number.MAX_SAFE_INTEGER),
    }
    this.#groups = groupsOf(given).map(({ names, target }) => ({ names, density: schedule(target) }))
    for (const { names } of this.#groups) for (const name of names) training.weights.variable(name)
    this.#reached = this.#groups.map(() => 1)
    if (this.#options.criterion === 'first-order')
      this.#stop = training.observe((gradientOf) => this.#score(gradientOf))
  }

  /** Cuts if it is time to. @returns true when a mask was set */
  beforeStep(step: number, progress: number): boolean {
    if (step % this.#options.every !== 0) return false
    return this.#cutTo((group) => group.density(progress))
  }

  /** Cuts to the schedules' last density now: the end of a run whose last steps were not a multiple of `every`. */
  finish(): boolean {
    return this.#cutTo((group) => group.density(1))
  }

  /** Kept weights by weights, of all variables it prunes. */
  density(): number {
    let [kept, all] = [0, 0]
    for (const name of this.#groups.flatMap(({ names }) => names)) {
      const { size } = this.#training.weights.variable(name)
      const mask = this.#training.mask(name)
      kept += mask ? countBits(mask) : size
      all += size
    }
    return kept / all
  }

  state(): State {
    const scores = Object.fromEntries([...this.#scores].map(([name, score]) => [name, readValues(score)]))
    return { reached: this.#reached.slice(), scores }
  }

  restore(state: State): void {
    const { reached, scores } = recordOf('the pruning', state, ['reached', 'scores'])
    if (!Array.isArray(reached) || reached.length !== this.#groups.length) {
      throw new DeepCompressionError('ARG', `the checkpoint's pruning does not have ${this.#groups.length} budgets`)
    }
    this.#reached = reached.slice() as number[]
    this.#forgetScores()
    for (const [name, values] of Object.entries(scores as Record<string, State>)) {
      writeValues(this.#tf, this.#scoreOf(name), values, name)
    }
  }

  /** Gives the scores back; the masks stay with the training. */
  dispose(): void {
    this.#stop()
    this.#forgetScores()
  }

  #cutTo(density: (group: Group) => number): boolean {
    if (this.#options.criterion === 'first-order' && this.#scores.size === 0) return false
    let cut = false
    for (const [i, group] of this.#groups.entries()) {
      const wanted = density(group)
      if (wanted >= 1 || (wanted >= this.#reached[i]! && !this.#training.splicing)) continue
      this.#cut(group, wanted)
      this.#reached[i] = wanted
      cut = true
    }
    if (cut) this.#forgetScores()
    return cut
  }

  #cut({ names }: Group, density: number): void {
    const scores = names.map((name) => this.#scoresNow(name))
    const all = scores.reduce((sum, list) => sum + list.length, 0)
    let safe = 0
    for (const list of scores) {
      const least = names.length > 1 ? Math.ceil(this.#options.leastDensity * list.length) : 0
      const [floor] = keepLargest([list], least)
      for (let i = 0; i < list.length; i++) if ((floor![i >>> 5]! >>> (i & 31)) & 1) list[i] = Infinity
      safe += least
    }
    const masks = keepLargest(scores, Math.max(safe, Math.round(density * all)))
    for (const [i, name] of names.entries()) this.#training.setMask(name, masks[i]!)
  }

  /** Without splicing a pruned weight comes after every living one, also after one that scores 0. */
  #scoresNow(name: string): Float32Array {
    const scores = readValues(this.#scores.get(name) ?? this.#training.candidates(name))
    const mask = this.#training.splicing ? null : this.#training.mask(name)
    if (!mask) return scores
    for (let i = 0; i < scores.length; i++) {
      if (!((mask[i >>> 5]! >>> (i & 31)) & 1)) scores[i] = 0
      else if (scores[i] === 0) scores[i] = SMALLEST
    }
    return scores
  }

  #score(gradientOf: GradientOf): void {
    for (const name of this.#groups.flatMap(({ names }) => names)) {
      const gradient = gradientOf(name)
      if (!gradient) continue
      const score = this.#scoreOf(name)
      const weight = this.#training.candidates(name)
      this.#tf.tidy(() => score.assign(this.#tf.add(score, this.#tf.abs(this.#tf.mul(weight, gradient)))))
    }
  }

  #scoreOf(name: string): Variable {
    let score = this.#scores.get(name)
    if (!score) {
      score = this.#tf.tidy(() => this.#tf.variable(this.#tf.zerosLike(this.#training.weights.variable(name)), false))
      this.#scores.set(name, score)
    }
    return score
  }

  #forgetScores(): void {
    for (const score of this.#scores.values()) score.dispose()
    this.#scores.clear()
  }
}

function groupsOf({ density, names, leastDensity }: PruningOptions): { names: readonly string[]; target: number }[] {
  if (typeof density === 'number') {
    assert.finite('options.density', density, 0, 1)
    if (!names?.length) throw new DeepCompressionError('ARG', 'options.names must name the variables of one density')
    return [{ names: [...names], target: density }]
  }
  if (density === undefined) throw new DeepCompressionError('ARG', 'options.density must say how much is kept')
  const given = assert.options<Record<string, number>>('options.density', density, Object.keys(density ?? {}))
  if (names || leastDensity !== undefined) {
    throw new DeepCompressionError('ARG', 'options.names and options.leastDensity go with one density for all')
  }
  return Object.entries(given).map(([name, target]) => ({
    names: [name],
    target: assert.finite(`options.density[${JSON.stringify(name)}]`, target, 0, 1),
  }))
}

function countBits(mask: Uint32Array): number {
  let count = 0
  for (let word of mask) {
    for (; word !== 0; word &= word - 1) count++
  }
  return count
}
