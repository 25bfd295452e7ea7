import { types } from 'node:util'
import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { binding } from '../native/binding.js'

/** Words of a mask for `count` weights: one bit a weight. */
export function maskWords(count: number): number {
  return Math.ceil(count / 32)
}

/** Whether weight `i` is kept. */
export function isKept(mask: Uint32Array, i: number): boolean {
  return ((mask[i >>> 5]! >>> (i & 31)) & 1) === 1
}

/** How many of the first `count` weights are kept; bits past the last weight are ignored. Needs the addon. */
export function countKept(mask: Uint32Array, count: number): number {
  // The addon reads no shared memory.
  return binding().countMask(types.isSharedArrayBuffer(mask.buffer) ? mask.slice() : mask, count)
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
