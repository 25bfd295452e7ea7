import { DeepCompressionError, printable } from '../errors.js'
import { asArray, asObject, asText, asWhole, type Json, type JsonObject, parseJson, writeJson } from './json.js'
import {
  byteCount,
  checkEntry,
  dtypesOf,
  loadChecked,
  type Model,
  type ModelEntry,
  type ModelMetadata,
  makeModel,
  type TensorSource,
} from './model.js'
import { fromFloat32, isDtype, toFloat32 } from './numbers.js'
import type { ByteSource } from './source.js'

/** The format's own limit: 100,000,000 bytes of header. */
const HEADER_BYTES_MOST = 100_000_000
const FOUND = 'safetensors header'

function refuse(status: 'STRUCTURE' | 'TRUNCATED' | 'LIMIT' | 'FEATURE' | 'TRAILING', what: string, offset?: number) {
  return new DeepCompressionError(status, `safetensors: ${what}`, {
    section: 'header',
    ...(offset === undefined ? {} : { offset }),
  })
}

async function readHeader(source: ByteSource): Promise<{ header: JsonObject; dataAt: number }> {
  if (source.length < 8) throw refuse('TRUNCATED', `a file of ${source.length} bytes has no header`)
  const prefix = await source.read(0, 8)
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true)
  if (declared > BigInt(HEADER_BYTES_MOST)) {
    throw refuse('LIMIT', `the header says ${declared} bytes; ${HEADER_BYTES_MOST} are the most`, 0)
  }
  const length = Number(declared)
  if (8 + length > source.length)
    throw refuse('TRUNCATED', `the header says ${length} bytes, the file has ${source.length}`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await source.read(8, length))
  } catch (error) {
    throw new DeepCompressionError('STRUCTURE', 'safetensors: the header is not UTF-8', {
      section: 'header',
      cause: error,
    })
  }
  if (text[0] !== '{') throw refuse('STRUCTURE', 'the header does not begin with {', 8)
  return { header: asObject(parseJson(text, FOUND), FOUND), dataAt: 8 + length }
}

function readEntry(name: string, value: Json, source: ByteSource, dataAt: number) {
  const where = `${FOUND}, tensor ${printable(name)}`
  const fields = asObject(value, where)
  for (const key of fields.keys()) {
    if (!['dtype', 'shape', 'data_offsets'].includes(key))
      throw refuse('STRUCTURE', `${where}: unknown field ${printable(key)}`)
  }
  const dtype = asText(fields.get('dtype'), `${where}: dtype`)
  const shape = asArray(fields.get('shape'), `${where}: shape`).map((d) => asWhole(d, `${where}: dimension`))
  const offsets = asArray(fields.get('data_offsets'), `${where}: data_offsets`)
  if (offsets.length !== 2) throw refuse('STRUCTURE', `${where}: data_offsets must be two numbers`)
  const [begin, end] = offsets.map((offset) => asWhole(offset, `${where}: data_offsets`)) as [number, number]
  checkEntry(name, shape, FOUND)
  if (!isDtype(dtype)) throw refuse('FEATURE', `${where}: elements of type ${printable(dtype)} are not supported`)
  if (end - begin !== byteCount(shape, dtype)) {
    throw refuse('STRUCTURE', `${where}: ${end - begin} bytes, shape and type say ${byteCount(shape, dtype)}`)
  }
  const entry: ModelEntry = {
    name,
    shape,
    dtype,
    load: async () =>
      toFloat32(name, dtype, await source.read(dataAt + begin, end - begin), (end - begin) / byteCount([1], dtype)),
  }
  return { begin, end, entry }
}

/**
 * Reads a safetensors file: F32, F16, BF16 and F64 become float32, whole numbers stay exact. As strict as the format is: tensors
 * cover the data from its first byte to its last without hole or overlap, no key comes twice.
 */
export async function readSafetensors(source: ByteSource): Promise<Model> {
  const { header, dataAt } = await readHeader(source)
  const pairs: [string, string][] = []
  const found: ReturnType<typeof readEntry>[] = []
  for (const [name, value] of header) {
    if (name === '__metadata__') {
      for (const [key, text] of asObject(value, `${FOUND}: __metadata__`)) {
        pairs.push([key, asText(text, `${FOUND}: __metadata__ ${printable(key)}`)])
      }
    } else found.push(readEntry(name, value, source, dataAt))
  }
  found.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let at = 0
  for (const { begin, end, entry } of found) {
    if (begin !== at)
      throw refuse('STRUCTURE', `tensor ${printable(entry.name)} begins at ${begin}; ${at} was expected`, dataAt + at)
    at = end
  }
  if (dataAt + at > source.length)
    throw refuse('TRUNCATED', `the tensors end at ${dataAt + at}, the file at ${source.length}`)
  if (dataAt + at < source.length)
    throw refuse('TRAILING', `${source.length - dataAt - at} bytes follow the last tensor`)
  return makeModel(
    'safetensors',
    found.map(({ entry }) => entry),
    { pairs },
    () => source.close(),
  )
}

/** The bytes of a safetensors file; the header is padded with spaces so that the data begins at a multiple of 8. */
export async function* writeSafetensors(
  tensors: readonly TensorSource[],
  metadata: ModelMetadata | undefined,
): AsyncGenerator<Uint8Array> {
  const dtypes = dtypesOf(metadata)
  const header: JsonObject = new Map()
  if (metadata?.pairs.length) header.set('__metadata__', new Map(metadata.pairs))
  let at = 0
  for (const { name, shape } of tensors) {
    if (name === '__metadata__') throw refuse('FEATURE', 'no tensor can have the name "__metadata__"')
    const dtype = dtypes.get(name) ?? 'F32'
    const end = at + byteCount(shape, dtype)
    header.set(
      name,
      new Map<string, Json>([
        ['dtype', dtype],
        ['shape', [...shape]],
        ['data_offsets', [at, end]],
      ]),
    )
    at = end
  }
  const text = Buffer.from(writeJson(header))
  const padded = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ')
  padded.writeBigUInt64LE(BigInt(padded.length - 8))
  text.copy(padded, 8)
  yield padded
  for (const tensor of tensors) {
    yield fromFloat32(tensor.name, dtypes.get(tensor.name) ?? 'F32', await loadChecked(tensor))
  }
}
