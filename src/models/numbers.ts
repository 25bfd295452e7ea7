import { DeepCompressionError, printable } from '../errors.js'

/** Element types of model files, by safetensors' names. */
export const DTYPES = {
  F64: { bytes: 8, exact: false },
  F32: { bytes: 4, exact: false },
  F16: { bytes: 2, exact: false },
  BF16: { bytes: 2, exact: false },
  I64: { bytes: 8, exact: true },
  U64: { bytes: 8, exact: true },
  I32: { bytes: 4, exact: true },
  U32: { bytes: 4, exact: true },
  I16: { bytes: 2, exact: true },
  U16: { bytes: 2, exact: true },
  I8: { bytes: 1, exact: true },
  U8: { bytes: 1, exact: true },
  BOOL: { bytes: 1, exact: true },
} as const

export type Dtype = keyof typeof DTYPES

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPES, name)
}

/** Whole numbers (indices, counters, flags): kept exactly, never pruned or shared. */
export function isExact(dtype: Dtype): boolean {
  return DTYPES[dtype].exact
}

const scratch = new DataView(new ArrayBuffer(4))
let halves: Float32Array | undefined

/** All 65,536 half-precision numbers as float32 (IEEE 754: 1, 5, 10 bits). */
function halfTable(): Float32Array {
  if (halves) return halves
  halves = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >>> 10) & 31
    const fraction = bits & 1023
    const size =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent === 31
          ? fraction
            ? Number.NaN
            : Infinity
          : (1 + fraction / 1024) * 2 ** (exponent - 15)
    halves[bits] = bits & 0x8000 ? -size : size
  }
  return halves
}

/** 2^24: every whole number up to it is a float32. */
const EXACT_MOST = 2 ** 24

function inexact(name: string, value: unknown, index: number): DeepCompressionError {
  return new DeepCompressionError(
    'FEATURE',
    `tensor ${printable(name)} holds the whole number ${value} (element ${index}), which no float32 can hold exactly`,
    { section: name, offset: index },
  )
}

/**
 * Elements of any type as float32: F16 and BF16 exactly, F64 rounded to nearest, whole numbers exactly or `ERR_DC_FEATURE`.
 * `bytes` hold `count` elements, little-endian unless `bigEndian`. An aligned little-endian F32 input is answered as a view.
 */
export function toFloat32(
  name: string,
  dtype: Dtype,
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
  bigEndian = false,
): Float32Array<ArrayBuffer> {
  const little = !bigEndian
  if (dtype === 'F32' && little && bytes.byteOffset % 4 === 0 && isLittleEndian) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, count)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(count)
  const whole = (read: (at: number) => number | bigint, size: number) => {
    for (let i = 0; i < count; i++) {
      const value = read(i * size)
      if (value > EXACT_MOST || value < -EXACT_MOST) throw inexact(name, value, i)
      out[i] = Number(value)
    }
  }
  switch (dtype) {
    case 'F64':
      for (let i = 0; i < count; i++) out[i] = view.getFloat64(8 * i, little)
      break
    case 'F32':
      for (let i = 0; i < count; i++) out[i] = view.getFloat32(4 * i, little)
      break
    case 'F16': {
      const table = halfTable()
      for (let i = 0; i < count; i++) out[i] = table[view.getUint16(2 * i, little)]!
      break
    }
    case 'BF16':
      for (let i = 0; i < count; i++) {
        scratch.setUint32(0, view.getUint16(2 * i, little) << 16)
        out[i] = scratch.getFloat32(0)
      }
      break
    case 'I64':
      whole((at) => view.getBigInt64(at, little), 8)
      break
    case 'U64':
      whole((at) => view.getBigUint64(at, little), 8)
      break
    case 'I32':
      whole((at) => view.getInt32(at, little), 4)
      break
    case 'U32':
      whole((at) => view.getUint32(at, little), 4)
      break
    case 'I16':
      whole((at) => view.getInt16(at, little), 2)
      break
    case 'U16':
      whole((at) => view.getUint16(at, little), 2)
      break
    case 'I8':
      whole((at) => view.getInt8(at), 1)
      break
    default:
      whole((at) => view.getUint8(at), 1)
  }
  return out
}

const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** Little-endian bytes of float32 values that are written as `dtype` (F32, or the whole numbers that `toFloat32` read). */
export function fromFloat32(name: string, dtype: Dtype, values: Float32Array): Uint8Array {
  if (dtype === 'F32' && isLittleEndian) {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  }
  const size = DTYPES[dtype].bytes
  const bytes = new Uint8Array(values.length * size)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (isExact(dtype) && !Number.isSafeInteger(value)) throw inexact(name, value, i)
    switch (dtype) {
      case 'F32':
        view.setFloat32(4 * i, value, true)
        break
      case 'I64':
      case 'U64':
        view.setBigInt64(8 * i, BigInt(value), true)
        break
      case 'I32':
      case 'U32':
        view.setInt32(4 * i, value, true)
        break
      case 'I16':
      case 'U16':
        view.setInt16(2 * i, value, true)
        break
      case 'I8':
      case 'U8':
      case 'BOOL':
        view.setInt8(i, value)
        break
      default:
        throw new DeepCompressionError('FEATURE', `tensors of type ${dtype} are written as F32`, { section: name })
    }
  }
  return bytes
}
