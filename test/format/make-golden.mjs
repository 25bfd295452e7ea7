// Makes the golden files of a version once: node test/format/make-golden.mjs (after npm run build). A file that is there is left
// alone: golden files are added, never changed (docs/format.md, part 6).
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const load = createRequire(import.meta.url)
const { ArchiveWriter } = load('../../dist/container/writer.js')
const { encodeTensorSync } = load('../../dist/encode/encode.js')

let state = 12345
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

function shared(name, shape, density, codebook) {
  const elements = shape.reduce((a, b) => a * b, 1)
  const mask = new Uint32Array(Math.ceil(elements / 32))
  const codes = []
  for (let i = 0; i < elements; i++) {
    if (random() >= density) continue
    mask[i >>> 5] |= 1 << (i & 31)
    codes.push(Math.floor(random() * random() * codebook.length))
  }
  return { name, shape, mask, kept: codes.length, codes: Uint8Array.from(codes), codebook: Float32Array.from(codebook) }
}

/** Weights in spots, as of an image that is `side` pixels wide: rows are pixels, columns are hidden units. */
function spotted(name, [rows, columns], side) {
  const mask = new Uint32Array(Math.ceil((rows * columns) / 32))
  const codes = []
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const distance = Math.hypot((r % side) - (c % side), Math.floor(r / side) - (c % 7))
      if (random() * distance > 0.7) continue
      const i = r * columns + c
      mask[i >>> 5] |= 1 << (i & 31)
      codes.push(Math.floor(random() * 3) + 4 * (c % 3))
    }
  }
  return {
    name,
    shape: [rows, columns],
    mask,
    kept: codes.length,
    codes: Uint8Array.from(codes),
    codebook: Float32Array.from(ramp(11, 0.3)),
  }
}

const ramp = (k, step) => Array.from({ length: k }, (_, i) => (i - k / 2) * step + step / 3)
const floats = (n, f) => Float32Array.from({ length: n }, (_, i) => f(i))

