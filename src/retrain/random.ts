/**
 * Counter-based random numbers: each is a hash of (seed, stream, index), so that any one of them can be had without those before
 * it and a run does not depend on the order in which its parts draw. The mixer is the finalizer of MurmurHash3 (fmix32), applied
 * once a word.
 */
export function randomWord(seed: number, stream: number, index: number): number {
  let word = mix(seed ^ 0x9e3779b9)
  word = mix(word ^ Math.imul(stream + 1, 0x85ebca6b))
  return mix(word ^ Math.imul(index + 1, 0xc2b2ae35))
}

function mix(word: number): number {
  let h = word | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A whole number from 0 to `below - 1`. */
export function randomBelow(below: number, seed: number, stream: number, index: number): number {
  return Math.floor((randomWord(seed, stream, index) / 2 ** 32) * below)
}

/** A random order of 0 ... count - 1 (Fisher and Yates). */
export function randomOrder(count: number, seed: number, stream: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = randomBelow(i + 1, seed, stream, i)
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}
