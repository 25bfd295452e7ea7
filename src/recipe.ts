import * as assert from './assert.js'
import { ENTROPY_CHOICES, type EncodeOptions, LAYOUT_CHOICES } from './encode/encode.js'
import { DeepCompressionError } from './errors.js'
import { type PruneOptions, type ResolvedPrune, resolvePrune } from './prune/prune.js'
import { KMEANS_ALGORITHMS, KMEANS_STARTS, type KmeansAlgorithm, type KmeansStart } from './quantize/kmeans.js'
import { elementCount } from './tensor.js'

/** How the weights of a tensor are shared (paper, section 3). */
export interface QuantizeRule {
  /**
   * `kmeans` (default), or `ecsq`: as many centroids, up to 255, and such codes as take the fewest bits, either at a squared error not above
   * that of k-means with `clusters`, or at the price of error that `lambda` sets.
   */
  method?: 'kmeans' | 'ecsq'
  /** Shared values, 1 to 256. With `lambda`: centroids at the most, 1 to 255 (default). */
  clusters?: number
  /**
   * `ecsq` only, instead of an error budget a tensor: the squared error that one bit of a code is worth. The same lambda for all tensors
   * gives the fewest bits for the squared error of all of them together.
   */
  lambda?: number
  /** As of `kmeans1d`. Default `histogram`, or `lloyd` when `init` is given. Not with `lambda`. */
  algorithm?: KmeansAlgorithm
  init?: KmeansStart
  seed?: number
}

export interface Rule {
  /** Pattern of tensor names: `*` is any run of characters, `?` one character; all else is itself. */
  match: string
  prune?: PruneOptions | null
  /** null, or left out: the tensor is stored losslessly (pruned weights as zeros). */
  quantize?: QuantizeRule | null
  encode?: Omit<EncodeOptions, 'allowNonFinite'>
}

/** Ordered rules; the first one that matches a tensor's name is its rule. A tensor that no rule matches is stored losslessly. */
export interface Recipe {
  rules: readonly Rule[]
}

/** How to share weights, after checking. */
export type ResolvedQuantize =
  | Readonly<{ by: 'lambda'; clusters: number; lambda: number }>
  | Readonly<{
      by: 'kmeans' | 'ecsq'
      clusters: number
      algorithm: KmeansAlgorithm
      seed: number
      init?: KmeansStart
    }>

/** One tensor's rule after checking: frozen, defaults filled in. */
export interface ResolvedRule {
  readonly prune: ResolvedPrune | null
  readonly quantize: ResolvedQuantize | null
  readonly encode: Readonly<EncodeOptions>
}

const RULE_KEYS = ['match', 'prune', 'quantize', 'encode'] as const
const QUANTIZE_KEYS = ['method', 'clusters', 'lambda', 'algorithm', 'init', 'seed'] as const
const ENCODE_KEYS = ['layout', 'indexBits', 'entropy'] as const
const CLUSTERS_MOST = 256
/** Symbol 0 of a sparse tensor may be needed for what is pruned. */
const ECSQ_CLUSTERS_MOST = 255
const METHODS = ['kmeans', 'ecsq'] as const

/**
 * What `compress` does without a recipe: nothing is pruned (that costs accuracy and belongs to training; weights that are zero
 * stay zero), every tensor of 2,048 weights and more is shared among at most 256 values, smaller ones and biases are stored as they are.
 */
export const DEFAULT_RECIPE: Recipe = Object.freeze({
  rules: Object.freeze([
    Object.freeze({ match: '*bias*', quantize: null }),
    Object.freeze({ match: '*', quantize: Object.freeze({ method: 'kmeans', clusters: 256 }) }),
  ] as Rule[]),
})

/** The default recipe leaves tensors of fewer weights alone: a codebook of 256 floats would cost as much as it saves. */
const SMALL_TENSOR = 2048

/** True when all of `name` fits `pattern`; linear in both but for the number of stars. */
export function matches(pattern: string, name: string): boolean {
  let p = 0
  let n = 0
  let star = -1
  let resume = 0
  while (n < name.length) {
    if (p < pattern.length && (pattern[p] === '?' || (pattern[p] === name[n] && pattern[p] !== '*'))) {
      p++
      n++
    } else if (p < pattern.length && pattern[p] === '*') {
      star = p++
      resume = n
    } else if (star >= 0) {
      p = star + 1
      n = ++resume
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

function within<T>(path: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof DeepCompressionError) || error.code !== 'ERR_DC_TYPE') throw error
    throw new DeepCompressionError('ARG', error.message, { section: path, cause: error }) // a recipe is one argument
  }
}

