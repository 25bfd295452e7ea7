// An encoder of its own, written from docs/format.md and docs/format-streams.md: every layout, coder, lane count and codebook form in
// small blocks, which the package's writer would choose for large tensors only. It encodes by playing the decoder's part: a lane
// gets its next word when the decoder would take it.
import { varint } from './differential-files.mjs'

/** Bits, low first. */
class Bits {
  bytes = []
  used = 0
  put(value, count) {
    for (let i = 0; i < count; i++, this.used++) {
      if (this.used % 8 === 0) this.bytes.push(0)
      this.bytes[this.used >> 3] |= (Math.floor(value / 2 ** i) & 1) << (this.used & 7)
    }
  }
}

/** S1.6 */
function putList(bits, list) {
  let p = 6
  for (let i = 0; i < list.length; ) {
    const v = list[i]
    if (v === 0) {
      let run = 1
      while (list[i + run] === 0) run++
      const k = 31 - Math.clz32(run)
      bits.put(0b011, 3)
      bits.put(1 << k, k + 1)
      bits.put(run, k)
      i += run
      continue
    }
    if (v === p) bits.put(0, 1)
    else if (v === p + 1) bits.put(0b001, 3)
    else if (v === p - 1) bits.put(0b101, 3)
    else {
      bits.put(0b111, 3)
      bits.put(v, 4)
    }
    p = v
    i++
  }
}

/** Lengths of a complete code for `symbols`: leaves of a tree that is split at random, at most 12 deep. */
function randomLengths(symbols, below) {
  const leaves = [1, 1]
  while (leaves.length < symbols.length) {
    const tried = below(leaves.length)
    const i = below(2) && leaves[tried] < 12 ? tried : leaves.indexOf(Math.min(...leaves))
    leaves.push(++leaves[i])
  }
  const lengths = new Array(symbols.at(-1) + 1).fill(0)
  for (const [i, s] of symbols.entries()) lengths[s] = leaves[i]
  return lengths
}

function randomFrequencies(symbols, below) {
  const frequencies = new Array(symbols.at(-1) + 1).fill(0)
  for (const s of symbols) frequencies[s] = 1
  for (let left = 4096 - symbols.length; left > 0; ) {
    const part = Math.min(left, 1 + below(below(2) ? 64 : 4096))
    frequencies[symbols[below(symbols.length)]] += part
    left -= part
  }
  return frequencies
}

/** A model that can code all of `used`: its bytes, and a function from symbols to a payload. */
function randomModel(used, below) {
  const symbols = [...new Set(used)].sort((a, b) => a - b)
  const kind = below(8)
  if (symbols.length < 2 && kind > 0) {
    const symbol = symbols[0] ?? below(4)
    return { bytes: [0, symbol], code: () => [] }
  }
  if (kind === 0 || symbols.length < 2) {
    const width =
      Math.max(1, 32 - Math.clz32(symbols.at(-1) ?? 0)) + (below(3) === 0 && (symbols.at(-1) ?? 0) < 128 ? 1 : 0)
    const code = (block) => {
      const bits = new Bits()
      for (const s of block) bits.put(s, width)
      return bits.bytes
    }
    return { bytes: [1, width], code }
  }
  // Symbols that never come are legal too.
  while (below(3) > 0 && symbols.length < 200) {
    const more = below(256)
    if (!symbols.includes(more)) symbols.push(more)
  }
  symbols.sort((a, b) => a - b)
  const lanesLog2 = below(7)
  const lanesOf = (n) => Math.min(2 ** lanesLog2, n < 2048 ? 1 : 2 ** Math.floor(Math.log2(n / 1024)))
  const bits = new Bits()
  if (kind < 5) {
    const lengths = randomLengths(symbols, below)
    putList(bits, lengths)
    return { bytes: [2 | (lanesLog2 << 3), symbols.at(-1), ...bits.bytes], code: huffman(lengths, lanesOf) }
  }
  const frequencies = randomFrequencies(symbols, below)
  putList(
    bits,
    frequencies.map((f) => (f === 0 ? 0 : 32 - Math.clz32(f))),
  )
  for (const f of frequencies) if (f > 1) bits.put(f, 31 - Math.clz32(f))
  return { bytes: [3 | (lanesLog2 << 3), symbols.at(-1), ...bits.bytes], code: rans(frequencies, lanesOf) }
}

