import os from 'node:os'
import { types } from 'node:util'
import * as assert from '../assert.js'
import { DeepCompressionError, printable, STATUS_NAMES, type StatusName } from '../errors.js'
import type { JobOptions, Progress } from '../tensor.js'
import type { Done } from './binding.js'

/** What a job is called in messages and progress reports. */
export interface JobName {
  stage: string
  /** Tensor name, or '' when there is none. */
  tensor?: string
  /** Weights or bytes of this stage, the `total` of progress reports. */
  total?: number
  /** What the addon refuses an argument for (ERR_DC_ARG) that TypeScript did not look at, to follow "the input ". */
  refused?: string
}

/** Job options after checking; frozen. */
export interface ResolvedJob {
  readonly signal: AbortSignal | undefined
  readonly onProgress: Progress | undefined
  readonly threads: number
  readonly consume: boolean
  readonly copyShared: boolean
}

export const JOB_KEYS = ['signal', 'onProgress', 'threads', 'consume', 'copyShared'] as const
const MAX_THREADS = 64
const PROGRESS_INTERVAL_MS = 50
/** Larger inputs are copied in slices of this size, one a turn of the event loop, so that no turn is long. */
const COPY_SLICE_BYTES = 8 << 20

function defaultThreads(): number {
  const wanted = process.env.DEEP_COMPRESSION_THREADS
  if (wanted === undefined || wanted === '') return Math.min(MAX_THREADS, os.availableParallelism())
  return assert.whole('DEEP_COMPRESSION_THREADS', Number(wanted), 1, MAX_THREADS)
}

/** Checks job options once; a second call with the result is free. */
export function resolveJob(job?: JobOptions | ResolvedJob): ResolvedJob {
  const given = assert.options<JobOptions>('job', job, JOB_KEYS)
  const { signal, onProgress, threads } = given
  if (signal !== undefined && typeof (signal as AbortSignal)?.addEventListener !== 'function') {
    throw new DeepCompressionError('TYPE', 'job.signal must be an AbortSignal')
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new DeepCompressionError('TYPE', 'job.onProgress must be a function')
  }
  return Object.freeze({
    signal,
    onProgress,
    threads: threads === undefined ? defaultThreads() : assert.whole('job.threads', threads, 1, MAX_THREADS),
    consume: given.consume === undefined ? false : assert.flag('job.consume', given.consume),
    copyShared: given.copyShared === undefined ? false : assert.flag('job.copyShared', given.copyShared),
  })
}

/** The same for a synchronous call, which takes `force` besides. */
export function resolveSyncJob(job?: JobOptions & { force?: boolean }): { job: ResolvedJob; force: boolean } {
  const { force, ...rest } = assert.options<JobOptions & { force?: boolean }>('job', job, [...JOB_KEYS, 'force'])
  return { job: resolveJob(rest), force: force === undefined ? false : assert.flag('job.force', force) }
}

export function abortedError(signal: AbortSignal | undefined, stage: string): DeepCompressionError {
  return new DeepCompressionError('ABORTED', `${stage} was aborted`, { cause: signal?.reason })
}

/** Throws `ERR_DC_ABORTED` when the job's signal has fired. */
export function throwIfAborted(job: ResolvedJob, stage: string): void {
  if (job.signal?.aborted) throw abortedError(job.signal, stage)
}

const MESSAGES: Partial<Record<StatusName, string>> = {
  NONFINITE: 'holds a NaN or an infinity',
  NOMEM: 'ran out of memory',
  HUFFMAN: 'has an invalid Huffman code',
  BITSTREAM: 'has a damaged bit stream',
  INDEX: 'has an entry outside the tensor',
  VALUE: 'has an invalid value',
  STRUCTURE: 'breaks a rule of the format',
  LIMIT: 'exceeds a limit',
  CHECKSUM: 'does not match its checksum',
  TRUNCATED: 'ends too early',
}

/** The error for a native status. `offset` is in `control` (see native/base/job.h). */
export function statusError(
  status: number,
  control: Int32Array,
  name: JobName,
  signal?: AbortSignal,
): DeepCompressionError {
  const statusName = (STATUS_NAMES[status] ?? 'ADDON') as StatusName
  if (statusName === 'ABORTED') return abortedError(signal, name.stage)
  const offset = (control[2]! >>> 0) + (control[3]! >>> 0) * 2 ** 32
  const subject = name.tensor ? `${name.stage}: tensor ${printable(name.tensor)}` : `${name.stage}: the input`
  const what = (statusName === 'ARG' ? name.refused : MESSAGES[statusName]) ?? `was refused (${statusName})`
  return new DeepCompressionError(statusName, `${subject} ${what} (at ${offset})`, {
    section: name.tensor || name.stage,
    offset,
  })
}

