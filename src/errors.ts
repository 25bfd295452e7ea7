/**
 * The codes of every failure, in the order of the native `Status` values (native/base/status.h); index 0 is "ok".
 * test/boundary/contract.test.ts compares the two lists.
 */
export const STATUS_NAMES = [
  'OK',
  'MAGIC',
  'VERSION',
  'FEATURE',
  'TRUNCATED',
  'TRAILING',
  'CHECKSUM',
  'STRUCTURE',
  'HUFFMAN',
  'BITSTREAM',
  'INDEX',
  'VALUE',
  'LIMIT',
  'NOMEM',
  'IO',
  'ARG',
  'TYPE',
  'DETACHED',
  'SHARED',
  'NONFINITE',
  'ABORTED',
  'CLOSED',
  'BUSY',
  'TOO_LARGE',
  'ADDON',
] as const

export type StatusName = Exclude<(typeof STATUS_NAMES)[number], 'OK'>
export type ErrorCode = `ERR_DC_${StatusName}`

/** Where and how much, as far as it is known. */
export interface ErrorDetails {
  /** Section of the file ("header", "tensor fc6"), tensor name or argument name. */
  section?: string
  /** Byte offset in the input of a decoder; element index in numeric stages. */
  offset?: number
  limit?: string
  declared?: number
  allowed?: number
  cause?: unknown
}

/** Every failure of this package: a stable `code` and one sentence (what, expected, got, where). */
export class DeepCompressionError extends Error {
  readonly code: ErrorCode
  readonly section?: string
  readonly offset?: number
  readonly limit?: string
  readonly declared?: number
  readonly allowed?: number

  constructor(status: StatusName, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'DeepCompressionError'
    this.code = `ERR_DC_${status}`
    if (details.section !== undefined) this.section = details.section
    if (details.offset !== undefined) this.offset = details.offset
    if (details.limit !== undefined) this.limit = details.limit
    if (details.declared !== undefined) this.declared = details.declared
    if (details.allowed !== undefined) this.allowed = details.allowed
  }
}

/** True for our errors, also those of another copy of this package (a second realm, a bundle). */
export function isDeepCompressionError(error: unknown): error is DeepCompressionError {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && code.startsWith('ERR_DC_')
}

/** A name that came from a file or a caller, safe to print: quoted, escaped, at most 256 characters. */
export function printable(name: string): string {
  const short = name.length > 200 ? `${name.slice(0, 200)}...` : name
  const quoted = JSON.stringify(short).replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return quoted.length > 256 ? `${quoted.slice(0, 250)}..."` : quoted
}
