import type fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import * as assert from '../assert.js'
import { DeepCompressionError, printable } from '../errors.js'
import {
  errno,
  ioError,
  later,
  now,
  type Operations,
  retried,
  runLater,
  runNow,
  type Steps,
} from './file-operations.js'
import { forget, identity, remember, temporaryName } from './temporaries.js'

/**
 * Atomic saves (RELIABILITY 3.I, 5.7): an exclusive temporary in the target's folder, mode 0600; a write loop that counts; size
 * check; mode of the target; fsync; close; re-read; rename; fsync of the folder. Whatever fails, the file that was there is
 * untouched and the temporary is gone; after SIGKILL the temporary may stay, and `cleanup` knows it by its name.
 *
 * The procedure is written once, as generators that yield each file operation; two small drivers run it, one that awaits and one
 * that does not.
 */

export interface SaveOptions {
  /** Replace an existing file (default). False: a file that appears under the name, even in the last moment, is an error. */
  overwrite?: boolean
  /** Read the temporary again before the rename and compare length and CRC-32 (default true). */
  verify?: boolean
  /** Not for the synchronous calls. */
  signal?: AbortSignal
}

export type Chunks = Uint8Array | Iterable<Uint8Array>
export type AsyncChunks = Chunks | AsyncIterable<Uint8Array>

export interface Saved {
  /** The file that was written: symbolic links of the given path are resolved. */
  path: string
  bytes: number
  /** CRC-32 (zlib's) of the bytes. */
  crc32: number
}

/** One write call takes at most this much, so that an abort is seen in time; `fs.write` itself refuses 2^31 and more. */
const WRITE_BYTES = 8 << 20
const READ_BYTES = 1 << 20
const MAX_LINKS = 40

/** The file behind a path: symbolic links of the last component followed, also one to a file that is not there yet. */
function* resolveLinks(io: Operations, target: string): Steps<{ file: string; stat: fs.Stats | null }> {
  let file = path.resolve(target)
  for (let links = 0; ; links++) {
    let stat: fs.Stats
    try {
      stat = yield* retried(io, () => io.lstat(file))
    } catch (error) {
      if (errno(error) !== 'ENOENT') throw ioError('look at', file, error)
      return { file, stat: null }
    }
    if (!stat.isSymbolicLink()) return { file, stat }
    if (links === MAX_LINKS) {
      throw new DeepCompressionError('IO', `cannot save ${printable(target)}: ELOOP, too many symbolic links`, {
        section: target,
      })
    }
    try {
      const to: string = yield* retried(io, () => io.readlink(file))
      file = path.resolve(path.dirname(file), to)
    } catch (error) {
      throw ioError('read the link', file, error)
    }
  }
}

function checkTarget(file: string, stat: fs.Stats | null, overwrite: boolean): void {
  if (!stat) return
  const refuse = (reason: string) =>
    new DeepCompressionError('IO', `cannot save ${printable(file)}: ${reason}`, { section: file })
  if (stat.isDirectory()) throw refuse('EISDIR, it is a folder')
  if (!stat.isFile()) throw refuse('it is not a regular file')
  if (!overwrite) throw refuse('EEXIST, it exists already')
  if ((stat.mode & 0o222) === 0) throw refuse('EACCES, it is read-only')
}

interface Temporary {
  file: string
  bytes: number
  crc32: number
}

interface Plan {
  io: Operations
  target: string
  chunks: AsyncChunks
  overwrite: boolean
  verify: boolean
  signal: AbortSignal | undefined
}

function checkAbort(plan: Plan): void {
  if (plan.signal?.aborted) throw new DeepCompressionError('ABORTED', 'save was aborted', { cause: plan.signal.reason })
}

/** Writes all bytes at the end of the temporary, however few each call takes. */
function* writeAll(plan: Plan, fd: number, chunk: Uint8Array, temporary: Temporary): Steps<void> {
  const bytes = assert.uint8('a chunk', chunk, true)
  for (let from = 0; from < bytes.length; ) {
    checkAbort(plan)
    const length = Math.min(WRITE_BYTES, bytes.length - from)
    const at = temporary.bytes
    const written: number = yield* retried(plan.io, () => plan.io.write(fd, bytes, from, length, at))
    if (written <= 0 || written > length) {
      throw new DeepCompressionError(
        'IO',
        `cannot save ${printable(plan.target)}: a write of ${length} bytes answered ${written}`,
        { section: plan.target, offset: at },
      )
    }
    temporary.crc32 = crc32(bytes.subarray(from, from + written), temporary.crc32)
    temporary.bytes += written
    from += written
  }
}