/** Runs a raw addon function now. */
export function runNow(
  name: JobName,
  job: ResolvedJob,
  call: (threads: number, control: Int32Array, done: Done) => unknown,
): void {
  throwIfAborted(job, name.stage)
  const control = new Int32Array(8)
  const status = call(job.threads, control, null) as number
  if (status !== 0) throw statusError(status, control, name)
}

/**
 * Runs a raw addon function on the addon's own threads and settles one promise: with abort, progress reports (the last one with
 * `done === total`, however short the job), and an exception of the progress callback turned into the job's rejection. Resolves only after the native side has let go of every array.
 */
export function runJob(
  name: JobName,
  job: ResolvedJob,
  call: (threads: number, control: Int32Array, done: Done) => unknown,
): Promise<void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(job, name.stage)
    const control = new Int32Array(8)
    let thrown: { error: unknown } | undefined
    const cancel = () => Atomics.store(control, 0, 1)
    const report = (share: number) => {
      try {
        const total = name.total ?? 10000
        job.onProgress?.({ stage: name.stage, tensor: name.tensor ?? '', done: Math.round(share * total), total })
      } catch (error) {
        thrown ??= { error }
        cancel()
      }
    }
    const tick = () => report(Atomics.load(control, 1) / 10000)
    const timer = job.onProgress ? setInterval(tick, PROGRESS_INTERVAL_MS) : undefined
    const settle = (status: number) => {
      if (timer) clearInterval(timer)
      if (status === 0 && !thrown) report(1)
      job.signal?.removeEventListener('abort', cancel)
      if (thrown) reject(thrown.error)
      else if (status !== 0) reject(statusError(status, control, name, job.signal))
      else resolve()
    }
    job.signal?.addEventListener('abort', cancel, { once: true })
    try {
      call(job.threads, control, settle)
    } catch (error) {
      if (timer) clearInterval(timer)
      job.signal?.removeEventListener('abort', cancel)
      reject(error)
    }
  })
}

type Owned = Float32Array | Uint8Array | Uint16Array | Uint32Array

interface OwnableConstructor<T> {
  new (length: number): T
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T
}

function transferred<T extends Owned>(view: T): T {
  const Constructor = view.constructor as OwnableConstructor<T>
  const { byteOffset, length, buffer } = view
  let moved: ArrayBuffer
  try {
    moved = structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }) as ArrayBuffer
  } catch {
    return view.slice() as T // not transferable: Node's Buffer pool, a buffer marked by somebody else
  }
  return new Constructor(moved, byteOffset, length)
}

const turnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * An array that the caller cannot touch while a job reads it: a copy, or with `consume` the caller's own bytes (its buffer is
 * transferred and the caller's views become empty). A reference alone would not do: a buffer that is transferred away during
 * the job can be freed under it. Large arrays are copied a slice a turn; what the caller writes meanwhile may or may not be seen.
 */
export async function ownedInput<T extends Owned>(name: string, view: T, job: ResolvedJob): Promise<T> {
  const shared = types.isSharedArrayBuffer(view.buffer)
  if (job.consume && !shared) return transferred(view)
  if (view.byteLength <= COPY_SLICE_BYTES) return view.slice() as T
  const Constructor = view.constructor as OwnableConstructor<T>
  const length = view.length
  const copy = new Constructor(length)
  const step = COPY_SLICE_BYTES / view.BYTES_PER_ELEMENT
  for (let at = 0; at < length; at += step) {
    if (at > 0) await turnOfTheLoop()
    throwIfAborted(job, 'copy')
    if (view.length !== length) {
      throw new DeepCompressionError('DETACHED', `the buffer of ${name} was transferred or resized during the call`, {
        section: name,
      })
    }
    copy.set(view.subarray(at, Math.min(length, at + step)), at)
  }
  return copy
}

/** Synchronous calls read the caller's array in place; a shared one is copied first (no check-then-use on shared bytes). */
export function ownedInputNow<T extends Owned>(view: T): T {
  if (!types.isSharedArrayBuffer(view.buffer)) return view
  const copy = new (view.constructor as OwnableConstructor<T>)(view.length)
  copy.set(view as never)
  return copy
}

/** Refuses a large input to a synchronous call, which would block the event loop, unless forced. */
const SYNC_LIMIT_BYTES = 64 << 20
export function refuseLargeSync(name: string, view: ArrayBufferView, force: boolean): void {
  if (view.byteLength > SYNC_LIMIT_BYTES && !force) {
    throw new DeepCompressionError(
      'TOO_LARGE',
      `${name} has ${view.byteLength} bytes; a synchronous call takes at most ${SYNC_LIMIT_BYTES} unless { force: true } is passed`,
      { section: name, declared: view.byteLength, allowed: SYNC_LIMIT_BYTES },
    )
  }
}
