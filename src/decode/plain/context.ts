import type { TensorDescriptor } from '../../container/layout.js'
import { damaged } from './stream.js'

/** Layout `context` by docs/format-streams.md S7: probabilities that are learned from row, column and neighbours. */

/** 65536 / (1 + exp(-d / 256)) at d = -2048, -1920, ... 2048 (S7.3). */
const SQUASH = [
  22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768, 40793, 47911, 53581,
  57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514,
]

function squash(d: number): number {
  const part = (d + 2048) & 127
  const i = (d + 2048) >> 7
  return (SQUASH[i]! * (128 - part) + SQUASH[i + 1]! * part + 64) >> 7
}

let stretchTable: Int16Array | undefined

/** STRETCH[q]: the least d from -2047 with squash(d) >> 4 at least q; 2047 where there is none. */
function stretches(): Int16Array {
  if (stretchTable) return stretchTable
  const table = new Int16Array(4096).fill(2047)
  let q = 0
  for (let d = -2047; d <= 2047; d++) for (const reached = squash(d) >> 4; q <= reached; q++) table[q] = d
  stretchTable = table
  return table
}

/** 131072 / (2 n + 3) (S7.3) */
const RATES = Uint32Array.from({ length: 1024 }, (_, n) => 131072 / (2 * n + 3))

/** Counters (S7.3): a probability in 1/65536 and the bits it was learned from, up to a limit. */
class Counters {
  readonly p: Uint16Array
  readonly n: Uint16Array
  constructor(
    size: number,
    p: number,
    n: number,
    private readonly limit: number,
  ) {
    this.p = new Uint16Array(size).fill(p)
    this.n = new Uint16Array(size).fill(n)
  }
  learn(i: number, bit: number): void {
    const n = this.n[i]!
    const p = this.p[i]!
    const rate = RATES[n]!
    this.p[i] = bit === 1 ? p + (((65535 - p) * rate) >>> 16) : p - ((p * rate) >>> 16)
    if (n < this.limit) this.n[i] = n + 1
  }
}

/** S7.1, and the mixer of S7.3. */
class BitDecoder {
  private low = 0
  private high = 0xffffffff
  private number = 0
  private at: number
  private readonly weights = Int32Array.of(16384, 16384, 16384, 16384)
  private readonly stretched = new Int32Array(4)
  private readonly stretch = stretches()

  constructor(
    private readonly bytes: Uint8Array,
    private readonly start: number,
    private readonly size: number,
  ) {
    this.at = start
    for (let i = 0; i < 4; i++) this.number = this.number * 256 + this.next()
  }

  private next(): number {
    const i = this.at++
    return i < this.start + this.size ? this.bytes[i]! : 0
  }

  /** One bit, by the probabilities of four counters. */
  bit(a: number, b: number, c: number, d: number): number {
    const { weights, stretched, stretch } = this
    stretched[0] = stretch[a >> 4]!
    stretched[1] = stretch[b >> 4]!
    stretched[2] = stretch[c >> 4]!
    stretched[3] = stretch[d >> 4]!
    let sum = 0
    for (let i = 0; i < 4; i++) sum += weights[i]! * stretched[i]!
    const p = squash(Math.max(-2047, Math.min(2047, Math.floor(sum / 65536))))
    const bit = this.half(p)
    const error = (bit === 1 ? 65535 : 0) - p
    for (let i = 0; i < 4; i++) {
      const weight = weights[i]! + ((stretched[i]! * error + 32768) >> 16)
      weights[i] = Math.max(-1048576, Math.min(1048576, weight))
    }
    return bit
  }

  private half(p: number): number {
    const range = this.high - this.low
    const middle = this.low + (range >>> 16) * p + (((range & 0xffff) * p) >>> 16)
    const bit = this.number <= middle ? 1 : 0
    if (bit === 1) this.high = middle
    else this.low = middle + 1
    while ((this.low ^ this.high) >>> 24 === 0) {
      this.low = (this.low << 8) >>> 0
      this.high = ((this.high << 8) | 255) >>> 0
      this.number = ((this.number << 8) | this.next()) >>> 0
    }
    return bit
  }

  /** S7.2: what was taken past the four bytes in hand. */
  look(): void {
    if (this.at > this.start + this.size + 4)
      throw damaged('BITSTREAM', this.start, 'a context stream ends before its bits do')
  }

  /** S7.2 */
  finish(): void {
    const consumed = this.at - this.start - 4
    const tail = Math.ceil(this.low / 2 ** 24)
    const ends = tail === 0 ? consumed === this.size : consumed + 1 === this.size && this.number >>> 24 === tail
    if (!ends) throw damaged('BITSTREAM', this.start, 'a context stream does not end where its bytes do')
  }
}

