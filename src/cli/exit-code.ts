import { type DeepCompressionError, type ErrorCode, isDeepCompressionError, printable } from '../errors.js'

/** Exit codes of the command, as scripts rely on them. */
export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  damaged: 3,
  limit: 4,
  io: 5,
  memory: 6,
  interrupted: 130,
} as const

const BY_CODE: Record<ErrorCode, number> = {
  ERR_DC_MAGIC: EXIT.damaged,
  ERR_DC_VERSION: EXIT.damaged,
  ERR_DC_FEATURE: EXIT.damaged,
  ERR_DC_TRUNCATED: EXIT.damaged,
  ERR_DC_TRAILING: EXIT.damaged,
  ERR_DC_CHECKSUM: EXIT.damaged,
  ERR_DC_STRUCTURE: EXIT.damaged,
  ERR_DC_HUFFMAN: EXIT.damaged,
  ERR_DC_BITSTREAM: EXIT.damaged,
  ERR_DC_INDEX: EXIT.damaged,
  ERR_DC_VALUE: EXIT.damaged,
  ERR_DC_NONFINITE: EXIT.damaged,
  ERR_DC_LIMIT: EXIT.limit,
  ERR_DC_TOO_LARGE: EXIT.limit,
  ERR_DC_NOMEM: EXIT.memory,
  ERR_DC_IO: EXIT.io,
  ERR_DC_ARG: EXIT.usage,
  ERR_DC_TYPE: EXIT.usage,
  ERR_DC_ABORTED: EXIT.interrupted,
  ERR_DC_DETACHED: EXIT.internal,
  ERR_DC_SHARED: EXIT.internal,
  ERR_DC_CLOSED: EXIT.internal,
  ERR_DC_BUSY: EXIT.internal,
  ERR_DC_ADDON: EXIT.internal,
}

export function exitCodeOf(error: unknown): number {
  if (isDeepCompressionError(error)) return BY_CODE[error.code] ?? EXIT.internal
  // What V8 throws when an ArrayBuffer cannot be had.
  if (error instanceof RangeError && /allocation failed|Invalid (typed )?array( buffer)? length/.test(error.message)) {
    return EXIT.memory
  }
  return EXIT.internal
}

/** The machine-readable form of a failure. */
export function describeError(error: unknown): Record<string, unknown> {
  const { section, offset, limit, declared, allowed } = error as DeepCompressionError
  const code = isDeepCompressionError(error) ? error.code : exitCodeOf(error) === EXIT.memory ? 'ERR_DC_NOMEM' : null
  return { code, message: errorLine(error), section, offset, limit, declared, allowed }
}

/** One line for a terminal: what came from a file cannot send control codes. */
export function errorLine(error: unknown): string {
  const message = error instanceof Error || isDeepCompressionError(error) ? (error as Error).message : String(error)
  return clean(message.replace(/\s*\n\s*/g, ' '))
}

/** The text without what a terminal would obey: control characters and marks of direction, escaped. */
export function clean(text: string): string {
  return text.replace(/[^ -~]+/gu, (run) => printable(run).slice(1, -1))
}