/** S3.3 */
function huffman(lengths, lanesOf) {
  const codes = new Map()
  let code = 0
  let before = 0
  for (let length = 1; length <= 12; length++) {
    for (const [symbol, own] of lengths.entries()) {
      if (own !== length) continue
      if (codes.size > 0) code = (code + 1) << (length - before)
      codes.set(symbol, code)
      before = length
    }
  }
  const longest = before
  return (block) => {
    const lanes = lanesOf(block.length)
    const streams = Array.from({ length: lanes }, () => [])
    for (const [i, s] of block.entries()) {
      for (let bit = lengths[s] - 1; bit >= 0; bit--) streams[i % lanes].push((codes.get(s) >> bit) & 1)
    }
    const [next, count] = [new Array(lanes).fill(0), new Array(lanes).fill(0)]
    const out = []
    for (const [i, s] of block.entries()) {
      const lane = i % lanes
      if (count[lane] < longest) {
        let word = 0
        for (let bit = 0; bit < 16; bit++) word = word * 2 + (streams[lane][next[lane]++] ?? 0)
        out.push(word & 255, word >> 8)
        count[lane] += 16
      }
      count[lane] -= lengths[s]
    }
    return out
  }
}

/** S3.4, backwards: what the decoder takes last is written first. */
function rans(frequencies, lanesOf) {
  const starts = []
  let sum = 0
  for (const f of frequencies) {
    starts.push(sum)
    sum += f
  }
  return (block) => {
    if (block.length === 0) return []
    const lanes = lanesOf(block.length)
    const states = new Array(lanes).fill(65536)
    const words = []
    for (let i = block.length - 1; i >= 0; i--) {
      const f = frequencies[block[i]]
      let x = states[i % lanes]
      // The decoder comes to x from a state of f * 2^20 or more without a word only if it stays below 2^32.
      if (x >= f * 2 ** 20) {
        words.push(x % 65536)
        x = Math.floor(x / 65536)
      }
      states[i % lanes] = Math.floor(x / f) * 4096 + (x % f) + starts[block[i]]
    }
    const out = states.flatMap((x) => [x & 255, (x >>> 8) & 255, (x >>> 16) & 255, x >>> 24])
    for (const word of words.reverse()) out.push(word & 255, word >> 8)
    return out
  }
}

const view = new DataView(new ArrayBuffer(4))
const floatBits = (value) => {
  view.setFloat32(0, value)
  return view.getUint32(0)
}
const halfBits = (value) => {
  const exponent = Math.floor(Math.log2(value))
  return ((exponent + 15) << 10) | (Math.round((value / 2 ** exponent) * 1024) - 1024)
}

/** Ascending centroids with their form and bytes (DCZ-50 to DCZ-53). */
function randomCodebook(k, below) {
  if (below(2)) {
    // Whole steps of 1/32 are halves; none is -0.
    const first = 1 + below(40)
    return smallest(
      Array.from({ length: k }, (_, i) => (first + i) / 32),
      16,
      halfBits,
    )
  }
  const near = below(2) === 1
  const far = below(4) === 0 ? 1e20 : 0.0137
  const values = Array.from({ length: k }, (_, i) =>
    Math.fround(near ? 1 + (3 * i + 1) / 2 ** 23 : (i - k / 2 + 0.3) * (i % 7 === 0 ? 0.0137 : far)),
  )
  return smallest(
    values.sort((a, b) => a - b),
    32,
    floatBits,
  )
}

/** Fewest bytes of the plain form and of steps, whose shift is the best, the least of equals. */
function smallest(values, keyBits, bitsOf) {
  const sign = 2 ** (keyBits - 1)
  const keys = values.map(bitsOf).map((bits) => (bits < sign ? bits + sign : 2 * sign - 1 - bits))
  const steps = keys.slice(1).map((key, i) => key - keys[i] - 1)
  let best
  for (let shift = 0; shift < keyBits; shift++) {
    const bits = new Bits()
    bits.put(shift, keyBits === 32 ? 5 : 4)
    bits.put(keys[0], keyBits)
    for (const step of steps) {
      const ones = Math.floor(step / 2 ** shift)
      if (ones < 8) {
        bits.put(2 ** ones - 1, ones + 1)
        bits.put(step % 2 ** shift, shift)
      } else {
        bits.put(255, 8)
        bits.put(step, keyBits)
      }
    }
    if (!best || bits.used < best.used) best = bits
  }
  if (best.bytes.length < (keyBits / 8) * values.length) {
    return { form: keyBits === 16 ? 'float16Steps' : 'float32Steps', bytes: best.bytes, values }
  }
  const bytes = values
    .map(bitsOf)
    .flatMap((bits) => [bits & 255, bits >>> 8, bits >>> 16, bits >>> 24].map((b) => b & 255))
  return {
    form: keyBits === 16 ? 'float16' : 'float32',
    bytes: keyBits === 16 ? bytes.filter((_, i) => i % 4 < 2) : bytes,
    values,
  }
}