function resolveQuantize(path: string, value: unknown): ResolvedQuantize | null {
  if (value === undefined || value === null) return null
  const given = assert.options<QuantizeRule>(path, value, QUANTIZE_KEYS)
  const by = given.method === undefined ? 'kmeans' : assert.oneOf(`${path}.method`, given.method, METHODS)
  if (given.lambda !== undefined) return resolveLambda(path, given)
  const clusters = assert.whole(`${path}.clusters`, given.clusters, 1, CLUSTERS_MOST)
  const init = given.init === undefined ? undefined : assert.oneOf(`${path}.init`, given.init, KMEANS_STARTS)
  const fallback = init === undefined ? 'histogram' : 'lloyd'
  const algorithm = assert.oneOf(`${path}.algorithm`, given.algorithm ?? fallback, KMEANS_ALGORITHMS)
  const seed = given.seed === undefined ? 0 : assert.whole(`${path}.seed`, given.seed, 0, 2 ** 53 - 1)
  return Object.freeze({ by, clusters, algorithm, seed, ...(init === undefined ? {} : { init }) })
}

function resolveLambda(path: string, given: QuantizeRule): ResolvedQuantize {
  const idle = (['algorithm', 'init', 'seed'] as const).find((key) => given[key] !== undefined)
  if (given.method !== 'ecsq' || idle) {
    const why = idle ? `${path}.lambda leaves nothing for ${path}.${idle}` : `${path}.lambda needs method "ecsq"`
    throw new DeepCompressionError('ARG', why, { section: `${path}.lambda` })
  }
  return Object.freeze({
    by: 'lambda',
    lambda: assert.finite(`${path}.lambda`, given.lambda, 0),
    clusters:
      given.clusters === undefined
        ? ECSQ_CLUSTERS_MOST
        : assert.whole(`${path}.clusters`, given.clusters, 1, ECSQ_CLUSTERS_MOST),
  })
}

function resolveEncode(path: string, value: unknown): Readonly<EncodeOptions> {
  const given = assert.options<EncodeOptions>(path, value, ENCODE_KEYS)
  if (given.layout !== undefined) assert.oneOf(`${path}.layout`, given.layout, LAYOUT_CHOICES)
  if (given.entropy !== undefined) assert.oneOf(`${path}.entropy`, given.entropy, ENTROPY_CHOICES)
  if (given.indexBits !== undefined && given.indexBits !== 'auto') {
    assert.whole(`${path}.indexBits`, given.indexBits, 2, 8)
  }
  return given
}

/** A recipe after checking: answers the rule of each tensor. */
export class ResolvedRecipe {
  private readonly rules: readonly { match: string; rule: ResolvedRule }[]
  private readonly isDefault: boolean

  /** Throws `ERR_DC_ARG` with the path of what is wrong, `recipe.rules[1].quantize.clusters`. */
  constructor(recipe: unknown = DEFAULT_RECIPE) {
    this.isDefault = recipe === DEFAULT_RECIPE
    this.rules = within('recipe', () => {
      const { rules } = assert.options<Recipe>('recipe', recipe, ['rules'])
      if (!Array.isArray(rules)) {
        throw new DeepCompressionError('ARG', 'recipe.rules must be an array', { section: 'recipe.rules' })
      }
      return rules.map((value, i) => {
        const path = `recipe.rules[${i}]`
        const given = assert.options<Rule>(path, value, RULE_KEYS)
        const prune =
          given.prune === undefined || given.prune === null ? null : resolvePrune(given.prune, `${path}.prune`)
        return {
          match: assert.text(`${path}.match`, given.match),
          rule: Object.freeze({
            prune,
            quantize: resolveQuantize(`${path}.quantize`, given.quantize),
            encode: resolveEncode(`${path}.encode`, given.encode),
          }),
        }
      })
    })
  }

  ruleFor(name: string, shape: readonly number[]): ResolvedRule {
    const found = this.rules.find(({ match }) => matches(match, name))?.rule ?? LOSSLESS
    return this.isDefault && elementCount(shape) < SMALL_TENSOR ? LOSSLESS : found
  }
}

const LOSSLESS: ResolvedRule = Object.freeze({ prune: null, quantize: null, encode: Object.freeze({}) })

/** Throws what is wrong with a recipe, if anything is. */
export function checkRecipe(recipe: unknown): void {
  new ResolvedRecipe(recipe)
}

/** The rule a recipe has for a name, as it was written; for programs that change recipes. */
export function ruleOf(recipe: Recipe, name: string, shape: readonly number[]): Rule {
  const small = recipe === DEFAULT_RECIPE && elementCount(shape) < SMALL_TENSOR
  const found = small ? undefined : recipe.rules.find((rule) => matches(rule.match, name))
  return found ?? { match: name, quantize: null }
}
