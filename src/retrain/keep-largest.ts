/** Buckets by the top 16 of the 31 bits of a magnitude: a magnitude's bits are in the order of its value. */
const BUCKET_SHIFT = 15
const BUCKETS = 1 << 16
const MAGNITUDE_BITS = 0x7fffffff

/** The magnitudes of several score lists as their bits, all finite; a NaN counts as 0 and is pruned first. */
function magnitudeBits(scores: Float32Array): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(scores.slice().buffer)
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & MAGNITUDE_BITS
    bits[i] = magnitude > 0x7f800000 ? 0 : magnitude
  }
  return bits
}

/** The smallest magnitude (as bits) among the `kept` largest of all lists, and how many of exactly that size are kept. */
function threshold(lists: readonly Uint32Array[], kept: number): { bits: number; ties: number } {
  const counts = new Float64Array(BUCKETS)
  for (const list of lists) for (const bits of list) counts[bits >>> BUCKET_SHIFT]!++
  let bucket = BUCKETS - 1
  let above = 0
  while (bucket > 0 && above + counts[bucket]! < kept) above += counts[bucket--]!
  const inside = new Uint32Array(counts[bucket]!)
  let n = 0
  for (const list of lists) for (const bits of list) if (bits >>> BUCKET_SHIFT === bucket) inside[n++] = bits
  inside.sort()
  const bits = inside[inside.length - (kept - above)]!
  const larger = inside.length - upperBound(inside, bits)
  return { bits, ties: kept - above - larger }
}

/** Number of elements that are at most `value`. */
function upperBound(sorted: Uint32Array, value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Masks (one bit a weight) that keep exactly `kept` of the weights of all lists together: those with the largest |score|; of equal
 * ones the first, in the order of the lists.
 */
export function keepLargest(scores: readonly Float32Array[], kept: number): Uint32Array<ArrayBuffer>[] {
  const masks = scores.map((list) => new Uint32Array(Math.ceil(list.length / 32)))
  if (kept <= 0) return masks
  const lists = scores.map(magnitudeBits)
  const { bits, ties } = threshold(lists, kept)
  let left = ties
  for (const [l, list] of lists.entries()) {
    const mask = masks[l]!
    for (let i = 0; i < list.length; i++) {
      if (list[i]! > bits || (list[i] === bits && left-- > 0)) mask[i >>> 5]! |= 1 << (i & 31)
    }
  }
  return masks
}