function* writeChunks(plan: Plan, fd: number, temporary: Temporary): Steps<void> {
  if (ArrayBuffer.isView(plan.chunks)) return yield* writeAll(plan, fd, plan.chunks, temporary)
  const given = plan.chunks as Iterable<Uint8Array> & AsyncIterable<Uint8Array>
  const iterator = given[Symbol.asyncIterator]?.() ?? given[Symbol.iterator]()
  for (;;) {
    const turn: IteratorResult<Uint8Array> = yield iterator.next()
    if (turn.done) return
    try {
      yield* writeAll(plan, fd, turn.value, temporary)
    } catch (error) {
      // The source may hold a file or a job: let it end, and report the first failure.
      try {
        yield iterator.return?.()
      } catch {}
      throw error
    }
  }
}

function* readBack(plan: Plan, temporary: Temporary): Steps<void> {
  const { io } = plan
  const fd: number = yield* retried(io, () => io.open(temporary.file, 'r'))
  try {
    const buffer = new Uint8Array(READ_BYTES)
    let bytes = 0
    let crc = 0
    for (;;) {
      checkAbort(plan)
      const got: number = yield* retried(io, () => io.read(fd, buffer, READ_BYTES, bytes))
      if (got === 0) break
      bytes += got
      crc = crc32(buffer.subarray(0, got), crc)
    }
    if (bytes !== temporary.bytes || crc !== temporary.crc32) {
      throw new DeepCompressionError(
        'IO',
        `cannot save ${printable(plan.target)}: what was read back differs from what was written (${bytes} of ${temporary.bytes} bytes)`,
        { section: plan.target },
      )
    }
  } finally {
    yield io.close(fd)
  }
}

/** A finished temporary beside the target: written, sized, with its mode, on the disk, read back. */
function* prepare(plan: Plan, file: string, stat: fs.Stats | null): Steps<Temporary> {
  const { io } = plan
  const temporary: Temporary = { file: path.join(path.dirname(file), temporaryName()), bytes: 0, crc32: 0 }
  let fd = -1
  try {
    remember(temporary.file)
    fd = yield* retried(io, () => io.open(temporary.file, 'wx', 0o600))
    yield* writeChunks(plan, fd, temporary)
    if (stat && process.getuid && (stat.uid !== process.getuid() || stat.gid !== process.getgid!())) {
      try {
        yield* retried(io, () => io.fchown(fd, stat.uid, stat.gid))
      } catch (error) {
        if (errno(error) !== 'EPERM') throw error // only root may give files away
      }
    }
    const mode = stat ? stat.mode & 0o777 : 0o666 & ~identity().umask
    yield* retried(io, () => io.fchmod(fd, mode))
    const { size } = (yield* retried(io, () => io.fstat(fd))) as fs.Stats
    if (size !== temporary.bytes) {
      throw new DeepCompressionError(
        'IO',
        `cannot save ${printable(file)}: ${temporary.bytes} bytes were written but the file has ${size}`,
        { section: file },
      )
    }
    yield* retried(io, () => io.fsync(fd))
    const closing = fd
    fd = -1
    yield io.close(closing)
    if (plan.verify) yield* readBack(plan, temporary)
    return temporary
  } catch (error) {
    if (fd >= 0) {
      try {
        yield io.close(fd)
      } catch {}
    }
    yield* discard(io, temporary.file)
    throw ioError('save', file, error)
  }
}

function* discard(io: Operations, file: string): Steps<void> {
  try {
    yield* retried(io, () => io.unlink(file))
  } catch {} // never made, or cleanup() finds it
  forget(file)
}

/** Gives the temporary its name. Without `overwrite` by a hard link, which fails when the name is taken meanwhile. */
function* publish(io: Operations, temporary: Temporary, file: string, overwrite: boolean): Steps<void> {
  if (!overwrite) {
    try {
      yield* retried(io, () => io.link(temporary.file, file))
      yield* discard(io, temporary.file)
      return
    } catch (error) {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errno(error))) throw error
    }
    // No hard links here: look, then rename.
    checkTarget(file, (yield* resolveLinks(io, file)).stat, false)
  }
  yield* retried(io, () => io.rename(temporary.file, file))
  forget(temporary.file)
}