/** A valid tensor of a model (differential-files.mjs) and the `values` it holds, with a random layout, density, coder and block size. */
export function randomTensor(name, below) {
  const blockLog2 = 10 + below(below(4) === 0 ? 3 : 1)
  const size = 2 ** blockLog2
  const n = below(5) === 0 ? [1, 2, size - 1, size, size + 1, 2 * size, 3 * size][below(7)] : 1 + below(2 * size + 100)
  const blank = {
    name,
    shape: [n],
    layout: 'raw',
    rawForm: 'planes',
    pruned: false,
    sourceOrder: false,
    codebookForm: 'float32',
  }
  const none = {
    blockLog2,
    clusters: 1,
    kept: n,
    escape: 0,
    indexBits: 0,
    extraGaps: 0,
    codebookBytes: 0,
    indexBytes: 0,
    codeBytes: 0,
    width: 1,
    stride: 1,
  }
  const base = { ...blank, ...none, codeEntropyBits: below(1000), indexEntropyBits: 0 }
  const cut = (list) => Array.from({ length: Math.ceil(n / size) }, (_, b) => list.slice(b * size, (b + 1) * size))
  const layout = ['raw', 'dense', 'sparse', 'relative'][below(4)]
  if (layout === 'raw') {
    const spread = 1 + below(255)
    // Plane 3 is the exponent: under 255 all values are finite.
    const planes = [0, 1, 2, 3].map(() => cut(Array.from({ length: n }, () => below(spread))))
    const models = planes.map((blocks) => randomModel(blocks.flat(), below))
    const payloads = cut(new Array(n)).map((_, b) => planes.map((blocks, k) => models[k].code(blocks[b])))
    const table = models.flatMap((m) => m.bytes)
    const directory = payloads.flatMap((four) => four.flatMap((bytes) => varint(bytes.length)))
    const bits = Uint32Array.from({ length: n }, (_, i) => {
      const [a, b, c, d] = planes.map((plane) => plane[Math.floor(i / size)][i % size])
      const r = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
      return (r >>> 1) | (r << 31)
    })
    const values = new Float32Array(bits.buffer)
    return {
      ...base,
      values,
      tableBytes: table.length,
      payload: Uint8Array.from([...table, ...directory, ...payloads.flat(2)]),
    }
  }
  const k = 1 + below([4, 16, 64, 200][below(4)])
  const density = [0.02, 0.1, 0.5, 0.9][below(4)]
  const weights = Array.from({ length: n }, () => (below(1000) < 1000 * density ? 1 + Math.min(below(k), below(k)) : 0))
  let kept = weights.filter((w) => w > 0).length
  const pruned = kept < n && kept > 0
  if (kept === 0) weights.fill(1)
  if (!pruned) kept = n
  const book = randomCodebook(k, below)
  const t = {
    ...base,
    layout,
    rawForm: null,
    pruned,
    clusters: k,
    kept,
    codebookForm: book.form,
    codebookBytes: book.bytes.length,
  }
  if (layout === 'sparse') t.escape = 1 + below(below(2) ? 30 : 255)
  if (layout === 'relative') t.indexBits = 2 + below(7)
  const blocks = cut(weights).map((block) => streamsOf(t, block))
  const codeModel = randomModel(
    blocks.flatMap((b) => b.codes),
    below,
  )
  const gapModel =
    layout === 'dense'
      ? { bytes: [], code: () => [] }
      : randomModel(
          blocks.flatMap((b) => b.gaps),
          below,
        )
  const coded = blocks.map((b) => ({ ...b, index: gapModel.code(b.gaps), code: codeModel.code(b.codes) }))
  const directory = coded.slice(0, -1).flatMap((b) => {
    return (layout === 'dense' ? [b.code.length] : [b.kept, b.extra, b.index.length, b.code.length]).flatMap(varint)
  })
  for (const b of coded) {
    t.extraGaps += b.extra
    t.indexBytes += b.index.length
    t.codeBytes += b.code.length
  }
  t.values = Float32Array.from(weights, (w) => (w === 0 ? 0 : book.values[w - 1]))
  t.tableBytes = codeModel.bytes.length + gapModel.bytes.length
  const tables = [...book.bytes, ...codeModel.bytes, ...gapModel.bytes]
  t.payload = Uint8Array.from([...tables, ...directory, ...coded.flatMap((b) => [...b.index, ...b.code])])
  return t
}

/** Gap and code symbols of a block (DCZ-42, S4); a weight is 0 or its code plus 1. */
function streamsOf(t, block) {
  const gaps = []
  const codes = []
  let extra = 0
  let kept = 0
  if (t.layout === 'dense') return { gaps, codes: block.map((w) => (t.pruned ? w : w - 1)), extra, kept }
  const step = t.layout === 'sparse' ? t.escape : 2 ** t.indexBits
  let zeros = 0
  for (const w of block) {
    if (w === 0) {
      zeros++
      continue
    }
    for (; zeros >= step; zeros -= step, extra++) {
      gaps.push(t.layout === 'sparse' ? step : step - 1)
      if (t.layout === 'relative') codes.push(0)
    }
    gaps.push(zeros)
    codes.push(t.layout === 'sparse' ? w - 1 : w)
    zeros = 0
    kept++
  }
  return { gaps, codes, extra, kept }
}
