import { crc32c } from '../../container/crc32c.js'
import { CHUNK_BYTES, hasGaps, type TensorDescriptor } from '../../container/layout.js'
import { readCodebook } from './codebook.js'
import { readContext } from './context.js'
import { damaged, type PlainModel, readBlock, readModel } from './stream.js'

/** Payloads by docs/format.md part 3 and docs/format-streams.md S4, S5 (S7: context.ts): plain, block after block. */

interface Place {
  positions: number
  kept: number
  extra: number
  indexAt: number
  indexBytes: number
  codeAt: number
  codeBytes: number
}

/** DCZ-02 within a payload. */
class Numbers {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    private readonly end: number,
  ) {}
  /** `entry`: where the block's entry begins, which an error names. */
  varint(entry: number): number {
    let value = 0
    for (let i = 0, scale = 1; i < 8; i++, scale *= 128) {
      if (this.at === this.end) break
      const byte = this.bytes[this.at++]!
      value += (byte & 127) * scale
      if (byte >= 128) continue
      if ((byte === 0 && i > 0) || !Number.isSafeInteger(value)) break
      return value
    }
    throw damaged('STRUCTURE', entry, 'a directory has no valid number')
  }
}

const blockSize = (tensor: TensorDescriptor) => 2 ** tensor.blockLog2
const blockCount = (tensor: TensorDescriptor) => Math.ceil(tensor.elements / blockSize(tensor))
const positionsOf = (tensor: TensorDescriptor, block: number) =>
  Math.min(blockSize(tensor), tensor.elements - block * blockSize(tensor))

/** DCZ-40 and DCZ-46: `count` models that fill bytes[at .. end) exactly. */
function readModels(payload: Uint8Array, at: number, end: number, count: number): PlainModel[] {
  const models: PlainModel[] = []
  let next = at
  for (let i = 0; i < count; i++) {
    const read = readModel(payload, next, end)
    models.push(read.model)
    next = read.next
  }
  if (next !== end) throw damaged('STRUCTURE', next, 'the models do not fill the table bytes')
  return models
}

/** DCZ-43 */
function readDirectory(tensor: TensorDescriptor, payload: Uint8Array): Place[] {
  const { layout, kept, extraGaps, indexBytes, codeBytes, tableBytes, codebookBytes } = tensor
  const gaps = hasGaps(tensor)
  const directory = codebookBytes + tableBytes
  const first = payload.length - indexBytes - codeBytes
  const blocks = blockCount(tensor)
  if ((blocks - 1) * (gaps ? 4 : 1) > first - directory)
    throw damaged('STRUCTURE', directory, 'a directory is too short')
  const numbers = new Numbers(payload, directory, first)
  const left = { kept, extra: extraGaps, index: indexBytes, code: codeBytes }
  const places: Place[] = []
  let at = first
  for (let block = 0; block < blocks; block++) {
    const start = numbers.at
    const positions = positionsOf(tensor, block)
    const own = { ...left }
    if (block + 1 < blocks) {
      if (gaps) {
        own.kept = numbers.varint(start)
        own.extra = numbers.varint(start)
        own.index = numbers.varint(start)
      }
      own.code = numbers.varint(start)
      if (own.kept > left.kept || own.extra > left.extra || own.index > left.index || own.code > left.code) {
        throw damaged('STRUCTURE', start, 'a directory has more than its totals')
      }
    }
    const step = layout === 'sparse' ? tensor.escape : 2 ** tensor.indexBits
    if (gaps && own.kept + own.extra * step > positions)
      throw damaged('INDEX', start, 'a block has more than its positions')
    places.push({
      positions,
      kept: own.kept,
      extra: own.extra,
      indexAt: at,
      indexBytes: own.index,
      codeAt: at + own.index,
      codeBytes: own.code,
    })
    at += own.index + own.code
    if (gaps) left.kept -= own.kept
    left.extra -= own.extra
    left.index -= own.index
    left.code -= own.code
  }
  if (numbers.at !== first) throw damaged('STRUCTURE', numbers.at, 'a directory has bytes left over')
  return places
}