/** The rename is on the disk when its folder is. Folders that cannot be synced at all are no failure. */
function* syncFolder(io: Operations, file: string): Steps<void> {
  if (process.platform === 'win32') return
  const folder = path.dirname(file)
  try {
    const fd: number = yield* retried(io, () => io.open(folder, 'r'))
    try {
      yield* retried(io, () => io.fsync(fd))
    } finally {
      yield io.close(fd)
    }
  } catch (error) {
    if (['EINVAL', 'ENOTSUP'].includes(errno(error))) return
    throw new DeepCompressionError(
      'IO',
      `${printable(file)} is saved whole, but its folder could not be synced (${errno(error)}): a power cut may bring the file before it back`,
      { section: file, cause: error },
    )
  }
}

function* finish(plan: Plan, temporary: Temporary, file: string): Steps<Saved> {
  try {
    checkAbort(plan)
    yield* publish(plan.io, temporary, file, plan.overwrite)
  } catch (error) {
    yield* discard(plan.io, temporary.file)
    throw ioError('save', file, error)
  }
  yield* syncFolder(plan.io, file)
  return { path: file, bytes: temporary.bytes, crc32: temporary.crc32 }
}

function* save(plan: Plan): Steps<Saved> {
  checkAbort(plan)
  const { file, stat } = yield* resolveLinks(plan.io, plan.target)
  checkTarget(file, stat, plan.overwrite)
  return yield* finish(plan, yield* prepare(plan, file, stat), file)
}

const SAVE_KEYS = ['overwrite', 'verify', 'signal'] as const

function makePlan(io: Operations, target: string, chunks: AsyncChunks, options: SaveOptions): Plan {
  const { overwrite, verify, signal } = assert.options<SaveOptions>('options', options, SAVE_KEYS)
  if (assert.text('path', target) === '' || target.includes('\0')) {
    throw new DeepCompressionError('ARG', `path must name a file, got ${printable(target)}`, { section: 'path' })
  }
  if (typeof chunks !== 'object' || !(ArrayBuffer.isView(chunks) || assert.isIterable(chunks))) {
    throw new DeepCompressionError('TYPE', `chunks must be bytes or hand out bytes, got ${assert.describe(chunks)}`, {
      section: 'chunks',
    })
  }
  return {
    io,
    target,
    chunks,
    overwrite: overwrite === undefined ? true : assert.flag('options.overwrite', overwrite),
    verify: verify === undefined ? true : assert.flag('options.verify', verify),
    signal,
  }
}

/**
 * Saves bytes under `target`, whole or not at all. The bytes come in one piece or in chunks; chunks are taken one at a time.
 * Rejects with `ERR_DC_IO` (cause: the system's error, `EEXIST` without `overwrite`) or `ERR_DC_ABORTED`, and with whatever
 * error the chunks end in; the file that was there is then untouched.
 */
export async function saveFile(target: string, chunks: AsyncChunks, options: SaveOptions = {}): Promise<Saved> {
  return runLater(save(makePlan(later, target, chunks, options)))
}

/** `saveFile`, now. */
export function saveFileSync(target: string, chunks: Chunks, options: Omit<SaveOptions, 'signal'> = {}): Saved {
  return runNow(save(makePlan(now, target, chunks, options)))
}

/** A file that is written and on the disk, but under a temporary name. */
export interface PreparedFile {
  readonly bytes: number
  readonly crc32: number
  /** Gives it its name: the target's, or another one in the same folder. */
  commit(name?: string): Promise<Saved>
  discard(): Promise<void>
}

/** The first half of `saveFile`, for models of several files: write them all, then name them one after the other. */
export async function prepareFile(
  target: string,
  chunks: AsyncChunks,
  options: SaveOptions = {},
): Promise<PreparedFile> {
  const plan = makePlan(later, target, chunks, options)
  checkAbort(plan)
  const found = await runLater(resolveLinks(later, target))
  checkTarget(found.file, found.stat, plan.overwrite)
  const temporary = await runLater(prepare(plan, found.file, found.stat))
  return {
    bytes: temporary.bytes,
    crc32: temporary.crc32,
    commit: (name) => {
      const file = name === undefined ? found.file : path.join(path.dirname(found.file), name)
      return runLater(finish(plan, temporary, file))
    },
    discard: () => runLater(discard(later, temporary.file)),
  }
}
