import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'

/** A number for each point of a run, `progress` going from 0 (before the first step) to 1 (after the last). */
export type Schedule = (progress: number) => number

/**
 * Learning rate that rises linearly from 0 over the first `warmup` of the run and then falls to 0 along half a cosine: late in
 * retraining the small steps matter, because nothing after it corrects the weights.
 */
export function cosineRate(peak: number, warmup = 0): Schedule {
  assert.finite('peak', peak, 0)
  assert.finite('warmup', warmup, 0, 0.99)
  return (progress) => {
    if (progress < warmup) return (peak * progress) / warmup
    return (peak / 2) * (1 + Math.cos((Math.PI * (progress - warmup)) / (1 - warmup)))
  }
}

/** All of the pruning in one cut, at `at` of the run: until then every weight is kept. Paper, section 2. */
export function oneShotDensity(target: number, at = 0): Schedule {
  assert.finite('target', target, 0, 1)
  assert.finite('at', at, 0, 1)
  return (progress) => (progress < at ? 1 : target)
}

/**
 * `cuts` cuts at even distances over the first `until` of the run, the first at its beginning, each keeping the same share of what
 * was left (iterative pruning, Han et al. 2015: prune, retrain, prune further).
 */
export function iterativeDensity(target: number, cuts: number, until = 0.5): Schedule {
  assert.finite('target', target, Number.MIN_VALUE, 1)
  assert.whole('cuts', cuts, 1, 1_000_000)
  assert.finite('until', until, 0.01, 1)
  return (progress) => target ** (Math.min(cuts, Math.floor((progress / until) * cuts) + 1) / cuts)
}

export interface PolynomialOptions {
  /** Degree; 1 falls evenly, 3 (default) fast at first and slow at the end. */
  power?: number
  /** Part of the run before the first cut; default 0. */
  from?: number
  /** Part of the run after which the density stays at its target; default 0.5. */
  until?: number
  /** Density before the first cut; default 1. */
  initial?: number
}

const POLYNOMIAL_KEYS = ['power', 'from', 'until', 'initial'] as const

/** Density that falls from `initial` to `target` along a polynomial, and then stays (Zhu and Gupta 2017). */
export function polynomialDensity(target: number, options: PolynomialOptions = {}): Schedule {
  const given = assert.options<PolynomialOptions>('options', options, POLYNOMIAL_KEYS)
  assert.finite('target', target, 0, 1)
  const power = assert.finite('options.power', given.power ?? 3, 0.01, 100)
  const from = assert.finite('options.from', given.from ?? 0, 0, 1)
  const until = assert.finite('options.until', given.until ?? 0.5, 0.01, 1)
  const initial = assert.finite('options.initial', given.initial ?? 1, target, 1)
  if (until <= from) throw new DeepCompressionError('ARG', `options.until ${until} must be above options.from ${from}`)
  return (progress) => {
    const left = Math.min(1, Math.max(0, (until - progress) / (until - from)))
    return target + (initial - target) * left ** power
  }
}

/**
 * Density that falls from 1 to `target` along a cubic, fast at first and slow at the end, over the first `until` of the run, and
 * then stays: the network recovers between small cuts and settles with the final mask. The paper prunes in one cut or a few
 * (section 2); gradual pruning reaches lower densities at the same error.
 */
export function gradualDensity(target: number, until = 0.5): Schedule {
  return polynomialDensity(target, { power: 3, until })
}
