// node test/fuzz/differential.mjs <seconds> [artifact folder] [corpus folder...] (npm run fuzz -- <seconds> differential): the native
// reader and decoder against the TypeScript ones, through the built package. Whole files are taken apart into tensors, fields and
// payloads, changed there, put together with right totals and checksums, and given to both; what must be equal:
//   the first error of the whole file, its code and its offset (native verifyFile; WebArchive.verify);
//   every tensor, whole and in a random range: the values bit for bit, or the error's code and offset;
//   values made from native mask, codes and codebook.
// Seeds are the golden files, the corpora, and tensors of an encoder of its own (differential-seeds.mjs) in small blocks. A file
// that gives an answer not seen before (status, message, layout) becomes a seed too. DC_FUZZ_SEED asks for another run.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { apart, mutate, reseal, together } from './differential-files.mjs'
import { randomTensor } from './differential-seeds.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const load = createRequire(import.meta.url)
const { parseArchive, sectionBytes } = load(path.join(root, 'dist/container/reader.js'))
const decode = load(path.join(root, 'dist/decode/decode.js'))
const { binding } = load(path.join(root, 'dist/native/binding.js'))
const { STATUS_NAMES } = load(path.join(root, 'dist/errors.js'))
const { openArchive } = load(path.join(root, 'dist/web/index.js'))

Error.stackTraceLimit = Number(process.env.DC_FUZZ_STACK ?? 0)
const [seconds = '20', artifacts = '.', ...folders] = process.argv.slice(2)
const LIMITS = { maxElements: 1 << 14, maxTotalElements: 1 << 15, maxDecodedBytes: 1 << 20 }
const NUMBERS = Float64Array.of(
  1 << 20,
  65536,
  262144,
  1024,
  LIMITS.maxElements,
  LIMITS.maxTotalElements,
  LIMITS.maxDecodedBytes,
)

let state = Number(process.env.DC_FUZZ_SEED ?? 1) >>> 0 || 1
/** xorshift32: a whole number below `bound`. */
const below = (bound) => {
  state ^= state << 13
  state >>>= 0
  state ^= state >>> 17
  state ^= state << 5
  state >>>= 0
  return Math.floor((state / 2 ** 32) * bound)
}

/** `CODE@offset`, or what `run` answers. */
function outcome(run) {
  try {
    return run()
  } catch (error) {
    if (!error.code?.startsWith('ERR_DC_')) throw error
    return { code: error.code.slice(7), offset: error.offset ?? 0, message: error.message }
  }
}

const told = (answer) => (answer.code === undefined ? 'ok' : `${answer.code}@${answer.offset}`)

function nativeFile(file) {
  const control = new Int32Array(8)
  const status = binding().verifyFile(file, NUMBERS, 1, control, null)
  return status === 0 ? {} : { code: STATUS_NAMES[status], offset: (control[2] >>> 0) + (control[3] >>> 0) * 2 ** 32 }
}

