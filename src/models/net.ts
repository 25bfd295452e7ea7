import * as assert from '../assert.js'
import { DeepCompressionError, printable, type StatusName } from '../errors.js'
import { elementCount, type QuantizedTensor } from '../tensor.js'
import { asArray, asObject, asText, asWhole, parseJson } from './json.js'
import { checkEntry } from './model.js'

/**
 * The layout in which the paper's authors published AlexNet and SqueezeNet (`.net`): no magic, no names, no shapes, no checksum.
 * Little-endian throughout:
 *
 *   one uint32 a layer: its entries n
 *   then for each layer: codebook, 2^b float32, slot 0 = 0.0, any order | bias, one float32 an output channel
 *                        | codes, b bits an entry | gaps, 4 bits an entry
 *
 * b is 8 for convolutions and 4 otherwise. Of two 4-bit entries in a byte the first is the low half; an odd count leaves the last
 * high half 0. Gap g goes g + 1 positions on in the flattened tensor. Code 0 is a filler, which writes 0.0; what is never reached
 * is 0.0 too, and nothing is stored for the zeros at the end.
 */
export interface NetLayer {
  name: string
  /** C order, output channels first: (out, in, height, width) or (out, in). */
  shape: readonly number[]
  /** Bits of a code. Default: 8 when the name contains "conv", else 4. */
  bits?: 4 | 8
}

/** One layer as the file has it; `writeNet` makes the same bytes of it again. */
export interface NetRecord {
  name: string
  shape: readonly number[]
  bits: 4 | 8
  /** One code an entry, fillers included. */
  codes: Uint8Array<ArrayBuffer>
  /** One gap an entry, 0 to 15. */
  gaps: Uint8Array<ArrayBuffer>
  /** 2^bits values in the file's own order: unsorted, repeated and unused ones too. */
  codebook: Float32Array<ArrayBuffer>
  /** `shape[0]` values. */
  bias: Float32Array<ArrayBuffer>
}

const GAP_MOST = 15
const LAYERS_MOST = 65_536
const ENTRIES_MOST = 2 ** 32 - 1

function refuse(status: StatusName, name: string, what: string, offset?: number): DeepCompressionError {
  const details = { section: name, ...(offset === undefined ? {} : { offset }) }
  return new DeepCompressionError(status, `.net, layer ${printable(name)}: ${what}`, details)
}

function halves(count: number): number {
  return Math.ceil(count / 2)
}

type ResolvedLayer = Readonly<Required<NetLayer>> & { readonly elements: number }

function resolveLayer(layer: NetLayer): ResolvedLayer {
  const { name, shape, bits = name.includes('conv') ? 8 : 4 } = layer
  checkEntry(name, shape, 'layers of the .net file')
  if (shape.length === 0) throw refuse('ARG', name, 'has no dimensions; the first is its number of outputs')
  if (bits !== 4 && bits !== 8) throw refuse('ARG', name, `codes of ${String(bits)} bits; 4 or 8 are possible`)
  return { name, shape, bits, elements: elementCount(shape) }
}

function resolveLayers(layers: readonly NetLayer[]): ResolvedLayer[] {
  if (layers.length > LAYERS_MOST) {
    throw new DeepCompressionError('LIMIT', `.net: ${layers.length} layers; ${LAYERS_MOST} are the most`)
  }
  const names = new Set(layers.map(({ name }) => name))
  if (names.size !== layers.length) throw new DeepCompressionError('ARG', '.net: two layers have the same name')
  return layers.map(resolveLayer)
}

