import * as assert from '../assert.js'

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

/**
 * Density that falls from 1 to `target` along a cubic, fast at first and slow at the end, over the first `until` of the run, and
 * then stays: the network recovers between small cuts and settles with the final mask. The paper prunes in one cut or a few
 * (section 2); gradual pruning reaches lower densities at the same error.
 */
export function gradualDensity(target: number, until = 0.5): Schedule {
  assert.finite('target', target, 0, 1)
  assert.finite('until', until, 0.01, 1)
  return (progress) => target + (1 - target) * Math.max(0, 1 - progress / until) ** 3
}
