import { types } from 'node:util'
import { DeepCompressionError } from './errors.js'

/** What was got instead, for an error message: a kind and, where short, the value. */
export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`
  if (typeof value === 'object' || typeof value === 'function') return `a ${typeof value}`
  return typeof value === 'string' ? `the string ${JSON.stringify(value.slice(0, 40))}` : String(value)
}

/** Whether `for await` can go over it. */
export function isIterable(value: unknown): boolean {
  const given = (value ?? {}) as Partial<Iterable<unknown> & AsyncIterable<unknown>>
  return !!(given[Symbol.asyncIterator] ?? given[Symbol.iterator])
}

function wrong(name: string, expected: string, value: unknown): DeepCompressionError {
  return new DeepCompressionError('TYPE', `${name} must be ${expected}, got ${describe(value)}`, { section: name })
}

function isDetached({ buffer }: ArrayBufferView): boolean {
  try {
    new Uint8Array(buffer as ArrayBuffer)
    return false
  } catch {
    return true
  }
}

/** Checks the state of a view's buffer: not detached, not out of bounds, not shared unless allowed. */
function usable<T extends ArrayBufferView>(name: string, view: T, allowShared: boolean): T {
  if (types.isSharedArrayBuffer(view.buffer)) {
    if (allowShared) return view
    throw new DeepCompressionError(
      'SHARED',
      `${name} is a view on a SharedArrayBuffer; copy it, or pass { copyShared: true } where the call takes it`,
      {
        section: name,
      },
    )
  }
  // A detached buffer has length 0, as has an empty one, and a view out of bounds has length and offset 0; only an empty one that is
  // none of these can be sliced.
  if (view.byteLength === 0) {
    try {
      ;(view as unknown as Uint8Array).slice()
    } catch {
      const why = isDetached(view)
        ? 'the buffer of %s was transferred or detached'
        : '%s lies outside its resized buffer'
      throw new DeepCompressionError('DETACHED', why.replace('%s', name), { section: name })
    }
  }
  return view
}

export function float32(name: string, value: unknown, allowShared = false): Float32Array<ArrayBuffer> {
  if (!types.isFloat32Array(value)) throw wrong(name, 'a Float32Array', value)
  return usable(name, value as Float32Array<ArrayBuffer>, allowShared)
}

export function uint8(name: string, value: unknown, allowShared = false): Uint8Array<ArrayBuffer> {
  if (!types.isUint8Array(value)) throw wrong(name, 'a Uint8Array', value)
  return usable(name, value as Uint8Array<ArrayBuffer>, allowShared)
}

/** Codes: a Uint8Array or a Uint16Array. */
export function codes(
  name: string,
  value: unknown,
  allowShared = false,
): Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (types.isUint16Array(value)) return usable(name, value as Uint16Array<ArrayBuffer>, allowShared)
  if (types.isUint8Array(value)) return usable(name, value as Uint8Array<ArrayBuffer>, allowShared)
  throw wrong(name, 'a Uint8Array or Uint16Array', value)
}

export function uint32(name: string, value: unknown, allowShared = false): Uint32Array<ArrayBuffer> {
  if (!types.isUint32Array(value)) throw wrong(name, 'a Uint32Array', value)
  return usable(name, value as Uint32Array<ArrayBuffer>, allowShared)
}

/** A whole number from `least` to `most`. */
export function whole(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') throw wrong(name, 'a number', value)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new DeepCompressionError('ARG', `${name} must be a whole number from ${least} to ${most}, got ${value}`, {
      section: name,
    })
  }
  return value
}

/** A finite number from `least` to `most`. */
export function finite(name: string, value: unknown, least = -Infinity, most = Infinity): number {
  if (typeof value !== 'number') throw wrong(name, 'a number', value)
  if (!Number.isFinite(value) || value < least || value > most) {
    throw new DeepCompressionError('ARG', `${name} must be a finite number from ${least} to ${most}, got ${value}`, {
      section: name,
    })
  }
  return value
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrong(name, 'true or false', value)
  return value
}

export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') throw wrong(name, 'a string', value)
  return value
}

export function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  if (typeof value !== 'string' || !allowed.includes(value as T)) {
    throw new DeepCompressionError('ARG', `${name} must be one of ${allowed.join(', ')}, got ${describe(value)}`, {
      section: name,
    })
  }
  return value as T
}

/** A frozen shallow copy of an options object; an unknown key, or anything but a plain object, is an error. */
export function options<T extends object>(
  name: string,
  value: unknown,
  known: readonly (keyof T & string)[],
): Readonly<T> {
  if (value === undefined) return Object.freeze({}) as Readonly<T>
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw wrong(name, 'an options object', value)
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key as keyof T & string)) {
      throw new DeepCompressionError(
        'ARG',
        `${name} has an unknown key ${JSON.stringify(key.slice(0, 60))}; known: ${known.join(', ')}`,
        {
          section: name,
        },
      )
    }
  }
  return Object.freeze({ ...value }) as Readonly<T>
}

/** Allocates an output of `length` elements; a length that the machine cannot hold is `ERR_DC_NOMEM`, not a RangeError. */
export function allocate<T>(name: string, length: number, make: (length: number) => T): T {
  try {
    return make(length)
  } catch (cause) {
    throw new DeepCompressionError('NOMEM', `${name}: no memory for ${length} elements`, { section: name, cause })
  }
}
