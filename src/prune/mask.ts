import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'

/** Words of a mask for `count` weights: one bit a weight. */
export function maskWords(count: number): number {
  return Math.ceil(count / 32)
}

/** Whether weight `i` is kept. */
export function isKept(mask: Uint32Array, i: number): boolean {
  return ((mask[i >>> 5]! >>> (i & 31)) & 1) === 1
}

function onesOf(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555)
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333)
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** How many of the first `count` weights are kept; bits past the last weight are ignored. */
export function countKept(mask: Uint32Array, count: number): number {
  const full = Math.floor(count / 32)
  let kept = 0
  for (let word = 0; word < full; word++) kept += onesOf(mask[word]!)
  const rest = count % 32
  return rest === 0 ? kept : kept + onesOf(mask[full]! & (2 ** rest - 1))
}

/** A mask for `count` weights from a caller: a Uint32Array of exactly the right length. */
export function checkedMask(
  name: string,
  value: unknown,
  count: number,
  allowShared = false,
): Uint32Array<ArrayBuffer> {
  const mask = assert.uint32(name, value, allowShared)
  if (mask.length !== maskWords(count)) {
    throw new DeepCompressionError(
      'ARG',
      `${name} must have ${maskWords(count)} words for ${count} weights, got ${mask.length}`,
      { section: name },
    )
  }
  return mask
}
