import fs from 'node:fs'
import { DeepCompressionError, isDeepCompressionError, printable } from '../errors.js'

/** File operations in two flavours, one that waits and one that does not, and the drivers of procedures written once for both. */

/** EINTR and EAGAIN in a row before they are reported. */
const MAX_RETRIES = 200

export type May<T> = T | Promise<T>

export interface Operations {
  open(file: string, flags: string | number, mode?: number): May<number>
  write(fd: number, bytes: Uint8Array, from: number, length: number, at: number): May<number>
  read(fd: number, into: Uint8Array, length: number, at: number): May<number>
  fstat(fd: number): May<fs.Stats>
  lstat(file: string): May<fs.Stats>
  readlink(file: string): May<string>
  fchmod(fd: number, mode: number): May<void>
  fchown(fd: number, uid: number, gid: number): May<void>
  fsync(fd: number): May<void>
  close(fd: number): May<void>
  link(from: string, to: string): May<void>
  rename(from: string, to: string): May<void>
  unlink(file: string): May<void>
  pause(milliseconds: number): May<void>
}

export const now: Operations = {
  open: fs.openSync,
  write: (fd, bytes, from, length, at) => fs.writeSync(fd, bytes, from, length, at),
  read: (fd, into, length, at) => fs.readSync(fd, into, 0, length, at),
  fstat: (fd) => fs.fstatSync(fd),
  lstat: (file) => fs.lstatSync(file),
  readlink: (file) => fs.readlinkSync(file),
  fchmod: fs.fchmodSync,
  fchown: fs.fchownSync,
  fsync: fs.fsyncSync,
  close: fs.closeSync,
  link: fs.linkSync,
  rename: fs.renameSync,
  unlink: fs.unlinkSync,
  pause: (milliseconds) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds),
}

function promised<T>(call: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value as T))))
}

export const later: Operations = {
  open: (file, flags, mode) => promised((done) => fs.open(file, flags, mode, done)),
  write: (fd, bytes, from, length, at) => promised((done) => fs.write(fd, bytes, from, length, at, done)),
  read: (fd, into, length, at) => promised((done) => fs.read(fd, into, 0, length, at, done)),
  fstat: (fd) => promised((done) => fs.fstat(fd, done)),
  lstat: (file) => promised((done) => fs.lstat(file, done)),
  readlink: (file) => promised((done) => fs.readlink(file, done)),
  fchmod: (fd, mode) => promised((done) => fs.fchmod(fd, mode, done)),
  fchown: (fd, uid, gid) => promised((done) => fs.fchown(fd, uid, gid, done)),
  fsync: (fd) => promised((done) => fs.fsync(fd, done)),
  close: (fd) => promised((done) => fs.close(fd, done)),
  link: (from, to) => promised((done) => fs.link(from, to, done)),
  rename: (from, to) => promised((done) => fs.rename(from, to, done)),
  unlink: (file) => promised((done) => fs.unlink(file, done)),
  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
}

/** A procedure: yields what has to be waited for, gets its value back (or its error thrown). */
// biome-ignore lint/suspicious/noExplicitAny: a generator has one type for all it yields
export type Steps<T> = Generator<any, T, any>

export function runNow<T>(steps: Steps<T>): T {
  let turn = steps.next()
  while (!turn.done) turn = steps.next(turn.value)
  return turn.value
}

export async function runLater<T>(steps: Steps<T>): Promise<T> {
  let turn = steps.next()
  while (!turn.done) {
    let value: unknown
    try {
      value = await turn.value
    } catch (error) {
      turn = steps.throw(error)
      continue
    }
    turn = steps.next(value)
  }
  return turn.value
}

/** Linux' number of EDQUOT, which libuv has no name for. */
const QUOTA = -122

export function errno(error: unknown): string {
  const { code, errno } = (error ?? {}) as NodeJS.ErrnoException
  return errno === QUOTA ? 'EDQUOT' : String(code ?? '')
}

/** Repeats a call that was interrupted. `close` must not go through here: after EINTR the descriptor is gone. */
export function* retried<T>(io: Operations, call: () => May<T>): Steps<T> {
  for (let tries = 0; ; tries++) {
    try {
      return yield call()
    } catch (error) {
      const again = errno(error) === 'EAGAIN'
      if (tries >= MAX_RETRIES || !(again || errno(error) === 'EINTR')) throw error
      if (again) yield io.pause(Math.min(20, 1 + tries))
    }
  }
}

/** A failure of the system becomes ours; anything else (an error of the source of the bytes) stays what it is. */
export function ioError(what: string, file: string, error: unknown): unknown {
  if (isDeepCompressionError(error) || !(error as NodeJS.ErrnoException | null)?.syscall) return error
  const reason = `${errno(error)}, ${describeErrno(error)}`
  return new DeepCompressionError('IO', `cannot ${what} ${printable(file)}: ${reason}`, { section: file, cause: error })
}

/** "no space left on device" out of "ENOSPC: no space left on device, write". */
function describeErrno(error: unknown): string {
  if (errno(error) === 'EDQUOT') return 'disk quota exceeded'
  return /^[A-Z0-9]+: (.*?)(?:, [a-z]+(?: '.*)?)?$/s.exec((error as Error).message)?.[1] ?? (error as Error).message
}
