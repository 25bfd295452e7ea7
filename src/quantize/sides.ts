import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { ownedInput, ownedInputNow, type ResolvedJob } from '../native/job.js'

/** What goes beside the values of a clustering. */
export interface Sides {
  /** Importance of each value: finite, at least 0; those above 0 within a factor of 2^64 of each other (else ERR_DC_VALUE). */
  weights?: Float32Array
  /** One bit a value (see `QuantizedTensor`): only values whose bit is set take part. */
  mask?: Uint32Array
}

export interface ResolvedSides {
  readonly weights: Float32Array<ArrayBuffer> | null
  readonly mask: Uint32Array<ArrayBuffer> | null
}

/** Checks them, and the number of values, against each other. */
export function resolveSides(values: Float32Array, { weights, mask }: Sides, copyShared: boolean): ResolvedSides {
  if (values.length > 2 ** 32 - 1) {
    throw new DeepCompressionError('ARG', `values must have at most 4294967295 entries, got ${values.length}`)
  }
  if (weights !== undefined && assert.float32('options.weights', weights, copyShared).length !== values.length) {
    throw new DeepCompressionError('ARG', `options.weights must have ${values.length} entries, got ${weights.length}`, {
      section: 'options.weights',
    })
  }
  const words = Math.ceil(values.length / 32)
  if (mask !== undefined && assert.uint32('options.mask', mask, copyShared).length !== words) {
    throw new DeepCompressionError('ARG', `options.mask must have ${words} words, got ${mask.length}`, {
      section: 'options.mask',
    })
  }
  return {
    weights: (weights ?? null) as Float32Array<ArrayBuffer> | null,
    mask: (mask ?? null) as Uint32Array<ArrayBuffer> | null,
  }
}

/** The arrays made safe for a job on other threads, in the turn of the call. */
export async function ownedSides({ weights, mask }: ResolvedSides, job: ResolvedJob): Promise<ResolvedSides> {
  const [ownWeights, ownMask] = await Promise.all([
    weights && ownedInput('options.weights', weights, job),
    mask && ownedInput('options.mask', mask, job),
  ])
  return { weights: ownWeights, mask: ownMask }
}

export function ownedSidesNow({ weights, mask }: ResolvedSides): ResolvedSides {
  return { weights: weights && ownedInputNow(weights), mask: mask && ownedInputNow(mask) }
}