/** What a reader must get, from the tensor that was put in: no decoder takes part. */
function dense(tensor) {
  if (tensor.values) return tensor.values
  const elements = tensor.shape.reduce((a, b) => a * b, 1)
  let next = 0
  return floats(elements, (i) =>
    tensor.mask === null || (tensor.mask[i >>> 5] >>> (i & 31)) & 1 ? tensor.codebook[tensor.codes[next++]] : 0,
  )
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
let decoded = []

function file(tensors, metadata = {}, more = () => {}) {
  const writer = new ArchiveWriter()
  decoded = tensors.map(([tensor]) => [tensor.name, sha256(new Uint8Array(dense(tensor).buffer))])
  for (const [tensor, options] of tensors) writer.add(encodeTensorSync(tensor, options))
  for (const [key, value] of Object.entries(metadata)) writer.setMetadata(key, value)
  more(writer)
  return writer.toBytes()
}

/** A file of exactly `bytes` bytes: metadata fills it up. */
function filled(bytes, tensors) {
  const short = file(tensors, { fill: '' }).length
  return file(tensors, { fill: 'x'.repeat(bytes - short) })
}

const mixed = [
  [shared('conv', [8, 3, 5, 5], 0.6, ramp(200, 0.013)), { layout: 'dense', entropy: 'huffman' }],
  [shared('fc', [100, 120], 0.08, ramp(32, 0.0137)), { layout: 'sparse', entropy: 'rans' }],
  [shared('paper', [50, 60], 0.05, ramp(15, 0.02)), { layout: 'relative', indexBits: 4, entropy: 'huffman' }],
  [{ name: 'bias', shape: [10], values: floats(10, (i) => Math.sin(i)) }, {}],
  [{ name: 'gamma', shape: [64], values: floats(64, () => 1) }, {}],
  [{ name: 'zeros', shape: [7, 0, 2], values: new Float32Array(0) }, {}],
]

const FILES = {
  'empty.dcz': () => file([]),
  'scalar.dcz': () => file([[{ name: 's', shape: [], values: Float32Array.of(0.5) }, {}]]),
  'substitution-4096.dcz': () => filled(4096, mixed),
  'sparse-rans.dcz': () =>
    file([[shared('w', [500, 400], 0.02, ramp(16, 0.01)), { layout: 'sparse', entropy: 'rans' }]]),
  'sparse-huffman.dcz': () =>
    file([[shared('w', [300, 100], 0.09, ramp(32, 0.01)), { layout: 'sparse', entropy: 'huffman' }]]),
  'sparse-raw-codes.dcz': () =>
    file([[shared('w', [64, 64], 0.1, ramp(16, 0.01)), { layout: 'sparse', entropy: 'none' }]]),
  'relative.dcz': () => file([[shared('w', [300, 500], 0.03, ramp(16, 0.01)), { layout: 'relative', indexBits: 5 }]]),
  'dense-all-kept.dcz': () =>
    file([[{ ...shared('w', [40, 50], 1, ramp(256, 0.01)), mask: null }, { layout: 'dense' }]]),
  'source-order.dcz': () => file([[shared('w', [30, 30], 0.3, [0.5, -0.25, 0.5, 0.125, -1]), {}]]),
  'half-codebook.dcz': () => file([[shared('w', [30, 30], 0.3, [-1, -0.5, 0.25, 1.5]), {}]]),
  'planes.dcz': () =>
    file([[{ name: 'w', shape: [1500], values: floats(1500, () => (random() + random() - 1) * 0.1) }, {}]]),
  'sparse-two-blocks.dcz': () => file([[shared('w', [80000], 0.95, [0.5]), { layout: 'sparse' }]]),
  'relative-two-blocks.dcz': () => file([[shared('w', [80000], 0.95, [0.5]), { layout: 'relative', indexBits: 3 }]]),
  'dense-two-blocks.dcz': () => file([[shared('w', [80000], 0.95, [0.5]), { layout: 'dense' }]]),
  'planes-two-blocks.dcz': () =>
    file([[{ name: 'w', shape: [70000], values: floats(70000, () => (random() < 0.1 ? -1 : 1)) }, {}]]),
  'context.dcz': () => file([[spotted('w', [120, 100], 20), { layout: 'context' }]]),
  'context-all-kept.dcz': () =>
    file([[{ ...shared('w', [40, 50], 1, ramp(200, 0.01)), mask: null }, { layout: 'context' }]]),
  'float32-codebook.dcz': () => file([[shared('w', [30, 30], 0.3, [-1 / 3, 1 / 3]), {}]]),
  'half-steps.dcz': () =>
    file([
      [
        shared(
          'w',
          [30, 30],
          0.5,
          Array.from({ length: 40 }, (_, i) => (i < 20 ? i - 52 : i + 13) / 512),
        ),
        {},
      ],
    ]),
  'names-metadata-optional.dcz': () =>
    file(
      ['__proto__', 'a', 'a.b', '../x', 'ä', '重み'].map((name) => [
        { name, shape: [2], values: Float32Array.of(1, 2) },
        {},
      ]),
      { net: 'lenet', note: 'line one\nline two' },
      (writer) => {
        writer.addOptionalSection(5, null, Uint8Array.of(1, 2, 3))
        writer.addOptionalSection(5, 'a', Uint8Array.of(4))
      },
    ),
}

const folder = path.join(here, 'golden', '1.0')
const manifest = path.join(folder, 'SHA256SUMS')
const sums = existsSync(manifest) ? readFileSync(manifest, 'utf8') : ''
let added = ''
const values = {}
for (const [name, make] of Object.entries(FILES)) {
  const target = path.join(folder, name)
  const bytes = make()
  values[name] = Object.fromEntries(decoded)
  if (existsSync(target)) continue
  writeFileSync(target, bytes)
  added += `${sha256(bytes)}  ${name}\n`
  console.log(`${name}: ${bytes.length} bytes`)
}
writeFileSync(manifest, sums + added)
const expected = path.join(folder, 'decoded.json')
// What is there already stays; a file that was added gets its lines.
const known = existsSync(expected) ? JSON.parse(readFileSync(expected, 'utf8')) : {}
writeFileSync(expected, `${JSON.stringify({ ...values, ...known }, null, 2)}\n`)
