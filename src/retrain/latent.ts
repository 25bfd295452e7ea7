import type { Assignment } from './clusters.js'

/**
 * Where the weights of a shared tensor that were kept at the sharing would be if each were still its own: they start as they were
 * before it and follow their own gradients (straight through the look-up, plain SGD), so that a weight may move to another centroid,
 * to zero, and back.
 */
export class LatentWeights {
  /** Whose weights these are, ascending; null: all. */
  readonly positions: Uint32Array<ArrayBuffer> | null
  readonly values: Float32Array<ArrayBuffer>

  constructor(positions: Uint32Array<ArrayBuffer> | null, values: Float32Array<ArrayBuffer>) {
    this.positions = positions
    this.values = values
  }

  /** Those of the kept weights, from the values of all. */
  static of({ positions, codes }: Assignment, weights: ArrayLike<number>): LatentWeights {
    const values = Float32Array.from(codes, (_, i) => weights[positions ? positions[i]! : i]!)
    return new LatentWeights(positions, values)
  }

  follow(gradient: ArrayLike<number>, rate: number): void {
    const { values, positions } = this
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
  const bits = bitsOf(countCodes(codes, codebook.length), codes.length)
  return Uint8Array.from(cheapest(values, codebook, bits, bitPrice))
}

/**
 * The same with zero as one more choice: the code `codebook.length`. Bits are of an order-0 code over all `weights` of the tensor,
 * pruned ones included, so a kept weight pays for its place as well (-log2 of its code's share of the kept ones, and of the density),
 * and each pruned one a little. While nothing is pruned, the values nearest to zero stand for what would be.
 */
export function chooseCodesOrZero(
  values: Float32Array,
  codebook: Float32Array,
  { codes, count: weights }: Pick<Assignment, 'codes' | 'count'>,
  bitPrice: number,
): Uint16Array<ArrayBuffer> {
  const choices = Float32Array.of(...codebook, 0)
  const zero = codebook.length
  let counts = countCodes(codes, choices.length)
  counts[zero] = weights - codes.length
  if (counts[zero] === 0) counts = countCodes(cheapest(values, choices, counts, 0), choices.length)
  return cheapest(values, choices, bitsOf(counts, weights), bitPrice)
}

/** For each value the index of the choice of least squared error + price x bits; ties to the lower choice. */
function cheapest(
  values: Float32Array,
  choices: Float32Array,
  bits: Float64Array,
  bitPrice: number,
): Uint16Array<ArrayBuffer> {
  const order = Uint16Array.from(choices.keys()).sort((a, b) => choices[a]! - choices[b]! || a - b)
  const prices = bits.map((of) => (bitPrice > 0 ? bitPrice * of : 0))
  const chosen = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    let best = order[0]!
    let least = Infinity
    for (const choice of order) {
      const distance = values[i]! - choices[choice]!
      const cost = distance * distance + prices[choice]!
      // An infinite price is that of a code nobody has; it never beats another.
      if (cost < least) {
        least = cost
        best = choice
      }
    }
    chosen[i] = best
  }
  return chosen
}

function countCodes(codes: Uint8Array | Uint16Array, choices: number): Float64Array<ArrayBuffer> {
  const counts = new Float64Array(choices)
  for (const code of codes) counts[code]!++
  return counts
}

/** Bits of an ideal code for each of them; Infinity for what never occurs. */
const bitsOf = (counts: Float64Array, all: number) => counts.map((count) => -Math.log2(count / all))
