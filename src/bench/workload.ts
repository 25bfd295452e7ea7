/**
 * Seeded weights for measurements: a generalized Gaussian (density proportional to exp(-|x / scale|^shape); shape 2 is the
 * Gaussian, 1 the Laplace), of standard deviation `deviation`, with a share of outliers at 10 to 40 standard deviations as
 * real layers have them.
 */
export interface Workload {
  count: number
  shape: number
  deviation: number
  /** Share of outliers, 0 to 1. */
  outliers: number
  seed: number
}

/** The arrays of the k-means measurements, by name. */
export const WORKLOADS = {
  /** 4096 x 4096, VGG-16's fc7, Gaussian. */
  a: { count: 16_777_216, shape: 2, deviation: 0.01, outliers: 0, seed: 1 },
  /** The same size with the shape and the tail of real layers. */
  b: { count: 16_777_216, shape: 1.2, deviation: 0.01, outliers: 1e-5, seed: 2 },
  /** 25088 x 4096, VGG-16's fc6, like b. */
  c: { count: 102_760_448, shape: 1.2, deviation: 0.01, outliers: 1e-5, seed: 3 },
} as const satisfies Record<string, Workload>

/** Halvings of the tail probability and steps a halving in the quantile table. */
const OCTAVES = 33
const STEPS = 1024

/**
 * quantile[o * STEPS + s]: the magnitude (in standard deviations) that a share of 2^-o * (1 - s / (2 * STEPS)) of all
 * magnitudes exceeds. From the trapezoid sum of the density over half a million steps.
 */
function magnitudeQuantiles(shape: number): Float64Array {
  const grid = 1 << 19
  const reach = (40 * Math.LN2) ** (1 / shape)
  const step = reach / grid
  const tail = new Float64Array(grid + 1)
  let second = 0
  for (let i = grid; i > 0; i--) {
    const low = Math.exp(-(((i - 1) * step) ** shape))
    const high = Math.exp(-((i * step) ** shape))
    tail[i - 1] = tail[i]! + ((low + high) / 2) * step
    second += ((low * ((i - 1) * step) ** 2 + high * (i * step) ** 2) / 2) * step
  }
  const deviation = Math.sqrt(second / tail[0]!)
  const quantiles = new Float64Array(OCTAVES * STEPS + 1)
  let at = 0
  for (let i = 0; i < quantiles.length; i++) {
    const share = 2 ** -Math.floor(i / STEPS) * (1 - (i % STEPS) / (2 * STEPS))
    const wanted = share * tail[0]!
    while (at < grid && tail[at + 1]! > wanted) at++
    const part = at < grid ? (tail[at]! - wanted) / (tail[at]! - tail[at + 1]!) : 0
    quantiles[i] = ((at + part) * step) / deviation
  }
  return quantiles
}

/** xoshiro128** (Blackman and Vigna), seeded by splitmix-like mixing. */
function generator(seed: number): () => number {
  const state = new Uint32Array(4)
  for (let i = 0; i < 4; i++) {
    let z = (seed + Math.imul(i + 1, 0x9e3779b9)) >>> 0
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    state[i] = (z ^ (z >>> 15)) >>> 0
  }
  let [a, b, c, d] = state as unknown as [number, number, number, number]
  return () => {
    const five = Math.imul(b, 5)
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = (d << 11) | (d >>> 21)
    return result
  }
}

/** The weights of a workload; the same ones for the same numbers. */
export function generate(workload: Workload): Float32Array<ArrayBuffer> {
  const { count, shape, deviation, outliers, seed } = workload
  const quantiles = magnitudeQuantiles(shape)
  const next = generator(seed)
  const values = new Float32Array(count)
  const limit = outliers * 2 ** 32
  for (let i = 0; i < count; i++) {
    const word = next()
    const sign = next()
    let magnitude: number
    if ((sign >>> 1) * 2 < limit) {
      magnitude = 10 + 30 * (word / 2 ** 32)
    } else {
      // 2^octave * share lies in (1/2, 1].
      const share = (word + 1) / 2 ** 32
      const octave = Math.clz32(word)
      const place = octave * STEPS + (1 - share * 2 ** octave) * 2 * STEPS
      const low = Math.floor(place)
      magnitude = quantiles[low]! + (quantiles[low + 1]! - quantiles[low]!) * (place - low)
    }
    values[i] = sign & 1 ? magnitude * deviation : -magnitude * deviation
  }
  return values
}
