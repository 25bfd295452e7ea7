import { once } from 'node:events'
import fs from 'node:fs'
import { DeepCompressionError, printable } from '../errors.js'
import { EXIT } from './exit-code.js'

/** `-` is standard input or output. */
export const STANDARD = '-'

/** All of standard input. */
export async function readStandardInput(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  if (process.stdin.isTTY) {
    throw new DeepCompressionError(
      'ARG',
      'standard input is a terminal; give a file, or send one: ... < model.safetensors',
    )
  }
  const chunks: Buffer[] = []
  const stop = () => process.stdin.destroy(new DeepCompressionError('ABORTED', 'reading standard input was aborted'))
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  } finally {
    signal.removeEventListener('abort', stop)
  }
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks.splice(0)) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** Binary output; never onto a terminal. Resolves when all of it has been taken. */
export async function writeStandardOutput(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  if (process.stdout.isTTY) {
    throw new DeepCompressionError('ARG', 'standard output is a terminal; send it to a file or another command')
  }
  for await (const chunk of chunks) {
    // In pieces, so that a reader that is gone is seen before all of a large tensor is queued.
    for (let at = 0; at < chunk.length; at += 1 << 20) {
      if (!process.stdout.write(chunk.subarray(at, at + (1 << 20)))) await once(process.stdout, 'drain')
    }
  }
}

/** Looked at before the work begins; the save itself makes sure once more. */
export function refuseExisting(file: string, force: boolean | undefined): void {
  if (force || file === STANDARD || !fs.existsSync(file)) return
  throw new DeepCompressionError('IO', `${printable(file)} exists already; --force replaces it`, { section: file })
}

/** A reader that has seen enough (head) closes our output: that is no failure of ours, and no trace. */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok)
      process.exitCode = EXIT.io
      if (stream === process.stdout)
        process.stderr.write(`deepcompress: cannot write to standard output: ${error.message}\n`)
      process.exit(EXIT.io)
    })
  }
}