/** The layer list of a `.net` file: `{ "layers": [ { "name": "fc6", "shape": [4096, 9216] } ] }`, in file order. */
export function parseNetLayers(json: string): NetLayer[] {
  const where = 'layers'
  const list = asObject(parseJson(json, where), where)
  for (const key of list.keys()) if (key !== 'layers') throw unknownKey(where, key)
  return asArray(list.get('layers'), where).map((value, i) => {
    const at = `${where}[${i}]`
    const fields = asObject(value, at)
    for (const key of fields.keys()) if (!['name', 'shape', 'bits'].includes(key)) throw unknownKey(at, key)
    const layer: NetLayer = {
      name: asText(fields.get('name'), `${at}.name`),
      shape: asArray(fields.get('shape'), `${at}.shape`).map((d) => asWhole(d, `${at}.shape`)),
    }
    const bits = fields.get('bits')
    if (bits !== undefined) layer.bits = asWhole(bits, `${at}.bits`) as 4 | 8
    resolveLayer(layer)
    return layer
  })
}

function unknownKey(where: string, key: string): DeepCompressionError {
  return new DeepCompressionError('STRUCTURE', `${where} has an unknown key ${printable(key)}`, { section: where })
}

/** The 4-bit halves of `bytes`, low half first. */
function unpackHalves(bytes: Uint8Array, out: Uint8Array): void {
  for (let i = 0; i < out.length; i++) out[i] = (bytes[i >>> 1]! >>> (4 * (i & 1))) & 15
}

function packHalves(values: Uint8Array, out: Uint8Array): void {
  for (let i = 0; i < values.length; i++) out[i >>> 1]! |= values[i]! << (4 * (i & 1))
}

/** Reads little-endian float32 without touching their bits. */
function floatsAt(name: string, what: string, view: DataView, at: number, count: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    out[i] = view.getFloat32(at + 4 * i, true)
    if (!Number.isFinite(out[i])) throw refuse('NONFINITE', name, `value ${i} of its ${what} is ${out[i]}`, at + 4 * i)
  }
  return out
}

function blockBytes({ bits, shape }: ResolvedLayer, entries: number): number {
  return 4 * 2 ** bits + 4 * shape[0]! + (bits === 8 ? entries : halves(entries)) + halves(entries)
}

function readLayer(layer: ResolvedLayer, entries: number, bytes: Uint8Array, at: number): NetRecord {
  const { name, shape, bits, elements } = layer
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const codebook = floatsAt(name, 'codebook', view, at, 2 ** bits)
  if (codebook[0] !== 0) throw refuse('VALUE', name, `slot 0 of its codebook is ${codebook[0]}; it must be 0`, at)
  const biasAt = at + 4 * codebook.length
  const bias = floatsAt(name, 'bias', view, biasAt, shape[0]!)
  const codesAt = biasAt + 4 * bias.length
  const gapsAt = codesAt + (bits === 8 ? entries : halves(entries))
  const end = gapsAt + halves(entries)
  const codes = assert.allocate(name, entries, (n) => new Uint8Array(n))
  const gaps = assert.allocate(name, entries, (n) => new Uint8Array(n))
  if (bits === 8) codes.set(bytes.subarray(codesAt, gapsAt))
  else unpackHalves(bytes.subarray(codesAt, gapsAt), codes)
  unpackHalves(bytes.subarray(gapsAt, end), gaps)
  for (const last of entries % 2 === 1 ? (bits === 8 ? [end - 1] : [gapsAt - 1, end - 1]) : []) {
    if (bytes[last]! >>> 4) throw refuse('BITSTREAM', name, 'the unused last half of a byte is not 0', last)
  }
  let position = -1
  for (let i = 0; i < entries; i++) {
    position += gaps[i]! + 1
    if (position >= elements) {
      throw refuse('INDEX', name, `entry ${i} is at position ${position} of ${elements}`, gapsAt + (i >>> 1))
    }
  }
  return { name, shape: [...shape], bits, codes, gaps, codebook, bias }
}

/**
 * Reads a `.net` file, given its layers in file order. Strict: every byte is accounted for.
 *
 * @throws ERR_DC_TRUNCATED, ERR_DC_TRAILING (lengths), ERR_DC_INDEX (more entries than weights, a gap past the end), ERR_DC_VALUE (slot 0
 *   is not 0), ERR_DC_NONFINITE, ERR_DC_BITSTREAM (unused bits), ERR_DC_ARG, ERR_DC_STRUCTURE and ERR_DC_LIMIT (the list of layers)
 */
