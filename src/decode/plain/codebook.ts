import type { TensorDescriptor } from '../../container/layout.js'
import { damaged } from './stream.js'

const scratch = new DataView(new ArrayBuffer(4))

function floatOf(bits: number): number {
  scratch.setUint32(0, bits)
  return scratch.getFloat32(0)
}

function bitsOf(value: number): number {
  scratch.setFloat32(0, value)
  return scratch.getUint32(0)
}

function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const mantissa = half & 1023
  if (exponent === 31) return mantissa ? Number.NaN : sign * Infinity
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** A number is a half when it is a multiple of its binade's step: 2^-24 below 2^-14, else 2^(exponent - 10). */
function isHalf(value: number): boolean {
  const magnitude = Math.abs(value)
  if (magnitude > 65504) return false
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude))
  return Number.isInteger(magnitude / 2 ** (exponent - 10))
}

/** DCZ-52 */
function keyOf(value: number): number {
  const bits = bitsOf(value)
  return bits < 2 ** 31 ? bits + 2 ** 31 : 2 ** 32 - 1 - bits
}

function floatOfKey(key: number): number {
  return floatOf(key >= 2 ** 31 ? key - 2 ** 31 : 2 ** 32 - 1 - key)
}

function deltaWidth(values: Float32Array): number {
  let greatest = 0
  for (let i = 1; i < values.length; i++) greatest = Math.max(greatest, keyOf(values[i]!) - keyOf(values[i - 1]!) - 1)
  return greatest === 0 ? 0 : 32 - Math.clz32(greatest)
}

const deltaBytes = (count: number, width: number) => 5 + Math.ceil(((count - 1) * width) / 8)

function readDelta(tensor: TensorDescriptor, bytes: DataView): Float32Array {
  const { clusters, codebookBytes } = tensor
  if (codebookBytes < 5) throw damaged('VALUE', 0, 'a delta codebook is too short')
  const width = bytes.getUint8(4)
  if (width > 32 || codebookBytes !== deltaBytes(clusters, width)) {
    throw damaged('VALUE', 0, 'a delta codebook has another length than its width says')
  }
  const values = new Float32Array(clusters)
  let key = bytes.getUint32(0, true)
  let bit = 40
  const take = () => (bytes.getUint8(bit >> 3) >> (bit++ & 7)) & 1
  values[0] = floatOfKey(key)
  for (let i = 1; i < clusters; i++) {
    let step = 0
    for (let b = 0; b < width; b++) step += take() * 2 ** b
    key += step + 1
    if (key > 2 ** 32 - 1) throw damaged('VALUE', 0, 'a delta codebook runs past the greatest key')
    values[i] = floatOfKey(key)
  }
  while (bit < 8 * codebookBytes) if (take() !== 0) throw damaged('VALUE', 0, 'bits after a codebook are not 0')
  if (deltaWidth(values) !== width) throw damaged('VALUE', 0, 'a delta codebook is wider than it needs to be')
  return values
}

/** DCZ-53 */
function smallestForm(values: Float32Array, sourceOrder: boolean): TensorDescriptor['codebookForm'] {
  const half = values.every(isHalf)
  const bytes = (half ? 2 : 4) * values.length
  if (!sourceOrder && deltaBytes(values.length, deltaWidth(values)) < bytes) return 'delta'
  return half ? 'float16' : 'float32'
}

/** Reads and checks the codebook at the start of a payload (format 3.1, DCZ-47). */
export function readCodebook(tensor: TensorDescriptor, payload: Uint8Array, allowNonFinite: boolean): Float32Array {
  const bytes = new DataView(payload.buffer, payload.byteOffset, tensor.codebookBytes)
  const { clusters, codebookForm, sourceOrder } = tensor
  const values =
    codebookForm === 'delta'
      ? readDelta(tensor, bytes)
      : Float32Array.from({ length: clusters }, (_, i) =>
          codebookForm === 'float32' ? bytes.getFloat32(4 * i, true) : halfToNumber(bytes.getUint16(2 * i, true)),
        )
  const finite = values.every(Number.isFinite)
  if (values.some((value) => Object.is(value, -0))) throw damaged('VALUE', 0, 'a codebook holds -0.0')
  if (!finite && !allowNonFinite) throw damaged('VALUE', 0, 'a codebook holds a NaN or an infinity')
  let increasing = true
  for (let i = 1; i < clusters; i++) increasing &&= values[i - 1]! < values[i]!
  if (increasing === sourceOrder) throw damaged('VALUE', 0, 'a codebook is not in the order that its flag says')
  if (finite && smallestForm(values, sourceOrder) !== codebookForm) {
    throw damaged('VALUE', 0, 'a codebook is not in its smallest form')
  }
  return values
}