/** Positions of a step: then it is looked at whether a stream has ended early, and the caller may abort. */
const PIECE = 4096

/** S7.4, a piece at each step of the generator. Answers 1 for each position that is kept, else 0. */
function* readMarks(tensor: TensorDescriptor, bytes: Uint8Array, start: number): Generator<void, Uint8Array> {
  const { elements, kept, width, stride } = tensor
  const marks = new Uint8Array(elements)
  const decoder = new BitDecoder(bytes, start, tensor.indexBytes)
  const share = Math.max(32, Math.min(65503, Math.floor((kept * 65536) / elements)))
  const all = new Counters(1, share, 10, 1023)
  const row = new Counters(1, share, 10, 255)
  const columns = new Counters(width, share, 4, 80)
  const near = new Counters(64, share, 4, 255)
  const far = width * stride
  const before = (i: number, distance: number) => (distance <= i ? marks[i - distance]! : 0)
  let left = kept
  // Not a loop of the generator itself, which the compiler does not make as fast.
  const piece = (begin: number, end: number) => {
    for (let i = begin, column = begin % width; left > 0 && i < end; i++, column++) {
      if (column === width) column = 0
      if (column === 0 && i > 0) {
        row.p[0] = (3 * row.p[0]! + all.p[0]!) >> 2
        row.n[0] = 10
      }
      const context =
        before(i, width) |
        (before(i, far) << 1) |
        (before(i, far + width) << 2) |
        ((stride > 1 ? before(i, far - width) : 0) << 3) |
        (before(i, 2 * width) << 4) |
        (before(i, 2 * far) << 5)
      const bit = decoder.bit(all.p[0]!, row.p[0]!, columns.p[column]!, near.p[context]!)
      all.learn(0, bit)
      row.learn(0, bit)
      columns.learn(column, bit)
      near.learn(context, bit)
      marks[i] = bit
      left -= bit
    }
    decoder.look()
  }
  for (let i = 0; left > 0 && i < elements; i += PIECE) {
    piece(i, Math.min(i + PIECE, elements))
    yield
  }
  if (left > 0) throw damaged('INDEX', start, 'there are not as many kept weights as the header says')
  decoder.finish()
  return marks
}

const NODES = 256

/** DCZ-48: all values of the tensor; S7.5, a piece at each step of the generator. */
export function* readContext(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  book: Float32Array,
): Generator<void, Float32Array> {
  const { elements, clusters, width, stride, codebookBytes, indexBytes } = tensor
  const marks = tensor.pruned ? yield* readMarks(tensor, payload, codebookBytes) : new Uint8Array(elements).fill(1)
  const out = new Float32Array(elements)
  const decoder = new BitDecoder(payload, codebookBytes + indexBytes, tensor.codeBytes)
  const bits = 32 - Math.clz32(clusters - 1)
  const coarse = Math.max(0, bits - 2)
  const fine = Math.max(0, bits - 3)
  const all = new Counters(NODES, 32768, 0, 1023)
  const byColumn = new Counters(9 * NODES, 32768, 0, 255)
  const byNear = new Counters(25 * NODES, 32768, 0, 255)
  const byLast = new Counters(5 * NODES, 32768, 0, 255)
  const columns = new Uint8Array(width)
  const far = width * stride
  let last = 0
  const piece = (begin: number, end: number) => {
    for (let i = begin, column = begin % width; i < end; i++, column++) {
      if (column === width) column = 0
      if (marks[i] === 0) continue
      const above = i >= width ? marks[i - width]! : 0
      const beyond = i >= far ? marks[i - far]! : 0
      const c = columns[column]! * NODES
      const n = (5 * above + beyond) * NODES
      const l = last * NODES
      let node = 1
      for (let b = bits - 1; b >= 0; b--) {
        let bit = 0
        if (((2 * node + 1) << b) - (1 << bits) < clusters) {
          bit = decoder.bit(all.p[node]!, byColumn.p[c + node]!, byNear.p[n + node]!, byLast.p[l + node]!)
          all.learn(node, bit)
          byColumn.learn(c + node, bit)
          byNear.learn(n + node, bit)
          byLast.learn(l + node, bit)
        }
        node = 2 * node + bit
      }
      const code = node - (1 << bits)
      out[i] = book[code]!
      columns[column] = 1 + (code >> fine)
      last = 1 + (code >> coarse)
      marks[i] = last
    }
    decoder.look()
  }
  for (let i = 0; i < elements; i += PIECE) {
    piece(i, Math.min(i + PIECE, elements))
    yield
  }
  decoder.finish()
  return out
}
