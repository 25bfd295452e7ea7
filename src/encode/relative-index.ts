import * as assert from '../assert.js'
import { DeepCompressionError } from '../errors.js'
import { binding } from '../native/binding.js'
import {
  ownedInput,
  ownedInputNow,
  type ResolvedJob,
  refuseLargeSync,
  resolveJob,
  resolveSyncJob,
  runJob,
  runNow,
} from '../native/job.js'
import type { JobOptions } from '../tensor.js'

const MOST_WEIGHTS = 2 ** 40
const ENCODE = 'encodeRelativeIndex'
const DECODE = 'decodeRelativeIndex'
const REFUSED = 'has another number of codes than the mask keeps, or bits of the mask past the last weight'

/** Where weights are kept, and the code of each kept one in position order: what `prune` and `sharedWeights` give. */
export interface SparseCodes {
  /** One bit a weight, bit `i & 31` of word `i >>> 5`; 1 = kept. */
  mask: Uint32Array
  /** Number of weights, kept or not. */
  length: number
  /** One code a kept weight, 0 to 254. */
  codes: Uint8Array
}

/** The paper's relative index (section 2): a gap and an entry each, fillers included. */
export interface RelativeIndex {
  /** Bits of a gap, 2 to 8. */
  indexBits: number
  /** Number of weights, kept or not. */
  length: number
  /** Gap g means "advance g + 1 weights"; a filler has 2^indexBits - 1. */
  gaps: Uint8Array
  /** 0 is a filler (its weight is zero), c + 1 is code c. As many as gaps. */
  entries: Uint8Array
  kept: number
  fillers: number
  /** Bytes of gaps and entries as Huffman streams, tables included: what 'auto' compares. */
  codedBytes: number
}

export interface RelativeIndexOptions {
  /** 2 to 8, or 'auto' (default): the one with the fewest coded bytes. */
  indexBits?: number | 'auto'
}

interface Resolved {
  mask: Uint32Array<ArrayBuffer>
  codes: Uint8Array<ArrayBuffer>
  length: number
  indexBits: number
}

function refuse(message: string, section: string): never {
  throw new DeepCompressionError('ARG', message, { section })
}

function checkedMask(mask: unknown, length: number, job: ResolvedJob): Uint32Array<ArrayBuffer> {
  const checked = assert.uint32('mask', mask, job.copyShared)
  const words = Math.ceil(length / 32)
  if (checked.length !== words) {
    refuse(`mask must have ${words} words for ${length} weights, got ${checked.length}`, 'mask')
  }
  return checked
}

function resolveEncode(sparse: SparseCodes, options: RelativeIndexOptions | undefined, job: ResolvedJob): Resolved {
  const given = assert.options<SparseCodes>('sparse', sparse, ['mask', 'length', 'codes'])
  const { indexBits = 'auto' } = assert.options<RelativeIndexOptions>('options', options, ['indexBits'])
  const length = assert.whole('sparse.length', given.length, 0, MOST_WEIGHTS)
  return {
    length,
    mask: checkedMask(given.mask, length, job),
    codes: assert.uint8('codes', given.codes, job.copyShared),
    indexBits: indexBits === 'auto' ? 0 : assert.whole('options.indexBits', indexBits, 2, 8),
  }
}

function afterPlan(resolved: Resolved, summary: Float64Array): RelativeIndex {
  const [indexBits, kept, fillers, codedBytes] = summary as unknown as [number, number, number, number]
  const entries = kept + fillers
  return {
    indexBits,
    length: resolved.length,
    gaps: assert.allocate('entries', entries, (size) => new Uint8Array(size)),
    entries: assert.allocate('entries', entries, (size) => new Uint8Array(size)),
    kept,
    fillers,
    codedBytes,
  }
}

