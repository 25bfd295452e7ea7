import { types } from 'node:util'
import { crc32 } from 'node:zlib'
import { DeepCompressionError, printable } from '../errors.js'
import type { Tensor, TensorFlow, Variable } from './tensorflow.js'

export type StateArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array

/** Plain data that a checkpoint can hold: JSON values and typed arrays. */
export type State = null | boolean | number | string | StateArray | readonly State[] | { readonly [key: string]: State }

/** Anything that a checkpoint covers: `restore(state())` in another process goes on from the same point. */
export interface Resumable {
  state(): State
  restore(state: State): void
}

/** The values of a float tensor as an array of its own (a backend may show its own memory). */
export function readValues(tensor: Tensor): Float32Array<ArrayBuffer> {
  return Float32Array.from(tensor.dataSync())
}

/** Sets a variable to values that `readValues` took; the variable stays the same object. */
export function writeValues(tf: TensorFlow, variable: Variable, values: State | undefined, name: string): void {
  if (!types.isFloat32Array(values) || values.length !== variable.size) {
    throw new DeepCompressionError('ARG', `the checkpoint has no ${variable.size} values for ${printable(name)}`, {
      section: name,
    })
  }
  const tensor = tf.tensor(values.slice(), variable.shape, 'float32')
  variable.assign(tensor)
  tensor.dispose()
}

/** A state as an object that has these keys. */
export function recordOf(
  name: string,
  state: State | undefined,
  keys: readonly string[],
): Readonly<Record<string, State>> {
  const plain = typeof state === 'object' && state !== null && !Array.isArray(state) && !ArrayBuffer.isView(state)
  const missing = plain ? keys.find((key) => !Object.hasOwn(state, key)) : keys[0]
  if (!plain || missing !== undefined) {
    throw new DeepCompressionError('ARG', `the checkpoint of ${name} has no ${printable(missing ?? '')}`, {
      section: name,
    })
  }
  return state as Readonly<Record<string, State>>
}

const ARRAYS = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u32: Uint32Array, u8: Uint8Array } as const
type ArrayKind = keyof typeof ARRAYS

const MAGIC = [0x89, 0x44, 0x43, 0x43, 0x4b, 0x50, 0x0d, 0x0a] // "\x89DCCKP\r\n"
const VERSION = 1
/** Magic, version, length of the JSON text, CRC-32 of everything after it. */
const HEAD_BYTES = 20
const ALIGNMENT = 8

function kindOf(array: ArrayBufferView): ArrayKind {
  const found = (Object.keys(ARRAYS) as ArrayKind[]).find((kind) => array.constructor.name === ARRAYS[kind].name)
  if (!found) throw new DeepCompressionError('TYPE', `a checkpoint cannot hold a ${array.constructor.name}`)
  return found
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

/**
 * A state as bytes: magic, version, JSON text in which `{ "@": [kind, offset, length] }` stands for an array, then the arrays
 * little-endian and 8-byte aligned. Equal states give equal bytes.
 */
export function packState(state: State): Uint8Array<ArrayBuffer> {
  const arrays: StateArray[] = []
  let size = 0
  const text = JSON.stringify(state, (_, value) => {
    if (!ArrayBuffer.isView(value)) {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw new DeepCompressionError('NONFINITE', 'a checkpoint holds finite numbers')
      }
      if (typeof value === 'object' && value !== null && '@' in value) {
        throw new DeepCompressionError('ARG', 'a checkpoint cannot hold a key "@"')
      }
      return value
    }
    const array = value as StateArray
    const reference = { '@': [kindOf(array), size, array.length] }
    arrays.push(array)
    size += aligned(array.byteLength)
    return reference
  })
  const json = new TextEncoder().encode(text)
  const start = aligned(HEAD_BYTES + json.length)
  const bytes = new Uint8Array(start + size)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(8, VERSION, true)
  view.setUint32(12, json.length, true)
  bytes.set(json, HEAD_BYTES)
  let at = start
  for (const array of arrays) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
    at += aligned(array.byteLength)
  }
  view.setUint32(16, crc32(bytes.subarray(HEAD_BYTES)), true)
  return bytes
}

/** The state in the bytes of `packState`. Errors: ERR_DC_MAGIC, _VERSION, _TRUNCATED, _CHECKSUM, _STRUCTURE. */
export function unpackState(bytes: Uint8Array): State {
  if (!types.isUint8Array(bytes)) throw new DeepCompressionError('TYPE', 'a checkpoint must be a Uint8Array')
  const fail = (status: 'MAGIC' | 'VERSION' | 'TRUNCATED' | 'CHECKSUM' | 'STRUCTURE', problem: string): never => {
    throw new DeepCompressionError(status, `checkpoint: ${problem}`, { section: 'checkpoint' })
  }
  if (bytes.length < HEAD_BYTES) fail('TRUNCATED', `${bytes.length} bytes are too few`)
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) fail('MAGIC', 'these bytes are no checkpoint')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(8, true)
  if (version !== VERSION) fail('VERSION', `version ${version} is not known here`)
  const end = HEAD_BYTES + view.getUint32(12, true)
  if (end > bytes.length) fail('TRUNCATED', 'the text is cut off')
  if (crc32(bytes.subarray(HEAD_BYTES)) !== view.getUint32(16, true))
    fail('CHECKSUM', 'the bytes are damaged or cut off')
  const start = aligned(end)
  const array = (reference: unknown): StateArray => {
    const [kind, offset, length] = reference as [ArrayKind, number, number]
    const make = Object.hasOwn(ARRAYS, kind) ? ARRAYS[kind] : fail('STRUCTURE', 'an array of unknown kind')
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
    if (!whole || start + offset + length * make.BYTES_PER_ELEMENT > bytes.length)
      fail('STRUCTURE', 'an array outside the file')
    const from = start + offset
    // Not bytes.slice: of a Buffer, which readFile gives, that is a view of all of it.
    return new make(new Uint8Array(bytes.subarray(from, from + length * make.BYTES_PER_ELEMENT)).buffer)
  }
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD_BYTES, end)), (_, value) =>
      Array.isArray(value?.['@']) ? array(value['@']) : value,
    ) as State
  } catch (cause) {
    if (cause instanceof DeepCompressionError) throw cause
    return fail('STRUCTURE', 'the text is not JSON')
  }
}