export function readNet(bytes: Uint8Array, layers: readonly NetLayer[]): NetRecord[] {
  assert.uint8('bytes', bytes)
  const resolved = resolveLayers(layers)
  let at = 4 * resolved.length
  const short = (need: number) =>
    new DeepCompressionError(
      'TRUNCATED',
      `.net: ${need} bytes are needed for these layers, the file has ${bytes.length}`,
      {
        section: 'header',
        offset: bytes.length,
      },
    )
  if (bytes.length < at) throw short(at)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const counts = resolved.map((layer, i) => {
    const entries = view.getUint32(4 * i, true)
    if (entries > layer.elements) {
      throw refuse('INDEX', layer.name, `${entries} entries, but only ${layer.elements} weights`, 4 * i)
    }
    return entries
  })
  const total = resolved.reduce((sum, layer, i) => sum + blockBytes(layer, counts[i]!), at)
  if (bytes.length < total) throw short(total)
  if (bytes.length > total) {
    throw new DeepCompressionError('TRAILING', `.net: ${bytes.length - total} bytes follow the last layer`, {
      section: 'file',
      offset: total,
    })
  }
  return resolved.map((layer, i) => {
    const record = readLayer(layer, counts[i]!, bytes, at)
    at += blockBytes(layer, counts[i]!)
    return record
  })
}

function checkRecord(record: NetRecord): ResolvedLayer {
  const layer = resolveLayer(record)
  const { name, codes, gaps, codebook, bias, shape, bits } = record
  const wrong = (what: string, got: number, expected: number) =>
    refuse('ARG', name, `${what} has ${got} values, ${expected} were expected`)
  if (gaps.length !== codes.length) throw wrong('gaps', gaps.length, codes.length)
  if (codes.length > ENTRIES_MOST) throw refuse('ARG', name, `${codes.length} entries; 4294967295 are the most`)
  if (codebook.length !== 2 ** bits) throw wrong('codebook', codebook.length, 2 ** bits)
  if (bias.length !== shape[0]) throw wrong('bias', bias.length, shape[0]!)
  if (codebook[0] !== 0) throw refuse('VALUE', name, `slot 0 of its codebook is ${codebook[0]}; it must be 0`)
  const finite = (what: string, values: Float32Array) => {
    const at = values.findIndex((value) => !Number.isFinite(value))
    if (at >= 0) throw refuse('NONFINITE', name, `value ${at} of its ${what} is ${values[at]}`, at)
  }
  finite('codebook', codebook)
  finite('bias', bias)
  let position = -1
  for (let i = 0; i < codes.length; i++) {
    if (codes[i]! >= codebook.length) throw refuse('VALUE', name, `code ${codes[i]} of entry ${i} has no slot`, i)
    if (gaps[i]! > GAP_MOST) throw refuse('VALUE', name, `gap ${gaps[i]} of entry ${i} does not fit 4 bits`, i)
    position += gaps[i]! + 1
  }
  if (position >= layer.elements) throw refuse('INDEX', name, `entries reach ${position} of ${layer.elements}`)
  return layer
}

/** The bytes of a `.net` file. Records that `readNet` gave become the same bytes again. */
export function writeNet(records: readonly NetRecord[]): Uint8Array<ArrayBuffer> {
  resolveLayers(records)
  const layers = records.map(checkRecord)
  const total = layers.reduce((sum, layer, i) => sum + blockBytes(layer, records[i]!.codes.length), 4 * layers.length)
  const bytes = assert.allocate('.net', total, (n) => new Uint8Array(n))
  const view = new DataView(bytes.buffer)
  let at = 4 * records.length
  records.forEach(({ bits, codes, gaps, codebook, bias }, i) => {
    view.setUint32(4 * i, codes.length, true)
    for (const values of [codebook, bias]) {
      for (const value of values) {
        view.setFloat32(at, value, true)
        at += 4
      }
    }
    const codeBytes = bits === 8 ? codes.length : halves(codes.length)
    if (bits === 8) bytes.set(codes, at)
    else packHalves(codes, bytes.subarray(at, at + codeBytes))
    at += codeBytes
    packHalves(gaps, bytes.subarray(at, at + halves(gaps.length)))
    at += halves(gaps.length)
  })
  return bytes
}