/** `anyNaN`: of a NaN in a codebook the format says only that it is one (DCZ-50). */
function sameBits(a, b, anyNaN = false) {
  if (a.length !== b.length) return false
  const [x, y] = [a, b].map((values) => new Uint32Array(values.buffer, values.byteOffset, values.length))
  for (let i = 0; i < x.length; i++)
    if (x[i] !== y[i] && !(anyNaN && Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false
  return true
}

/** Dense values from mask, codes and codebook. */
function expanded({ mask, codes, codebook }, elements) {
  const out = new Float32Array(elements)
  let next = 0
  for (let i = 0; i < elements; i++) {
    if (!mask || (mask[i >>> 5] >>> (i & 31)) & 1) out[i] = codebook[codes[next++]]
  }
  return out
}

/** Nothing, or what differs. */
function compareTensor(tensor, payload, allowNonFinite) {
  const count = below(tensor.elements) + 1
  const part = { first: below(tensor.elements - count + 1), count }
  for (const range of [undefined, part]) {
    const options = { checksums: false, allowNonFinite, limits: LIMITS, ...(range ? { range } : {}) }
    const native = outcome(() => decode.decodeTensorSync(tensor, payload, options, { threads: 1 }))
    const plain = outcome(() => decode.decodeTensorPlain(tensor, payload, options))
    const where = `tensor ${JSON.stringify(tensor.name)}${range ? ` ${JSON.stringify(range)}` : ''}${allowNonFinite ? ', any values' : ''}`
    if (told(native) !== told(plain)) return `${where}: native ${told(native)}, TypeScript ${told(plain)}`
    if (native.code === undefined && !sameBits(native, plain, tensor.layout !== 'raw')) return `${where}: other values`
    if (range || tensor.layout === 'raw') continue
    const shared = outcome(() => decode.decodeQuantizedSync(tensor, payload, options, { threads: 1 }))
    if (told(shared) !== told(native)) return `${where}: native codes ${told(shared)}, native values ${told(native)}`
    if (shared.code === undefined && tensor.section && !sameBits(expanded(shared, tensor.elements), native, true)) {
      return `${where}: other values by codes`
    }
  }
}

/** What both say of a file: an answer for the statistics, and a difference where there is one. */
function examine(file) {
  const native = nativeFile(file)
  const plain = outcome(() => {
    openArchive(file, { limits: LIMITS }).verify()
    return {}
  })
  if (told(native) !== told(plain)) {
    return { difference: `file: native ${told(native)}, TypeScript ${told(plain)} (${plain.message})` }
  }
  const answer = plain.code ? `${plain.code} ${plain.message.replace(/"[^"]*"|0x[0-9a-f]+|\d+/g, '#')}` : 'ok'
  const archive = outcome(() => parseArchive(file, LIMITS))
  if (archive.code !== undefined) return { answer }
  let layouts = ''
  for (const tensor of archive.tensors.values()) {
    if (!tensor.section || tensor.elements === 0) continue
    const payload = outcome(() => sectionBytes(archive, tensor.section, file))
    if (payload.code !== undefined) continue
    layouts ||= ` ${tensor.layout}${tensor.codebookForm}`
    const difference = compareTensor(tensor, payload, below(4) === 0)
    if (difference) return { difference }
  }
  return { answer: answer + layouts, archive }
}

function examineValues(file, model, answer) {
  if (!answer.startsWith('ok')) return `a valid file is refused: ${answer}`
  const decoded = openArchive(file).decodeAll()
  for (const { name, values } of model.tensors) {
    if (!sameBits(decoded.get(name), values)) return `tensor ${name}: not the values that were encoded`
  }
}

const seeds = []
for (const folder of [
  path.join(root, 'test/format/golden/1.0'),
  path.join(root, 'test/fuzz/corpus/file'),
  ...folders,
]) {
  if (!existsSync(folder)) continue
  for (const name of readdirSync(folder)) {
    const file = new Uint8Array(readFileSync(path.join(folder, name)))
    if (file.length < 20000 && !/json|SUMS/.test(name)) seeds.push({ file, model: null })
  }
}

let executions = 0
let findings = 0
const answers = new Map()

/** `model`: the file is an own encoder's, so it is valid and has the values that were put in. */
function run(file, model) {
  executions++
  let { answer, difference, archive } = examine(file)
  if (model && !difference) difference = examineValues(file, model, answer)
  if (difference) {
    findings++
    mkdirSync(artifacts, { recursive: true })
    const kept = path.join(artifacts, `difference-${findings}.dcz`)
    writeFileSync(kept, file)
    console.error(`${difference}; the file is ${kept}: ${Buffer.from(file).toString('hex').slice(0, 2000)}`)
    return
  }
  const seen = answers.get(answer) ?? 0
  answers.set(answer, seen + 1)
  if (seen < 3 && seeds.length < 4000 && file.length < 30000)
    seeds.push({ file, model: archive ? apart(archive, file) : null })
}

/** Every tensor an own encoder's: valid. */
const randomModel = () => {
  const tensors = Array.from({ length: 1 + below(2) }, (_, at) => randomTensor(`t${at}`, below))
  return { minor: 0, metadata: [], optional: [], tensors }
}
for (let i = 0; i < 150; i++) {
  const model = randomModel()
  run(together(model), model)
  seeds.push({ file: together(model), model })
}

for (const seed of [...seeds]) {
  if (seed.model) continue
  const sealed = reseal(seed.file.slice())
  run(seed.file)
  run(sealed)
  const archive = outcome(() => parseArchive(sealed, { ...LIMITS }))
  if (archive.code === undefined) seed.model = apart(archive, sealed)
}
const until = Date.now() + 1000 * Number(seconds)
while (Date.now() < until && findings < 10) {
  for (let i = 0; i < 50; i++) {
    const seed = seeds[below(seeds.length)]
    if (seed.model && below(4) !== 0) {
      const other = seeds[below(seeds.length)].model
      const model = mutate(seed.model, below, other)
      run(together(model))
    } else if (below(10) === 0) {
      const model = randomModel()
      run(together(model), model)
    } else {
      const file = seed.file.slice()
      for (let edits = 1 + below(3); edits > 0 && file.length > 0; edits--) {
        const at = below(2) === 0 ? below(file.length) : below(Math.min(file.length, 220))
        file[at] = below(2) === 0 ? file[at] ^ (1 << below(8)) : below(256)
      }
      const cut = below(20) === 0 ? file.slice(0, below(file.length + 1)) : file
      run(below(8) === 0 ? cut : reseal(cut))
    }
  }
}
const codes = new Map()
for (const [answer, count] of answers) {
  const code = answer.split(' ')[0]
  codes.set(code, (codes.get(code) ?? 0) + count)
}
const ranked = [...codes].sort((a, b) => b[1] - a[1])
console.error(
  `${answers.size} kinds of answers, ${seeds.length} seeds: ${ranked.map(([c, n]) => `${c} ${n}`).join(', ')}`,
)
console.error(`stat::number_of_executed_units: ${executions}`)
process.exit(findings === 0 ? 0 : 1)