/** S4.1 */
function scatterEscape(
  tensor: TensorDescriptor,
  place: Place,
  gaps: Uint8Array,
  codes: Uint8Array,
  book: Float32Array,
): Float32Array {
  const escapeSymbol = tensor.escape
  const out = new Float32Array(place.positions)
  const wrong = (what: string) => damaged('INDEX', place.indexAt, what)
  let position = 0
  let next = 0
  if (gaps.length > 0 && gaps[gaps.length - 1] === escapeSymbol) throw wrong('a sequence of gaps ends in an escape')
  for (const gap of gaps) {
    if (gap > escapeSymbol || position + gap >= place.positions) throw wrong('a position is outside its block')
    position += gap
    if (gap !== escapeSymbol) out[position++] = book[codes[next++]!] ?? 0
  }
  if (next !== codes.length) throw wrong('there are not as many codes as gaps')
  return out
}

/** S4.2 */
function scatterRelative(
  tensor: TensorDescriptor,
  place: Place,
  gaps: Uint8Array,
  entries: Uint8Array,
  book: Float32Array,
): Float32Array {
  const most = 2 ** tensor.indexBits - 1
  const out = new Float32Array(place.positions)
  const wrong = (what: string) => damaged('INDEX', place.indexAt, what)
  let position = 0
  let fillers = 0
  if (entries.length > 0 && entries[entries.length - 1] === 0) throw wrong('a sequence of gaps ends in a filler')
  for (const [i, gap] of gaps.entries()) {
    const entry = entries[i]!
    if (gap > most || position + gap >= place.positions) throw wrong('a position is outside its block')
    if (entry === 0 && gap !== most) throw wrong('a filler has a short gap')
    position += gap + 1
    if (entry === 0) fillers++
    else out[position - 1] = book[entry - 1] ?? 0
  }
  if (fillers !== place.extra) throw wrong('there are not as many fillers as the directory says')
  return out
}

function checkCodes(codes: Uint8Array, alphabet: number, at: number): void {
  for (const code of codes)
    if (code >= alphabet) throw damaged('VALUE', at, `a code is ${code} and the codebook ends at ${alphabet}`)
}

/** One block (DCZ-42, DCZ-44). `zeros.count` counts the pruned weights of layout dense. */
function readCodedBlock(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  place: Place,
  models: PlainModel[],
  book: Float32Array,
  zeros: { count: number },
): Float32Array {
  const { layout } = tensor
  const gapCount = place.kept + place.extra
  const gaps = layout === 'dense' ? null : readBlock(models[1]!, payload, place.indexAt, place.indexBytes, gapCount)
  const codeCount = layout === 'dense' ? place.positions : layout === 'sparse' ? place.kept : gapCount
  const codes = readBlock(models[0]!, payload, place.codeAt, place.codeBytes, codeCount)
  if (layout === 'sparse') {
    const out = scatterEscape(tensor, place, gaps!, codes, book)
    checkCodes(codes, tensor.clusters, place.codeAt)
    return out
  }
  if (layout === 'relative') {
    const out = scatterRelative(tensor, place, gaps!, codes, book)
    checkCodes(codes, tensor.clusters + 1, place.codeAt)
    return out
  }
  const shift = tensor.pruned ? 1 : 0
  checkCodes(codes, tensor.clusters + shift, place.codeAt)
  return Float32Array.from(codes, (code) => {
    if (shift === 1 && code === 0) zeros.count++
    return code < shift ? 0 : book[code - shift]!
  })
}

/** DCZ-37 */
export function checkChunks(payload: Uint8Array, sums: Uint32Array): void {
  for (const [i, sum] of sums.entries()) {
    if (crc32c(payload.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)) !== sum) {
      throw damaged('CHECKSUM', i * CHUNK_BYTES, 'the checksum does not match: the file is damaged')
    }
  }
}

function checkFinite(values: Float32Array, at: number): void {
  if (!values.every(Number.isFinite)) throw damaged('VALUE', at, 'a value is a NaN or an infinity')
}