/** The weights of a layer, C order. */
export function netValues(record: NetRecord): Float32Array<ArrayBuffer> {
  const { elements, name } = checkRecord(record)
  const values = assert.allocate(name, elements, (n) => new Float32Array(n))
  let position = -1
  record.codes.forEach((code, i) => {
    position += record.gaps[i]! + 1
    values[position] = record.codebook[code]!
  })
  return values
}

/**
 * A layer as the stages of this package take it: fillers and zeros are pruned weights, the codebook is ascending and holds the used values,
 * each once. For a file that must come out of a `.net` unchanged keep the record.
 */
export function netQuantized(record: NetRecord): QuantizedTensor {
  const { elements, name, shape } = checkRecord(record)
  const used = new Set<number>()
  for (const code of record.codes) used.add(record.codebook[code]!)
  used.delete(0)
  const codebook = Float32Array.from(used).sort()
  const slots = new Map(Array.from(codebook, (value, i) => [value, i]))
  const codeOf = Uint16Array.from(record.codebook, (value) => slots.get(value) ?? 0)
  const mask = new Uint32Array(Math.ceil(elements / 32))
  const codes = new Uint8Array(record.codes.length)
  let position = -1
  let kept = 0
  record.codes.forEach((code, i) => {
    position += record.gaps[i]! + 1
    if (record.codebook[code] === 0) return
    mask[position >>> 5]! |= 1 << (position & 31)
    codes[kept++] = codeOf[code]!
  })
  return { name, shape: [...shape], mask, kept, codes: codes.slice(0, kept), codebook }
}

/** An entry that the layout needs to go far enough; one at the end, or with a short gap, is of the file's own making. */
function isFiller({ codes, gaps }: NetRecord, i: number): boolean {
  return codes[i] === 0 && gaps[i] === GAP_MOST && i < codes.length - 1
}

/**
 * A layer as an archive keeps it: the codebook in the file's own order, repeats and unused slots included, and what is kept are the entries
 * but for the fillers that any writer would put there. `netRecordOf` makes the same record of it again. The codebook is without slot 0,
 * unless an entry of slot 0 is kept. (Of a layer without entries nothing is kept; an archive has no codebook for it.)
 *
 * @throws ERR_DC_VALUE: a codebook with -0.0, which an archive does not hold (DCZ-51)
 */
export function netShared(record: NetRecord): QuantizedTensor {
  const { elements, name, shape } = checkRecord(record)
  const negative = record.codebook.findIndex((value) => Object.is(value, -0))
  if (negative >= 0) throw refuse('VALUE', name, `slot ${negative} of its codebook is -0.0, which no archive holds`)
  const mask = new Uint32Array(Math.ceil(elements / 32))
  const slots = assert.allocate(name, record.codes.length, (n) => new Uint8Array(n))
  let position = -1
  let kept = 0
  let keepsZero = false
  record.codes.forEach((code, i) => {
    position += record.gaps[i]! + 1
    if (isFiller(record, i)) return
    mask[position >>> 5]! |= 1 << (position & 31)
    keepsZero ||= code === 0
    slots[kept++] = code
  })
  const codes = slots.slice(0, kept)
  if (!keepsZero) for (let i = 0; i < kept; i++) codes[i]!--
  return { name, shape: [...shape], mask, kept, codes, codebook: record.codebook.slice(keepsZero ? 0 : 1) }
}

/**
 * A layer for `writeNet` from its codes: slot c + 1 is centroid c, or slot c where the codebook fills all slots and begins with 0.
 *
 * @throws ERR_DC_VALUE (more centroids than slots), ERR_DC_ARG (lengths)
 */
