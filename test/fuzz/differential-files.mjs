// Files taken apart and put together by docs/format.md alone, so that a change deep inside gets past header and checksums.
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const load = createRequire(import.meta.url)
const { crc32c } = load(path.join(root, 'dist/container/crc32c.js'))
const { parsePreamble, parseHeader } = load(path.join(root, 'dist/container/reader.js'))
const { DEFAULT_LIMITS } = load(path.join(root, 'dist/container/limits.js'))

const MAGIC = [0x89, 0x44, 0x43, 0x5a, 0x0d, 0x0a, 0x1a, 0x0a]
const END = [0x0a, 0x44, 0x43, 0x5a, 0x45, 0x4e, 0x44, 0x0a]
const LAYOUTS = ['zero', 'raw', 'dense', 'sparse', 'relative', 'context']
const FORMS = ['float32', 'float16', 'float32Steps', 'float16Steps']

const u32 = (v) => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]
const u64 = (v) => [...u32(v % 2 ** 32), ...u32(Math.floor(v / 2 ** 32))]
const text = (s) => [...new TextEncoder().encode(s)]
export function varint(value) {
  const out = []
  let left = value
  for (; left >= 128; left = Math.floor(left / 128)) out.push(128 + (left % 128))
  return [...out, left]
}

const elementsOf = (shape) => shape.reduce((a, b) => a * b, 1)

/** DCZ-30 to DCZ-34: the entry as its fields say, valid or not. */
function entry(t) {
  const out = [Math.min(255, text(t.name).length), ...text(t.name), t.shape.length, ...t.shape.flatMap(varint)]
  out.push(LAYOUTS.indexOf(t.layout))
  if (t.layout === 'zero') return out
  if (t.layout === 'raw') {
    out.push(t.rawForm === 'planes' ? 1 : 0)
    if (t.rawForm === 'planes') out.push(t.blockLog2 & 255, ...varint(t.tableBytes))
    return out
  }
  const context = t.layout === 'context'
  const gaps = t.layout === 'sparse' || t.layout === 'relative'
  const index = gaps || (context && t.pruned)
  out.push((t.pruned ? 1 : 0) | (t.sourceOrder ? 2 : 0) | (FORMS.indexOf(t.codebookForm) << 2) | (t.moreFlags ?? 0))
  if (!context) out.push(t.blockLog2 & 255)
  out.push((t.clusters - 1) & 255)
  if (t.pruned) out.push(...varint(t.kept))
  if (t.layout === 'sparse') out.push(t.escape & 255)
  if (t.layout === 'relative') out.push(t.indexBits & 255)
  if (gaps) out.push(...varint(t.extraGaps))
  if (context) out.push(...varint(t.width), ...varint(t.stride))
  if (FORMS.indexOf(t.codebookForm) > 1) out.push(...varint(t.codebookBytes))
  if (!context) out.push(...varint(t.tableBytes))
  if (index) out.push(...varint(t.indexBytes))
  out.push(...varint(t.codeBytes), ...varint(t.codeEntropyBits))
  if (index) out.push(...varint(t.indexEntropyBits))
  return out
}

function section(type, owner, bytes) {
  return [type, ...varint(owner), ...varint(bytes.length), ...u32(crc32c(bytes))]
}