/** S5 and DCZ-46: the values of each block in turn, from `firstBlock` to `lastBlock`. */
function* planeBlocks(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  firstBlock: number,
  lastBlock: number,
  allowNonFinite: boolean,
): Generator<Float32Array> {
  const models = readModels(payload, 0, tensor.tableBytes, 4)
  const blocks = blockCount(tensor)
  if (blocks > (payload.length - tensor.tableBytes) / 4) {
    throw damaged('STRUCTURE', tensor.tableBytes, 'a directory is too short')
  }
  const numbers = new Numbers(payload, tensor.tableBytes, payload.length)
  const sizes: number[] = []
  let body = 0
  let entry = numbers.at
  for (let i = 0; i < 4 * blocks; i++) {
    if (i % 4 === 0) entry = numbers.at
    const size = numbers.varint(entry)
    sizes.push(size)
    body += size
    if (body > payload.length) throw damaged('STRUCTURE', entry, 'a directory has more than its section')
  }
  if (body !== payload.length - numbers.at)
    throw damaged('STRUCTURE', numbers.at, 'the planes do not end with the section')
  let at = numbers.at
  for (let block = 0; block <= lastBlock; block++) {
    const start = at
    const positions = positionsOf(tensor, block)
    const planes: Uint8Array[] = []
    for (let k = 0; k < 4; k++) {
      const size = sizes[4 * block + k]!
      if (block >= firstBlock) planes.push(readBlock(models[k]!, payload, at, size, positions))
      at += size
    }
    if (block < firstBlock) continue
    const bits = new Uint32Array(positions)
    for (let i = 0; i < positions; i++) {
      const r = (planes[0]![i]! | (planes[1]![i]! << 8) | (planes[2]![i]! << 16) | (planes[3]![i]! << 24)) >>> 0
      bits[i] = (r >>> 1) | (r << 31)
    }
    const values = new Float32Array(bits.buffer)
    if (!allowNonFinite) checkFinite(values, start)
    yield values
  }
}

function* codedBlocks(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  firstBlock: number,
  lastBlock: number,
  allowNonFinite: boolean,
  whole: boolean,
): Generator<Float32Array> {
  const book = readCodebook(tensor, payload, allowNonFinite)
  const tablesEnd = tensor.codebookBytes + tensor.tableBytes
  const models = readModels(payload, tensor.codebookBytes, tablesEnd, tensor.layout === 'dense' ? 1 : 2)
  const places = readDirectory(tensor, payload)
  const zeros = { count: 0 }
  for (let block = firstBlock; block <= lastBlock; block++) {
    yield readCodedBlock(tensor, payload, places[block]!, models, book, zeros)
  }
  if (whole && tensor.layout === 'dense' && tensor.pruned && zeros.count !== tensor.elements - tensor.kept) {
    throw damaged('INDEX', payload.length - tensor.codeBytes, 'there are not as many kept weights as the header says')
  }
}

/**
 * Decodes elements first .. first + out.length - 1 into `out`, a block (layout `context`: a piece) at each step of the generator. The descriptor passed the
 * header's checks and `payload` has its `storedBytes`; errors have the codes of the native decoder.
 */
export function* decodePlain(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  first: number,
  out: Float32Array,
  allowNonFinite: boolean,
): Generator<void> {
  const end = first + out.length
  if (out.length === 0) return
  if (tensor.layout === 'zero') {
    out.fill(0)
    return
  }
  if (tensor.rawForm === 'stored') {
    const bytes = new DataView(payload.buffer, payload.byteOffset, payload.length)
    // As bits: a float that passes through a number may lose the payload of a NaN.
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
    for (let i = 0; i < out.length; i++) bits[i] = bytes.getUint32(4 * (first + i), true)
    const odd = allowNonFinite ? -1 : out.findIndex((value) => !Number.isFinite(value))
    if (odd >= 0) throw damaged('VALUE', 4 * (first + odd), 'a value is a NaN or an infinity')
    return
  }
  if (tensor.layout === 'context') {
    const values = yield* readContext(tensor, payload, readCodebook(tensor, payload, allowNonFinite))
    out.set(values.subarray(first, end))
    return
  }
  const size = blockSize(tensor)
  const firstBlock = Math.floor(first / size)
  const lastBlock = Math.floor((end - 1) / size)
  const make = tensor.layout === 'raw' ? planeBlocks : codedBlocks
  // DCZ-42: the count of kept weights is known of a whole tensor only.
  const whole = out.length === tensor.elements
  let begin = firstBlock * size
  for (const values of make(tensor, payload, firstBlock, lastBlock, allowNonFinite, whole)) {
    const from = Math.max(begin, first)
    out.set(values.subarray(from - begin, Math.min(values.length, end - begin)), from - first)
    begin += values.length
    yield
  }
}