export function netRecordOf(layer: NetLayer, shared: QuantizedTensor, bias?: Float32Array): NetRecord {
  const { name, shape, bits, elements } = resolveLayer(layer)
  const { mask, kept } = shared
  const codebook = new Float32Array(2 ** bits)
  const first = shared.codebook.length === codebook.length && shared.codebook[0] === 0 ? 0 : 1
  if (first + shared.codebook.length > codebook.length) {
    throw refuse('VALUE', name, `${shared.codebook.length} shared values, which codes of ${bits} bits cannot hold`)
  }
  codebook.set(shared.codebook, first)
  const positions = assert.allocate(name, kept, (n) => new Float64Array(n))
  let entries = 0
  for (let i = 0, next = 0, before = -1; next < kept; i++) {
    if (i >= elements) throw refuse('ARG', name, `${kept} kept weights, but the mask has ${next}`)
    if (mask !== null && !((mask[i >>> 5]! >>> (i & 31)) & 1)) continue
    entries += Math.ceil((i - before) / (GAP_MOST + 1))
    positions[next++] = before = i
  }
  const codes = assert.allocate(name, entries, (n) => new Uint8Array(n))
  const gaps = assert.allocate(name, entries, (n) => new Uint8Array(n))
  let at = 0
  let before = -1
  positions.forEach((position, next) => {
    for (; position - before > GAP_MOST + 1; before += GAP_MOST + 1) gaps[at++] = GAP_MOST // a filler: code 0
    codes[at] = shared.codes[next]! + first
    gaps[at++] = position - before - 1
    before = position
  })
  const record = {
    name,
    shape: [...shape],
    bits,
    codes,
    gaps,
    codebook,
    bias: bias === undefined ? new Float32Array(shape[0]!) : assert.float32('bias', bias).slice(),
  }
  checkRecord(record)
  return record
}

/**
 * A layer for `writeNet` from its weights, which are already shared: codebook ascending after slot 0, unused slots 0.
 *
 * @param bias as many as `layer.shape[0]`; zeros when left out
 * @throws ERR_DC_VALUE (more than 255 or 15 values that differ and are not 0), ERR_DC_ARG (lengths), ERR_DC_NONFINITE
 */
export function netRecord(layer: NetLayer, values: Float32Array, bias?: Float32Array): NetRecord {
  const { name, shape, bits, elements } = resolveLayer(layer)
  assert.float32('values', values)
  if (values.length !== elements) {
    throw refuse('ARG', name, `${values.length} weights; its shape says ${elements}`)
  }
  const most = 2 ** bits - 1
  const distinct = new Set<number>()
  let entries = 0
  let before = -1
  for (let i = 0; i < elements; i++) {
    const value = values[i]!
    if (value === 0) continue
    if (!Number.isFinite(value)) throw refuse('NONFINITE', name, `weight ${i} is ${value}`, i)
    distinct.add(value)
    if (distinct.size > most) {
      throw refuse('VALUE', name, `more than ${most} distinct values but 0, which codes of ${bits} bits cannot hold`, i)
    }
    entries += Math.ceil((i - before) / (GAP_MOST + 1))
    before = i
  }
  const codebook = new Float32Array(2 ** bits)
  codebook.set(Float32Array.from(distinct).sort(), 1)
  const slots = new Map(Array.from(codebook.subarray(1, 1 + distinct.size), (value, i) => [value, i + 1]))
  const codes = assert.allocate(name, entries, (n) => new Uint8Array(n))
  const gaps = assert.allocate(name, entries, (n) => new Uint8Array(n))
  let at = 0
  before = -1
  for (let i = 0; i < elements; i++) {
    if (values[i] === 0) continue
    for (; i - before > GAP_MOST + 1; before += GAP_MOST + 1) gaps[at++] = GAP_MOST // a filler: code 0
    codes[at] = slots.get(values[i]!)!
    gaps[at++] = i - before - 1
    before = i
  }
  const record = { name, shape: [...shape], bits, codes, gaps, codebook, bias: new Float32Array(shape[0]!) }
  if (bias !== undefined) record.bias = assert.float32('bias', bias).slice()
  checkRecord(record)
  return record
}