/** A file of a model: totals, lengths, alignment and checksums are right. */
export function together(model) {
  const { tensors, optional, metadata } = model
  const bodies = []
  const sections = []
  const totals = { stored: 0, dense: 0, entries: 0 }
  for (const [i, t] of tensors.entries()) {
    totals.dense += 4 * elementsOf(t.shape)
    if (t.layout !== 'raw' && t.layout !== 'zero') totals.entries += t.pruned ? t.kept : elementsOf(t.shape)
    if (t.layout === 'sparse' || t.layout === 'relative') totals.entries += t.extraGaps
    if (t.layout === 'zero') continue
    sections.push(section(0x81, i, t.payload))
    bodies.push(t.payload)
  }
  for (const { type, owner, bytes } of optional) {
    sections.push(section(type, owner, bytes))
    bodies.push(bytes)
  }
  for (const body of bodies) totals.stored += body.length
  const header = [
    ...u32(tensors.length),
    ...u32(metadata.length),
    ...u32(sections.length),
    ...u32(0),
    ...[totals.stored, totals.dense, totals.entries].flatMap((v) => u64(Math.min(v, Number.MAX_SAFE_INTEGER))),
    ...metadata.flatMap(([key, value]) => [
      text(key).length,
      ...text(key),
      text(value).length & 255,
      text(value).length >> 8,
      ...text(value),
    ]),
    ...tensors.flatMap(entry),
    ...sections.flat(),
  ]
  header.push(...u32(crc32c(Uint8Array.from(header))))
  let end = 64 + header.length
  const offsets = bodies.map((body) => {
    const at = body.length >= 65536 ? Math.ceil(end / 64) * 64 : end
    end = at + body.length
    return at
  })
  const file = new Uint8Array(end + 16)
  file.set([...MAGIC, 1, 0, model.minor, 0, ...u32(header.length), ...u64(file.length)])
  file.set(u32(crc32c(file.subarray(0, 60))), 60)
  file.set(header, 64)
  for (const [i, body] of bodies.entries()) file.set(body, offsets[i])
  file.set([...u64(file.length), ...END], end)
  return file
}

/** The model of a file that a reader opens. */
export function apart(archive, file) {
  const bytes = ({ offset, storedBytes }) => file.slice(offset, offset + storedBytes)
  return {
    minor: archive.version.minor & 255,
    metadata: [...archive.metadata],
    tensors: [...archive.tensors.values()].map(({ section: own, ...t }) => ({
      ...t,
      shape: [...t.shape],
      payload: own ? bytes(own) : new Uint8Array(0),
    })),
    optional: archive.sections
      .filter((s) => s.type < 128)
      .map((s) => ({ type: s.type, owner: s.owner, bytes: bytes(s) })),
  }
}

/** Makes lengths and checksums of any bytes right, as far as a header can be read: those of sections lie at its end. */
export function reseal(file) {
  if (file.length < 80) return file
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  view.setUint32(16, file.length, true)
  view.setUint32(20, 0, true)
  file.set([...u64(file.length), ...END], file.length - 16)
  view.setUint32(60, crc32c(file.subarray(0, 60)), true)
  const headerBytes = view.getUint32(12, true)
  if (headerBytes < 44 || headerBytes > file.length - 80) return file
  const header = file.subarray(64, 64 + headerBytes)
  const seal = () => view.setUint32(60 + headerBytes, crc32c(header.subarray(0, headerBytes - 4)), true)
  seal()
  let sections
  try {
    sections = parseHeader(
      header,
      parsePreamble(file.subarray(0, 64), file.length, DEFAULT_LIMITS),
      DEFAULT_LIMITS,
    ).sections
  } catch {
    return file
  }
  let at = 60 + headerBytes
  for (const s of [...sections].reverse()) {
    at -= 4
    view.setUint32(at, crc32c(file.subarray(s.offset, s.offset + s.storedBytes)), true)
    at -= 1 + varint(s.owner).length + varint(s.storedBytes).length
  }
  seal()
  return file
}

const NUMBERS = [
  'kept',
  'extraGaps',
  'codebookBytes',
  'tableBytes',
  'indexBytes',
  'codeBytes',
  'clusters',
  'blockLog2',
  'escape',
  'indexBits',
  'width',
  'stride',
]
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 9, 10, 15, 16, 17, 24, 25, 31, 32, 127, 128, 255, 256, 1023, 1024, 1025, 65535, 65536,
]

function otherNumber(value, below) {
  const kind = below(8)
  if (kind < 5) return Math.max(0, value + [-2, -1, 1, 2, 3][kind])
  return kind < 7 ? EDGES[below(EDGES.length)] : [2 ** 32, 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER][below(4)]
}

/** Parts of a payload: [the length field that counts it, from, to]. */
function parts(t) {
  const raw = t.layout === 'raw'
  const [book, table] = [raw ? 0 : t.codebookBytes, t.tableBytes]
  const streams = raw ? 0 : t.indexBytes + t.codeBytes
  const first = t.payload.length - streams
  return [
    ['codebookBytes', 0, book],
    ['tableBytes', book, book + table],
    ['', book + table, Math.max(book + table, first)],
    [
      t.layout === 'dense' || raw ? 'codeBytes' : 'indexBytes',
      first,
      raw ? t.payload.length : first + Math.max(1, t.indexBytes),
    ],
    ['codeBytes', first + t.indexBytes, t.payload.length],
  ].filter(([, from, to]) => from >= 0 && from < to && to <= t.payload.length)
}

