import type { Assignment } from './clusters.js'

/**
 * Where the kept weights of a shared tensor would be if each were still its own: they start as they were before the sharing and
 * follow their own gradients (straight through the look-up, plain SGD), so that a weight may move to another centroid.
 */
export class LatentWeights {
  /** In position order, kept weights only. */
  readonly values: Float32Array<ArrayBuffer>

  constructor(assignment: Assignment, weights: ArrayLike<number>) {
    const { positions, codes } = assignment
    this.values = Float32Array.from(codes, (_, i) => weights[positions ? positions[i]! : i]!)
  }

  follow(gradient: ArrayLike<number>, { positions }: Assignment, rate: number): void {
    const { values } = this
    if (positions) for (let i = 0; i < values.length; i++) values[i]! -= rate * gradient[positions[i]!]!
    else for (let i = 0; i < values.length; i++) values[i]! -= rate * gradient[i]!
  }
}

/**
 * For each value the code of its centroid. With `bitPrice` 0 the nearest one, ties to the lower value; else the one of least
 * (x - c)^2 + bitPrice x bits, the bits of a code being -log2 of its share of `codes` now (entropy-constrained, Chou et al. 1989).
 * Every value goes by its own cost alone, so the outcome does not depend on the order.
 */
export function chooseCodes(
  values: Float32Array,
  codebook: Float32Array,
  codes: Uint8Array,
  bitPrice: number,
): Uint8Array<ArrayBuffer> {
  const order = Uint8Array.from(codebook.keys()).sort((a, b) => codebook[a]! - codebook[b]! || a - b)
  const bits = bitPrice > 0 ? codeBits(codes, codebook.length) : null
  const chosen = new Uint8Array(values.length)
  for (let i = 0; i < values.length; i++) {
    let best = order[0]!
    let least = Infinity
    for (const code of order) {
      const distance = values[i]! - codebook[code]!
      const cost = distance * distance + (bits ? bitPrice * bits[code]! : 0)
      // An infinite price is that of a code nobody has; it never beats another.
      if (cost < least) {
        least = cost
        best = code
      }
    }
    chosen[i] = best
  }
  return chosen
}

function codeBits(codes: Uint8Array, clusters: number): Float64Array {
  const counts = new Float64Array(clusters)
  for (const code of codes) counts[code]!++
  return counts.map((count) => -Math.log2(count / codes.length))
}
