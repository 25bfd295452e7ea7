// The best that general coders make of shared tensors: every usual fixed-width packing, coded by xz -9e. No names, shapes or checksums
// are counted on this side.
import { execFileSync } from 'node:child_process'
import { brotliCompressSync, constants } from 'node:zlib'
import { encodeRelativeIndexSync } from '../../src/encode/relative-index'
import type { QuantizedTensor } from '../../src/tensor'

const FORCE = { force: true } as const
/** Above this many weights only the packings that have ever won are tried. */
const LARGE = 1 << 22

/** Values of `bits` bits, one after the other. */
export function pack(values: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return values
  const out = new Uint8Array(Math.ceil((values.length * bits) / 8))
  let held = 0
  let have = 0
  let at = 0
  for (const value of values) {
    held |= value << have
    for (have += bits; have >= 8; have -= 8) {
      out[at++] = held
      held >>>= 8
    }
  }
  if (have > 0) out[at] = held
  return out
}

/** Half precision where every value is one, else float32. */
function bookBytes(codebook: Float32Array): Uint8Array {
  const halves = new Uint8Array(2 * codebook.length)
  for (const [i, value] of codebook.entries()) {
    const magnitude = Math.abs(value)
    const step = magnitude === 0 ? 2 ** -24 : 2 ** (Math.max(-14, Math.floor(Math.log2(magnitude))) - 10)
    if (magnitude > 65504 || !Number.isInteger(magnitude / step)) {
      return new Uint8Array(codebook.buffer, codebook.byteOffset, codebook.byteLength)
    }
    const exponent = magnitude < 2 ** -14 ? 0 : Math.floor(Math.log2(magnitude)) + 15
    const mantissa = exponent === 0 ? magnitude / 2 ** -24 : magnitude / step - 1024
    const half = (value < 0 ? 0x8000 : 0) | (exponent << 10) | mantissa
    halves[2 * i] = half & 255
    halves[2 * i + 1] = half >>> 8
  }
  return halves
}

export interface Packing {
  name: string
  parts: Uint8Array[]
}

const bitsFor = (count: number) => Math.max(1, Math.ceil(Math.log2(count)))
const widths = (bits: number) => (bits === 8 ? [8] : [bits, 8])

/** Dense codes; mask and codes; gaps of some bits (filler zeros, as in the paper) and codes; each with its codebook. */
function* packings(tensor: QuantizedTensor, length: number): Generator<Packing> {
  const { mask, codes, codebook } = tensor
  const k = codebook.length
  const book = bookBytes(codebook)
  if (mask === null) {
    for (const bits of widths(bitsFor(k))) yield { name: `dense ${bits}`, parts: [pack(codes, bits), book] }
    return
  }
  const maskBytes = new Uint8Array(mask.buffer, mask.byteOffset, Math.ceil(length / 8))
  for (const bits of widths(bitsFor(k)))
    yield { name: `mask, codes ${bits}`, parts: [maskBytes, pack(codes, bits), book] }
  if (k > 255) return
  if (length <= LARGE) {
    const dense = new Uint8Array(length)
    for (let i = 0, at = 0; i < length; i++) if ((mask[i >>> 5]! >>> (i & 31)) & 1) dense[i] = codes[at++]! + 1
    for (const bits of widths(bitsFor(k + 1))) yield { name: `dense ${bits}`, parts: [pack(dense, bits), book] }
  }
  for (const indexBits of length <= LARGE ? [4, 5, 6, 7, 8] : [5, 8]) {
    const index = encodeRelativeIndexSync({ mask, length, codes }, { indexBits }, FORCE)
    for (const gapBits of widths(indexBits)) {
      for (const bits of widths(bitsFor(k + 1))) {
        const parts = [pack(index.gaps, gapBits), pack(index.entries, bits), book]
        yield { name: `gaps ${indexBits} in ${gapBits} bits, codes ${bits}`, parts }
      }
    }
  }
}

const concat = (parts: Uint8Array[]) => Buffer.concat(parts)

export function xzBytes(parts: Uint8Array[]): number {
  return execFileSync('xz', ['-9e', '-c'], { input: concat(parts), maxBuffer: 1 << 30 }).length
}

/** xz at its least overhead: one LZMA2 stream without container, index and checksum. */
export function xzRawBytes(parts: Uint8Array[]): number {
  return execFileSync('xz', ['-9e', '-c', '--format=lzma'], { input: concat(parts), maxBuffer: 1 << 30 }).length
}

export function otherBytes(parts: Uint8Array[]): { zstd: number; brotli: number } {
  const input = concat(parts)
  const zstd = execFileSync('zstd', ['--ultra', '-22', '-c', '-q', '--no-check'], { input, maxBuffer: 1 << 30 }).length
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 }
  // brotli 11 takes minutes on the largest layers.
  return { zstd, brotli: input.length > 1 << 23 ? Number.NaN : brotliCompressSync(input, { params }).length }
}

/** The packing of which xz -9e makes least, concatenated or each part alone. */
export function bestPacking(tensor: QuantizedTensor, length: number): Packing & { xz: number } {
  let best: (Packing & { xz: number }) | null = null
  for (const packing of packings(tensor, length)) {
    const alone = packing.parts.reduce((sum, part) => sum + xzBytes([part]), 0)
    const xz = Math.min(xzBytes(packing.parts), alone)
    if (!best || xz < best.xz) best = { ...packing, xz }
  }
  return best!
}
