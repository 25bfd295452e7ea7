import { DeepCompressionError } from '../errors.js'

/** What a reader accepts (format part 5). Each may be lowered or raised by the caller. */
export interface Limits {
  maxHeaderBytes: number
  maxTensors: number
  maxSections: number
  maxMetadata: number
  /** Elements of one tensor. */
  maxElements: number
  /** Elements of all tensors of a file. */
  maxTotalElements: number
  /** Bytes of dense weights that one decode call may make. */
  maxDecodedBytes: number
}

export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  maxHeaderBytes: 1 << 20,
  maxTensors: 65536,
  maxSections: 262144,
  maxMetadata: 1024,
  maxElements: 2 ** 32,
  maxTotalElements: 2 ** 33,
  maxDecodedBytes: 2 ** 32,
})

/** The defaults with the caller's limits over them; frozen. An unknown key or a value that is no whole number >= 0 is `ERR_DC_ARG`. */
export function resolveLimits(limits?: Partial<Limits>): Readonly<Limits> {
  if (limits === undefined) return DEFAULT_LIMITS
  if (typeof limits !== 'object' || limits === null || Array.isArray(limits)) {
    throw new DeepCompressionError('ARG', 'limits must be an object', { section: 'limits' })
  }
  const resolved = { ...DEFAULT_LIMITS }
  for (const key of Object.keys(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, key)) {
      throw new DeepCompressionError(
        'ARG',
        `limits has an unknown key ${JSON.stringify(key.slice(0, 60))}; known: ${Object.keys(DEFAULT_LIMITS).join(', ')}`,
        { section: 'limits' },
      )
    }
    const value = limits[key as keyof Limits]
    if (value === undefined) continue
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw new DeepCompressionError('ARG', `limits.${key} must be a whole number from 0 to 2^53 - 1, got ${value}`, {
        section: 'limits',
      })
    }
    resolved[key as keyof Limits] = value
  }
  return Object.freeze(resolved)
}

/** Throws `ERR_DC_LIMIT`, naming the limit, what was declared (`offset`: at which byte of the file) and what is allowed. */
export function checkLimit(limits: Limits, limit: keyof Limits, declared: number, what: string, offset?: number): void {
  const allowed = limits[limit]
  if (declared <= allowed) return
  throw new DeepCompressionError('LIMIT', `${what}: ${declared} exceeds ${limit} = ${allowed}`, {
    section: 'header',
    ...(offset === undefined ? {} : { offset }),
    limit,
    declared,
    allowed,
  })
}
