import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { binding, type Done } from '../native/binding.js'
import {
  JOB_KEYS,
  ownedInput,
  ownedInputNow,
  type ResolvedJob,
  refuseLargeSync,
  resolveJob,
  resolveSyncJob,
  runJob,
  runNow,
} from '../native/job.js'
import { checkedMask, countKept } from '../prune/mask.js'
import type { JobOptions } from '../tensor.js'

export type Codes = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>

export interface MaskOption {
  /** One bit a weight: only kept weights have a code, in position order and without gaps. */
  mask?: Uint32Array | null
}
export type AssignOptions = JobOptions & MaskOption
export type ExpandOptions = JobOptions & MaskOption & { /** Number of weights; needed with a mask. */ count?: number }

interface Force {
  force?: boolean
}
const ASSIGN_KEYS = [...JOB_KEYS, 'mask'] as const
const EXPAND_KEYS = [...ASSIGN_KEYS, 'count'] as const
const MAX_CENTROIDS = 65536

/** A codebook from a caller: 1 to 65,536 finite centroids that do not descend. */
function checkedCodebook(name: string, value: unknown, allowShared: boolean): Float32Array<ArrayBuffer> {
  const given = assert.float32(name, value, allowShared)
  if (given.length < 1 || given.length > MAX_CENTROIDS) {
    throw new DeepCompressionError('ARG', `${name} must have 1 to ${MAX_CENTROIDS} entries, got ${given.length}`, {
      section: name,
    })
  }
  return given.slice()
}

/** Also ascending, which only `assign` needs. */
function ascending(name: string, centroids: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  for (let i = 0; i < centroids.length; i++) {
    const value = centroids[i]!
    if (!Number.isFinite(value)) {
      throw new DeepCompressionError('NONFINITE', `${name}[${i}] is ${value}; centroids must be finite`, {
        section: name,
        offset: i,
      })
    }
    if (i > 0 && value < centroids[i - 1]!) {
      throw new DeepCompressionError('ARG', `${name} must ascend, but ${name}[${i}] is below ${name}[${i - 1}]`, {
        section: name,
        offset: i,
      })
    }
  }
  return centroids
}

/** Room for the codes of `count` weights, or with a mask of those it keeps. */
export function codesFor(centroids: number, count: number, mask: Uint32Array | null = null): Codes {
  const length = mask ? countKept(mask, count) : count
  return centroids <= 256 ? new Uint8Array(length) : new Uint16Array(length)
}

function assignCall(values: Float32Array, mask: Uint32Array | null, centroids: Float32Array, codes: Codes) {
  return (threads: number, control: Int32Array, done: Done) =>
    binding().assign(values, mask, centroids, codes, threads, control, done)
}

/** `assign` for the pipeline: checked arrays that nobody else touches meanwhile; nothing is copied. */
export async function assignOwned(
  values: Float32Array<ArrayBuffer>,
  mask: Uint32Array<ArrayBuffer> | null,
  centroids: Float32Array<ArrayBuffer>,
  job: ResolvedJob,
  tensor = '',
): Promise<Codes> {
  const codes = codesFor(centroids.length, values.length, mask)
  await runJob({ stage: 'assign', tensor, total: values.length }, job, assignCall(values, mask, centroids, codes))
  return codes
}

/** `assignOwned`, run now. */
export function assignOwnedNow(
  values: Float32Array<ArrayBuffer>,
  mask: Uint32Array<ArrayBuffer> | null,
  centroids: Float32Array<ArrayBuffer>,
  job: ResolvedJob,
): Codes {
  const codes = codesFor(centroids.length, values.length, mask)
  runNow({ stage: 'assign' }, job, assignCall(values, mask, centroids, codes))
  return codes
}

/**
 * The index of each value's nearest centroid; of two equally near ones the lower. `centroids` must ascend. The border between
 * centroids i and i + 1 is the largest float32 not above their float64 midpoint, on every processor. Answers bytes for up to
 * 256 centroids, otherwise 16-bit codes; with a mask one code a *kept* value.
 *
 * Errors: `ERR_DC_NONFINITE` with the index of the first kept NaN or infinity, `ERR_DC_ARG`, `ERR_DC_TYPE`, `ERR_DC_ABORTED`,
 * `ERR_DC_NOMEM`.
 */
