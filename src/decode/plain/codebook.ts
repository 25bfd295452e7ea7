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

/** The half that means this number, which is one. */
function bitsOfHalf(value: number): number {
  const magnitude = Math.abs(value)
  const sign = value < 0 ? 0x8000 : 0
  if (magnitude < 2 ** -14) return sign + magnitude * 2 ** 24
  const bits = bitsOf(magnitude)
  return sign + (bits - 112 * 2 ** 23) / 2 ** 13
}

/** DCZ-52: keys ascend with the value, float32 (32 bits) or half (16). */
function keyOf(value: number, keyBits: 16 | 32): number {
  const bits = keyBits === 32 ? bitsOf(value) : bitsOfHalf(value)
  const sign = 2 ** (keyBits - 1)
  return bits < sign ? bits + sign : 2 * sign - 1 - bits
}

function numberOf(key: number, keyBits: 16 | 32): number {
  const sign = 2 ** (keyBits - 1)
  const bits = key >= sign ? key - sign : 2 * sign - 1 - key
  return keyBits === 32 ? floatOf(bits) : halfToNumber(bits)
}

/** So many 1 bits, and the whole step follows (DCZ-52). */
const ONES_MOST = 8

const shiftBits = (keyBits: 16 | 32) => (keyBits === 32 ? 5 : 4)

/** Bits of a codebook of these steps, cut after `shift` low bits. */
function stepsBits(steps: readonly number[], keyBits: 16 | 32, shift: number): number {
  let bits = shiftBits(keyBits) + keyBits
  for (const step of steps) {
    const ones = Math.floor(step / 2 ** shift)
    bits += ones < ONES_MOST ? ones + 1 + shift : ONES_MOST + keyBits
  }
  return bits
}

function bestShift(steps: readonly number[], keyBits: 16 | 32): number {
  let best = 0
  for (let shift = 1; shift < keyBits; shift++) {
    if (stepsBits(steps, keyBits, shift) < stepsBits(steps, keyBits, best)) best = shift
  }
  return best
}

function readSteps({ clusters, codebookBytes }: TensorDescriptor, bytes: DataView, keyBits: 16 | 32): Float32Array {
  const end = 8 * codebookBytes
  let at = 0
  const take = (count: number): number => {
    if (count > end - at) throw damaged('VALUE', 0, 'a codebook of steps ends early')
    let value = 0
    for (let b = 0; b < count; b++, at++) value += ((bytes.getUint8(at >> 3) >> (at & 7)) & 1) * 2 ** b
    return value
  }
  const shift = take(shiftBits(keyBits))
  const readStep = (): number => {
    let ones = 0
    while (ones < ONES_MOST && take(1) === 1) ones++
    if (ones < ONES_MOST) return ones * 2 ** shift + take(shift)
    const step = take(keyBits)
    if (step < ONES_MOST * 2 ** shift)
      throw damaged('VALUE', 0, 'a step of a codebook is written whole and need not be')
    return step
  }
  let key = take(keyBits)
  const values = new Float32Array(clusters)
  values[0] = numberOf(key, keyBits)
  const steps: number[] = []
  for (let i = 1; i < clusters; i++) {
    const step = readStep()
    steps.push(step)
    key += step + 1
    if (key >= 2 ** keyBits) throw damaged('VALUE', 0, 'a codebook of steps runs past the greatest key')
    values[i] = numberOf(key, keyBits)
  }
  if (end - at > 7 || take(end - at) !== 0) throw damaged('VALUE', 0, 'bits after a codebook')
  if (bestShift(steps, keyBits) !== shift)
    throw damaged('VALUE', 0, 'a codebook of steps is longer than it needs to be')
  return values
}

/** DCZ-53 */
function smallestForm(values: Float32Array, sourceOrder: boolean): TensorDescriptor['codebookForm'] {
  const half = values.every(isHalf)
  const keyBits = half ? 16 : 32
  if (!sourceOrder) {
    const keys = Array.from(values, (value) => keyOf(value, keyBits))
    const steps = keys.slice(1).map((key, i) => key - keys[i]! - 1)
    const bits = stepsBits(steps, keyBits, bestShift(steps, keyBits))
    if (Math.ceil(bits / 8) < (keyBits / 8) * values.length) return half ? 'float16Steps' : 'float32Steps'
  }
  return half ? 'float16' : 'float32'
}

function readValues(tensor: TensorDescriptor, bytes: DataView): Float32Array {
  const each = (value: (i: number) => number) => Float32Array.from({ length: tensor.clusters }, (_, i) => value(i))
  switch (tensor.codebookForm) {
    case 'float32':
      return each((i) => bytes.getFloat32(4 * i, true))
    case 'float16':
      return each((i) => halfToNumber(bytes.getUint16(2 * i, true)))
    case 'float32Steps':
      return readSteps(tensor, bytes, 32)
    case 'float16Steps':
      return readSteps(tensor, bytes, 16)
  }
}

/** Reads and checks the codebook at the start of a payload (format 3.1, DCZ-47). */
export function readCodebook(tensor: TensorDescriptor, payload: Uint8Array, allowNonFinite: boolean): Float32Array {
  const bytes = new DataView(payload.buffer, payload.byteOffset, tensor.codebookBytes)
  const { clusters, codebookForm, sourceOrder } = tensor
  const values = readValues(tensor, bytes)
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