/**
 * Encodes positions as the paper does: gaps of `indexBits`, and where a gap is too long, fillers: entries of weight zero that
 * advance 2^indexBits weights each. Zeros after the last kept weight are not stored.
 *
 * @throws ERR_DC_ARG (mask, codes and length disagree; bits of the mask past the last weight), ERR_DC_VALUE (a code above 254),
 * ERR_DC_TYPE, ERR_DC_DETACHED, ERR_DC_SHARED, ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function encodeRelativeIndex(
  sparse: SparseCodes,
  options?: RelativeIndexOptions,
  job?: JobOptions,
): Promise<RelativeIndex> {
  const resolvedJob = resolveJob(job)
  const resolved = resolveEncode(sparse, options, resolvedJob)
  const native = binding()
  const [mask, codes] = await Promise.all([
    ownedInput('mask', resolved.mask, resolvedJob),
    ownedInput('codes', resolved.codes, resolvedJob),
  ])
  const name = { stage: ENCODE, total: resolved.length, refused: REFUSED }
  const summary = new Float64Array(4)
  await runJob(name, resolvedJob, (...run) =>
    native.planRelativeIndex(mask, resolved.length, codes, resolved.indexBits, summary, ...run),
  )
  const out = afterPlan(resolved, summary)
  await runJob(name, resolvedJob, (...run) =>
    native.encodeRelativeIndex(mask, resolved.length, codes, out.indexBits, out.gaps, out.entries, ...run),
  )
  return out
}

/** `encodeRelativeIndex`, run now. */
export function encodeRelativeIndexSync(
  sparse: SparseCodes,
  options?: RelativeIndexOptions,
  job?: JobOptions & { force?: boolean },
): RelativeIndex {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const resolved = resolveEncode(sparse, options, resolvedJob)
  refuseLargeSync('mask', resolved.mask, force)
  refuseLargeSync('codes', resolved.codes, force)
  const native = binding()
  const mask = ownedInputNow(resolved.mask)
  const codes = ownedInputNow(resolved.codes)
  const summary = new Float64Array(4)
  runNow({ stage: ENCODE, refused: REFUSED }, resolvedJob, (...run) =>
    native.planRelativeIndex(mask, resolved.length, codes, resolved.indexBits, summary, ...run),
  )
  const out = afterPlan(resolved, summary)
  runNow({ stage: ENCODE, refused: REFUSED }, resolvedJob, (...run) =>
    native.encodeRelativeIndex(mask, resolved.length, codes, out.indexBits, out.gaps, out.entries, ...run),
  )
  return out
}

/** What decoding needs of a `RelativeIndex`. */
export type RelativeEntries = Pick<RelativeIndex, 'indexBits' | 'length' | 'gaps' | 'entries'>

const ENTRY_KEYS = ['indexBits', 'length', 'gaps', 'entries', 'kept', 'fillers', 'codedBytes'] as const

function resolveDecode(index: RelativeEntries, job: ResolvedJob) {
  const given = assert.options<RelativeIndex>('index', index as RelativeIndex, ENTRY_KEYS)
  const length = assert.whole('index.length', given.length, 0, MOST_WEIGHTS)
  const indexBits = assert.whole('index.indexBits', given.indexBits, 2, 8)
  const gaps = assert.uint8('gaps', given.gaps, job.copyShared)
  const entries = assert.uint8('entries', given.entries, job.copyShared)
  if (gaps.length !== entries.length) refuse(`${gaps.length} gaps but ${entries.length} entries`, 'index')
  return { length, indexBits, gaps, entries }
}

function decodeOutputs(length: number, entries: Uint8Array): SparseCodes {
  let kept = 0
  for (let i = 0; i < entries.length; i++) if (entries[i] !== 0) kept++
  return {
    mask: assert.allocate('index.length', Math.ceil(length / 32), (size) => new Uint32Array(size)),
    length,
    codes: new Uint8Array(kept),
  }
}

/**
 * The inverse of `encodeRelativeIndex`. Entries may come from anywhere.
 *
 * @throws ERR_DC_INDEX (`offset` = the entry): a position past the last weight, a gap of more than `indexBits` bits, a filler
 * that advances less than 2^indexBits, a filler at the end; and as `encodeRelativeIndex`
 */
export async function decodeRelativeIndex(index: RelativeEntries, job?: JobOptions): Promise<SparseCodes> {
  const resolvedJob = resolveJob(job)
  const resolved = resolveDecode(index, resolvedJob)
  const native = binding()
  const [gaps, entries] = await Promise.all([
    ownedInput('gaps', resolved.gaps, resolvedJob),
    ownedInput('entries', resolved.entries, resolvedJob),
  ])
  const out = decodeOutputs(resolved.length, entries)
  await runJob({ stage: DECODE, total: resolved.length }, resolvedJob, (...run) =>
    native.decodeRelativeIndex(gaps, entries, resolved.indexBits, out.mask, out.length, out.codes, ...run),
  )
  return out
}

/** `decodeRelativeIndex`, run now. */
export function decodeRelativeIndexSync(index: RelativeEntries, job?: JobOptions & { force?: boolean }): SparseCodes {
  const { force, job: resolvedJob } = resolveSyncJob(job)
  const resolved = resolveDecode(index, resolvedJob)
  refuseLargeSync('gaps', resolved.gaps, force)
  const native = binding()
  const gaps = ownedInputNow(resolved.gaps)
  const entries = ownedInputNow(resolved.entries)
  const out = decodeOutputs(resolved.length, entries)
  refuseLargeSync('mask', out.mask, force)
  runNow({ stage: DECODE }, resolvedJob, (...run) =>
    native.decodeRelativeIndex(gaps, entries, resolved.indexBits, out.mask, out.length, out.codes, ...run),
  )
  return out
}
