import { constants } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { DeepCompressionError, printable } from '../errors.js'

/** Where a file's bytes come from. `read` answers exactly `length` bytes or throws. */
export interface ByteSource {
  readonly name: string
  readonly length: number
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

/** One system call reads at most this much; `fs.read` refuses 2^31 and more. */
const READ_BYTES = 64 << 20

function ioError(what: string, file: string, error: unknown): DeepCompressionError {
  // Without what Node puts behind it: "no such file or directory, open 'x'".
  const reason = (error as Error).message.replace(/, [a-z]+(?: '.*')?$/s, '')
  return new DeepCompressionError('IO', `cannot ${what} ${printable(file)}: ${reason}`, { section: file, cause: error })
}

function allocate(length: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length)
  } catch (error) {
    throw new DeepCompressionError('NOMEM', `no memory for ${length} bytes of ${printable(what)}`, { cause: error })
  }
}

function outside(name: string, offset: number, length: number, has: number): DeepCompressionError {
  return new DeepCompressionError(
    'TRUNCATED',
    `${printable(name)} ends too early: ${length} bytes at ${offset} wanted, it has ${has}`,
    { section: name, offset },
  )
}

/** A FIFO opened to read would wait for its writer, and keep a thread of libuv, for ever; of a regular file it changes nothing. */
const READ_AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** A regular file by one handle; its size is taken once, so a file that shrinks meanwhile is `ERR_DC_TRUNCATED`. */
export async function openBytes(file: string): Promise<ByteSource> {
  const handle = await fs.open(file, READ_AT_ONCE).catch((error: unknown) => {
    throw ioError('open', file, error)
  })
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'it is a folder' : 'it is not a regular file')
    // Files of /proc say 0 bytes and go on for as long as one reads.
    if (stat.size === 0 && (await handle.read(new Uint8Array(1), 0, 1, 0)).bytesRead > 0) {
      throw new Error('it has bytes but says that its size is 0')
    }
    return {
      name: path.basename(file),
      length: stat.size,
      async read(offset, length) {
        if (offset + length > stat.size) throw outside(file, offset, length, stat.size)
        const bytes = allocate(length, file)
        for (let at = 0; at < length; ) {
          const { bytesRead } = await handle
            .read(bytes, at, Math.min(READ_BYTES, length - at), offset + at)
            .catch((error: unknown) => {
              throw ioError('read', file, error)
            })
          if (bytesRead === 0) throw outside(file, offset, length, offset + at)
          at += bytesRead
        }
        return bytes
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw ioError('open', file, error)
  }
}

/** Bytes in memory, as from standard input. `read` answers copies: a reader's arrays may be handed on. */
export function memoryBytes(name: string, bytes: Uint8Array<ArrayBuffer>): ByteSource {
  return {
    name,
    length: bytes.length,
    async read(offset, length) {
      if (offset + length > bytes.length) throw outside(name, offset, length, bytes.length)
      return bytes.slice(offset, offset + length)
    },
    close: async () => {},
  }
}