const spliced = (bytes, at, remove, insert) =>
  Uint8Array.from([...bytes.subarray(0, at), ...insert, ...bytes.subarray(at + remove)])

function mutatePayload(t, below, other) {
  const choices = parts(t)
  const [field, from, to] = choices.length ? choices[below(choices.length)] : ['', 0, t.payload.length]
  const payload = t.payload.slice()
  const at = from + below(Math.max(1, to - from))
  // Where things begin is where most is decided.
  const near = below(3) === 0 ? at : Math.min(at, from + below(6))
  const kind = below(9)
  if (kind < 3 && payload.length > 0) payload[near] ^= 1 << below(8)
  else if (kind === 3 && payload.length > 0) payload[near] = below(256)
  else if (kind === 4 && payload.length > 0) payload[near] = (payload[near] + 255 + 2 * below(2)) & 255
  else if (kind === 5 && to - from > 1) {
    const twin = from + below(to - from)
    ;[payload[near], payload[twin]] = [payload[twin], payload[near]]
  } else if (kind === 6 || kind === 7) {
    const insert = kind === 6 ? Array.from({ length: 1 + below(3) }, () => (below(2) ? 0 : below(256))) : []
    const remove = kind === 7 ? Math.min(1 + below(3), payload.length - near) : 0
    if (field && below(5) > 0) t[field] = Math.max(0, t[field] + insert.length - remove)
    t.payload = spliced(payload, near, remove, insert)
    return
  } else if (other?.payload.length > 0) {
    const theirs = other.payload
    const start = below(theirs.length)
    const piece = theirs.subarray(start, start + 1 + below(24))
    if (near < payload.length) payload.set(piece.subarray(0, payload.length - near), near)
  }
  t.payload = payload
}

/** One to three changes of a copy; `other` is another model to take things from. */
export function mutate(model, below, other) {
  const out = {
    ...model,
    metadata: [...model.metadata],
    optional: [...model.optional],
    tensors: model.tensors.map((t) => ({ ...t, shape: [...t.shape] })),
  }
  for (let times = 1 + below(3); times > 0; times--) {
    const t = out.tensors[below(out.tensors.length)]
    const theirs = other?.tensors[below(other.tensors.length)]
    const kind = below(20)
    if (!t || kind === 0) {
      if (theirs) out.tensors.push({ ...theirs, shape: [...theirs.shape], name: `${theirs.name}${out.tensors.length}` })
    } else if (kind < 12) mutatePayload(t, below, theirs)
    else if (kind < 16) {
      const field = NUMBERS[below(NUMBERS.length)]
      t[field] = otherNumber(t[field], below)
      if (field === 'clusters' && below(2)) t.codebookBytes = (t.codebookForm === 'float16' ? 2 : 4) * t.clusters
    } else if (kind === 16) {
      const i = below(t.shape.length)
      if (t.shape.length > 0) t.shape[i] = Math.min(2 ** 41, otherNumber(t.shape[i], below))
    } else if (kind === 17) {
      const flag = below(6)
      if (flag === 0) t.pruned = !t.pruned
      else if (flag === 1) t.sourceOrder = !t.sourceOrder
      else if (flag === 2) t.codebookForm = FORMS[below(4)]
      else if (flag === 3) t.layout = LAYOUTS[below(6)]
      else if (flag === 4) t.rawForm = below(2) ? 'planes' : 'stored'
      else t.moreFlags = 16 << below(4)
    } else if (kind === 18) {
      // Between layouts that have the same fields.
      if (theirs) t.payload = theirs.payload
    } else if (below(2)) out.optional.push({ type: 1 + below(0x7f), owner: below(3), bytes: Uint8Array.of(below(256)) })
    else out.metadata.push([['a', 'b', 'ä', '\u0001', ''][below(5)], ['', 'x', '\0'][below(3)]])
  }
  return out
}