export async function assign(values: Float32Array, centroids: Float32Array, options?: AssignOptions): Promise<Codes> {
  const { mask, ...rest } = assert.options<AssignOptions>('options', options, ASSIGN_KEYS)
  const job = resolveJob(rest)
  const checked = assert.float32('values', values, job.copyShared)
  const book = ascending('centroids', checkedCodebook('centroids', centroids, job.copyShared))
  const kept = mask ? checkedMask('options.mask', mask, checked.length, job.copyShared) : null
  binding()
  const [own, ownMask] = await Promise.all([
    ownedInput('values', checked, job),
    kept && ownedInput('options.mask', kept, job),
  ])
  return assignOwned(own, ownMask, book, job)
}

/** `assign`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function assignSync(
  values: Float32Array,
  centroids: Float32Array,
  options?: AssignOptions & { force?: boolean },
): Codes {
  const { mask, ...rest } = assert.options<AssignOptions & Force>('options', options, [...ASSIGN_KEYS, 'force'])
  const { force, job } = resolveSyncJob(rest)
  const checked = assert.float32('values', values, job.copyShared)
  const book = ascending('centroids', checkedCodebook('centroids', centroids, job.copyShared))
  const kept = mask ? ownedInputNow(checkedMask('options.mask', mask, checked.length, job.copyShared)) : null
  refuseLargeSync('values', checked, force)
  return assignOwnedNow(ownedInputNow(checked), kept, book, job)
}

function resolveExpand(codes: unknown, codebook: unknown, count: unknown, mask: unknown, job: ResolvedJob) {
  const given = assert.codes('codes', codes, job.copyShared)
  const book = checkedCodebook('codebook', codebook, job.copyShared)
  const total =
    count === undefined && !mask ? given.length : assert.whole('options.count', count, 0, Number.MAX_SAFE_INTEGER)
  const kept = mask ? checkedMask('options.mask', mask, total, job.copyShared) : null
  const expected = kept ? countKept(kept, total) : total
  if (given.length !== expected) {
    throw new DeepCompressionError(
      'ARG',
      `codes must have ${expected} entries, one a kept weight, got ${given.length}`,
      {
        section: 'codes',
      },
    )
  }
  return { given, book, kept, total }
}

function expandCall(codes: Codes, mask: Uint32Array | null, codebook: Float32Array, values: Float32Array) {
  return (threads: number, control: Int32Array, done: Done) =>
    binding().expand(codes, mask, codebook, values, threads, control, done)
}

/**
 * The inverse of `assign`: a dense array of centroids, 0 where the mask keeps nothing.
 *
 * Errors: `ERR_DC_VALUE` with the index of the first code that has no centroid, `ERR_DC_ARG`, `ERR_DC_TYPE`,
 * `ERR_DC_ABORTED`, `ERR_DC_NOMEM`.
 */
export async function expand(
  codes: Uint8Array | Uint16Array,
  codebook: Float32Array,
  options?: ExpandOptions,
): Promise<Float32Array<ArrayBuffer>> {
  const { mask, count, ...rest } = assert.options<ExpandOptions>('options', options, EXPAND_KEYS)
  const job = resolveJob(rest)
  const { given, book, kept, total } = resolveExpand(codes, codebook, count, mask, job)
  binding()
  const [ownCodes, ownMask] = await Promise.all([
    ownedInput('codes', given, job),
    kept && ownedInput('options.mask', kept, job),
  ])
  const values = new Float32Array(total)
  await runJob({ stage: 'expand', total }, job, expandCall(ownCodes, ownMask, book, values))
  return values
}

/** `expand`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function expandSync(
  codes: Uint8Array | Uint16Array,
  codebook: Float32Array,
  options?: ExpandOptions & { force?: boolean },
): Float32Array<ArrayBuffer> {
  const given = assert.options<ExpandOptions & Force>('options', options, [...EXPAND_KEYS, 'force'])
  const { mask, count, ...rest } = given
  const { force, job } = resolveSyncJob(rest)
  const { given: input, book, kept, total } = resolveExpand(codes, codebook, count, mask, job)
  refuseLargeSync('codes', input, force)
  const values = new Float32Array(total)
  runNow({ stage: 'expand' }, job, expandCall(ownedInputNow<Codes>(input), kept && ownedInputNow(kept), book, values))
  return values
}
