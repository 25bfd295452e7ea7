import { DeepCompressionError, type StatusName } from '../../errors.js'

/**
 * Models and blocks of symbols, read by docs/format-streams.md alone (S1 to S3). No Node API and no addon: the fallback where there
 * is no binary, the heart of the web door, and the second opinion on the native decoder.
 */

const LENGTH_MOST = 12
const CODE_SPACE = 4096
const STATE_LEAST = 65536
const SYMBOLS_PER_LANE = 1024

export interface PlainModel {
  mode: 'constant' | 'raw' | 'huffman' | 'rans'
  lanesLog2: number
  /** constant: the symbol; raw: bits a symbol. */
  value: number
  /** huffman: symbol | length << 8 of each possible next `longest` bits. rans: symbol of each slot. */
  table: Uint16Array
  shortest: number
  longest: number
  /** rans */
  frequencies: Uint16Array
  starts: Uint16Array
}

export function damaged(status: StatusName, offset: number, what: string): DeepCompressionError {
  return new DeepCompressionError(status, `${what} (at byte ${offset} of the payload)`, { offset })
}

/** Bits, low first. */
class BitReader {
  private bit: number
  constructor(
    private readonly bytes: Uint8Array,
    start: number,
    private readonly end: number,
    /** Where the model begins, which errors name. */
    private readonly model: number,
  ) {
    this.bit = 8 * start
  }
  private fail(what: string): DeepCompressionError {
    return damaged('HUFFMAN', this.model, what)
  }
  take(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.bit++) {
      if (this.bit >= 8 * this.end) throw this.fail('a model ends early')
      value |= ((this.bytes[this.bit >> 3]! >> (this.bit & 7)) & 1) << i
    }
    return value
  }
  /** k bits 0, a bit 1, k low bits. */
  gamma(): number {
    let k = 0
    while (this.take(1) === 0) if (++k > 7) throw this.fail('a run of zeros is too long')
    return (1 << k) | this.take(k)
  }
  /** Bits up to the next whole byte are 0; answers its place. */
  finish(): number {
    while (this.bit & 7) if (this.take(1) !== 0) throw this.fail('a bit after a model is not 0')
    return this.bit >> 3
  }
}

/** S1.6 */
function readList(bits: BitReader, count: number, at: number): Uint8Array {
  const list = new Uint8Array(count)
  let p = 6
  let afterRun = false
  for (let i = 0; i < count; ) {
    if (bits.take(1) === 0) {
      list[i++] = p
      afterRun = false
      continue
    }
    const kind = bits.take(1) * 2 + bits.take(1)
    if (kind === 2) {
      const run = bits.gamma()
      if (afterRun || run >= count - i) throw damaged('HUFFMAN', at, 'a run of zeros is not maximal or ends the list')
      i += run
      afterRun = true
      continue
    }
    const v = kind === 0 ? p + 1 : kind === 1 ? p - 1 : bits.take(4)
    if (v < 1 || v > LENGTH_MOST || (kind === 3 && Math.abs(v - p) <= 1)) {
      throw damaged('HUFFMAN', at, `a list has the number ${v} after ${p}`)
    }
    list[i++] = p = v
    afterRun = false
  }
  return list
}

function emptyModel(mode: PlainModel['mode'], lanesLog2: number, value: number): PlainModel {
  const none = new Uint16Array(0)
  return { mode, lanesLog2, value, table: none, shortest: 0, longest: 0, frequencies: none, starts: none }
}

/** S1.4 and the canonical codes of S3.3. */
function huffmanModel(lengths: Uint8Array, lanesLog2: number, at: number): PlainModel {
  let space = 0
  let used = 0
  const model = emptyModel('huffman', lanesLog2, 0)
  model.shortest = LENGTH_MOST
  for (const length of lengths) {
    if (length === 0) continue
    used++
    space += 1 << (LENGTH_MOST - length)
    model.shortest = Math.min(model.shortest, length)
    model.longest = Math.max(model.longest, length)
  }
  if (used < 2 || space !== CODE_SPACE) throw damaged('HUFFMAN', at, 'the code lengths are no complete code')
  model.table = new Uint16Array(1 << model.longest)
  let next = 0
  for (let length = 1; length <= model.longest; length++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue
      const width = 1 << (model.longest - length)
      model.table.fill(symbol | (length << 8), next, next + width)
      next += width
    }
  }
  return model
}

/** S1.5 */
function ransModel(classes: Uint8Array, bits: BitReader, lanesLog2: number, at: number): PlainModel {
  const model = emptyModel('rans', lanesLog2, 0)
  model.frequencies = new Uint16Array(256)
  model.starts = new Uint16Array(256)
  let sum = 0
  let used = 0
  for (const [symbol, c] of classes.entries()) {
    if (c === 0) continue
    const frequency = c === 1 ? 1 : (1 << (c - 1)) | bits.take(c - 1)
    model.frequencies[symbol] = frequency
    sum += frequency
    used++
  }
  if (sum !== CODE_SPACE || used < 2) throw damaged('HUFFMAN', at, `frequencies of ${used} symbols sum to ${sum}`)
  model.table = new Uint16Array(CODE_SPACE)
  let start = 0
  for (let symbol = 0; symbol < classes.length; symbol++) {
    model.starts[symbol] = start
    model.table.fill(symbol, start, start + model.frequencies[symbol]!)
    start += model.frequencies[symbol]!
  }
  return model
}

/** S1: reads the model at `at`; `next` is the byte after it. */
export function readModel(bytes: Uint8Array, at: number, end: number): { model: PlainModel; next: number } {
  if (end - at < 2) throw damaged('HUFFMAN', at, 'a model ends early')
  const first = bytes[at]!
  const value = bytes[at + 1]!
  const mode = first & 7
  const lanesLog2 = (first >> 3) & 7
  if (first >> 6 !== 0 || mode > 3 || lanesLog2 > 6 || (mode < 2 && lanesLog2 !== 0)) {
    throw damaged('HUFFMAN', at, 'a model has reserved bits')
  }
  if (mode === 0) return { model: emptyModel('constant', 0, value), next: at + 2 }
  if (mode === 1) {
    if (value < 1 || value > 8) throw damaged('HUFFMAN', at, `raw symbols of ${value} bits`)
    return { model: emptyModel('raw', 0, value), next: at + 2 }
  }
  if (value < 1) throw damaged('HUFFMAN', at, 'a table of one symbol')
  const bits = new BitReader(bytes, at + 2, end, at)
  const list = readList(bits, value + 1, at)
  if (mode === 2) {
    const next = bits.finish()
    return { model: huffmanModel(list, lanesLog2, at), next }
  }
  const model = ransModel(list, bits, lanesLog2, at)
  return { model, next: bits.finish() }
}

/** S2 */
function lanesOf(model: PlainModel, n: number): number {
  let lanes = 1
  while (lanes < 1 << model.lanesLog2 && 2 * lanes * SYMBOLS_PER_LANE <= n) lanes *= 2
  return lanes
}

/** S3.2. `payload` has the bytes of `out.length` symbols: readBlock has looked. */
function readRaw(width: number, payload: Uint8Array, at: number, out: Uint8Array): void {
  const n = out.length
  const mask = (1 << width) - 1
  let buffer = 0
  let have = 0
  let next = 0
  for (let i = 0; i < n; i++) {
    if (have < width) {
      buffer |= payload[next++]! << have
      have += 8
    }
    out[i] = buffer & mask
    buffer >>>= width
    have -= width
  }
  if (buffer !== 0) throw damaged('BITSTREAM', at, 'bits after the last symbol are not 0')
}

/** S3.3 */
function readHuffman(model: PlainModel, payload: Uint8Array, at: number, out: Uint8Array): void {
  const n = out.length
  const { table, longest } = model
  if (payload.length % 2 !== 0 || n * model.shortest > 8 * payload.length) {
    throw damaged('BITSTREAM', at, 'a Huffman block is too short or no whole number of words')
  }
  const lanes = lanesOf(model, n)
  const buffers = new Int32Array(lanes)
  const counts = new Uint8Array(lanes)
  const mask = (1 << longest) - 1
  let next = 0
  for (let i = 0, lane = 0; i < n; i++) {
    let buffer = buffers[lane]!
    let count = counts[lane]!
    if (count < longest) {
      if (next === payload.length) throw damaged('BITSTREAM', at, 'a Huffman block ends inside a code')
      buffer = (buffer << 16) | payload[next]! | (payload[next + 1]! << 8)
      next += 2
      count += 16
    }
    const entry = table[(buffer >>> (count - longest)) & mask]!
    count -= entry >> 8
    out[i] = entry
    buffers[lane] = buffer & ((1 << count) - 1)
    counts[lane] = count
    if (++lane === lanes) lane = 0
  }
  if (next !== payload.length || buffers.some((buffer) => buffer !== 0)) {
    throw damaged('BITSTREAM', at, 'a Huffman block has words or bits left over')
  }
}

/** S3.4 */
function readRans(model: PlainModel, payload: Uint8Array, at: number, out: Uint8Array): void {
  const n = out.length
  const { table, frequencies, starts } = model
  const lanes = lanesOf(model, n)
  let next = 4 * lanes
  if (payload.length < next || payload.length % 2 !== 0) throw damaged('BITSTREAM', at, 'an rANS block is too short')
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const states = new Uint32Array(lanes)
  for (let lane = 0; lane < lanes; lane++) {
    states[lane] = view.getUint32(4 * lane, true)
    if (states[lane]! < STATE_LEAST) throw damaged('BITSTREAM', at, 'an rANS state is too small')
  }
  for (let i = 0, lane = 0; i < n; i++) {
    const x = states[lane]!
    const slot = x & 4095
    const symbol = table[slot]!
    let state = frequencies[symbol]! * (x >>> 12) + slot - starts[symbol]!
    if (state < STATE_LEAST) {
      if (next === payload.length) throw damaged('BITSTREAM', at, 'an rANS block ends early')
      state = state * 65536 + (payload[next]! | (payload[next + 1]! << 8))
      next += 2
    }
    out[i] = symbol
    states[lane] = state
    if (++lane === lanes) lane = 0
  }
  if (next !== payload.length || states.some((state) => state !== STATE_LEAST)) {
    throw damaged('BITSTREAM', at, 'an rANS block is not consumed exactly')
  }
}

/** S3: decodes bytes[at .. at + size) as exactly `n` symbols. */
export function readBlock(model: PlainModel, bytes: Uint8Array, at: number, size: number, n: number): Uint8Array {
  const payload = bytes.subarray(at, at + size)
  if (n === 0 || model.mode === 'constant') {
    if (size !== 0) throw damaged('BITSTREAM', at, 'a block without bits has bytes')
    return new Uint8Array(n).fill(model.value)
  }
  // What the payload cannot hold is not allocated: raw has at least a bit a symbol, Huffman its shortest code.
  if (model.mode === 'raw' && payload.length !== Math.ceil((n * model.value) / 8)) {
    throw damaged('BITSTREAM', at, 'a raw block has another length')
  }
  const out = new Uint8Array(n)
  if (model.mode === 'raw') readRaw(model.value, payload, at, out)
  else if (model.mode === 'huffman') readHuffman(model, payload, at, out)
  else readRans(model, payload, at, out)
  return out
}
