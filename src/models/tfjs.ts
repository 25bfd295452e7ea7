import path from 'node:path'
import { type PreparedFile, prepareFile, type SaveOptions } from '../container/save.js'
import { DeepCompressionError, printable } from '../errors.js'
import { elementCount } from '../tensor.js'
import {
  asArray,
  asNumber,
  asObject,
  asText,
  asWhole,
  type Json,
  type JsonObject,
  parseJson,
  writeJson,
} from './json.js'
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
import { type Dtype, fromFloat32, toFloat32 } from './numbers.js'
import { type ByteSource, openBytes } from './source.js'

/** A TensorFlow.js layers or graph model: model.json names its weights and the shard files that hold them, end to end. */

const MODEL_JSON_BYTES_MOST = 64 << 20
const SHARDS_MOST = 4096
const SHARD_BYTES = 64 << 20
const MANIFEST = 'weightsManifest'

function refuse(
  status: 'STRUCTURE' | 'FEATURE' | 'TRUNCATED' | 'TRAILING' | 'LIMIT',
  what: string,
  section = 'model.json',
) {
  return new DeepCompressionError(status, `tfjs model: ${what}`, { section })
}

const DTYPE_OF = new Map<string, Dtype>([
  ['float32', 'F32'],
  ['int32', 'I32'],
  ['bool', 'BOOL'],
])
const NAME_OF = new Map([...DTYPE_OF].map(([name, dtype]) => [dtype, name]))

/** Shards of one group as one run of bytes. */
class Group {
  private readonly starts: number[] = [0]
  constructor(private readonly shards: ByteSource[]) {
    for (const shard of shards) this.starts.push(this.starts.at(-1)! + shard.length)
  }
  get length(): number {
    return this.starts.at(-1)!
  }
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length)
    for (const [i, shard] of this.shards.entries()) {
      const from = Math.max(offset, this.starts[i]!)
      const to = Math.min(offset + length, this.starts[i + 1]!)
      if (from < to) bytes.set(await shard.read(from - this.starts[i]!, to - from), from - offset)
    }
    return bytes
  }
}

interface Quantization {
  dtype: 'F16' | 'U8' | 'U16'
  scale: number
  min: number
}

function readQuantization(value: Json | undefined, where: string): Quantization | null {
  if (value === undefined) return null
  const fields = asObject(value, where)
  const dtype = asText(fields.get('dtype'), `${where}: dtype`)
  if (dtype === 'float16') return { dtype: 'F16', scale: 1, min: 0 }
  if (dtype !== 'uint8' && dtype !== 'uint16')
    throw refuse('FEATURE', `${where}: type ${printable(dtype)} is not known`)
  return {
    dtype: dtype === 'uint8' ? 'U8' : 'U16',
    scale: asNumber(fields.get('scale'), `${where}: scale`),
    min: asNumber(fields.get('min'), `${where}: min`),
  }
}

/** Where one weight lies in its group. */
interface Placed {
  name: string
  shape: number[]
  dtype: Dtype
  quantization: Quantization | null
  at: number
  bytes: number
}

function placeWeights(weights: Json[], where: string): Placed[] {
  let at = 0
  return weights.map((value) => {
    const fields = asObject(value, `${where}: weight`)
    const name = asText(fields.get('name'), `${where}: name`)
    const place = `tensor ${printable(name)}`
    const shape = asArray(fields.get('shape'), `${place}: shape`).map((d) => asWhole(d, `${place}: dimension`))
    checkEntry(name, shape, where)
    const typeName = asText(fields.get('dtype'), `${place}: dtype`)
    const dtype = DTYPE_OF.get(typeName)
    if (!dtype) throw refuse('FEATURE', `${place} has elements of type ${printable(typeName)}`, name)
    const quantization = readQuantization(fields.get('quantization'), `${place}: quantization`)
    const bytes = byteCount(shape, quantization?.dtype ?? dtype)
    const placed = { name, shape, dtype, quantization, at, bytes }
    at += bytes
    return placed
  })
}

/** A shard is a file beside model.json or below it: a model cannot name other files of this machine. */
function shardPath(folder: string, name: string): string {
  const parts = name.split(/[/\\]/)
  if (
    name === '' ||
    path.isAbsolute(name) ||
    /^[a-z][a-z0-9+.-]*:/i.test(name) ||
    parts.includes('..') ||
    name.includes('\0')
  ) {
    throw refuse('STRUCTURE', `the shard ${printable(name)} is not a path below model.json`)
  }
  return path.join(folder, ...parts)
}

async function readWeight(group: Group, { name, shape, dtype, quantization, at, bytes }: Placed) {
  const stored = await group.read(at, bytes)
  if (!quantization) return toFloat32(name, dtype, stored, elementCount(shape))
  const values = toFloat32(name, quantization.dtype, stored, elementCount(shape))
  if (quantization.dtype === 'F16') return values
  const { scale, min } = quantization
  for (let i = 0; i < values.length; i++) {
    const value = values[i]! * scale + min
    values[i] = dtype === 'F32' ? value : Math.round(value)
  }
  return values
}

/**
 * Reads model.json and its shards. Quantized weights (`scale`, `min`; float16) are decoded as tfjs does. Everything of model.json
 * but the bytes goes along as metadata, so that a model that loads can be written again.
 */
export async function readTfjs(file: string): Promise<Model> {
  const json = await openBytes(file)
  let text: string
  try {
    if (json.length > MODEL_JSON_BYTES_MOST) throw refuse('LIMIT', `model.json of ${json.length} bytes`)
    text = new TextDecoder('utf-8', { fatal: true }).decode(await json.read(0, json.length))
  } catch (error) {
    if (error instanceof DeepCompressionError) throw error
    throw new DeepCompressionError('STRUCTURE', 'tfjs model: model.json is not UTF-8', {
      section: 'model.json',
      cause: error,
    })
  } finally {
    await json.close()
  }
  const model = asObject(parseJson(text, 'model.json'), 'model.json')
  const groups = asArray(model.get(MANIFEST), MANIFEST)
  const opened: ByteSource[] = []
  const close = async () => {
    for (const shard of opened.splice(0)) await shard.close()
  }
  try {
    const entries: ModelEntry[] = []
    const names: Json[] = []
    for (const [i, value] of groups.entries()) {
      const where = `${MANIFEST} ${i}`
      const fields = asObject(value, where)
      const paths = asArray(fields.get('paths'), `${where}: paths`).map((p) => asText(p, `${where}: path`))
      const placed = placeWeights(asArray(fields.get('weights'), `${where}: weights`), where)
      if (opened.length + paths.length > SHARDS_MOST) throw refuse('LIMIT', `more than ${SHARDS_MOST} shards`)
      const shards: ByteSource[] = []
      for (const shard of paths) {
        const source = await openBytes(shardPath(path.dirname(file), shard))
        opened.push(source)
        shards.push(source)
      }
      const group = new Group(shards)
      const wanted = placed.reduce((sum, weight) => sum + weight.bytes, 0)
      if (group.length < wanted)
        throw refuse('TRUNCATED', `the shards of ${where} have ${group.length} of ${wanted} bytes`)
      if (group.length > wanted)
        throw refuse('TRAILING', `the shards of ${where} have ${group.length} bytes for ${wanted}`)
      for (const weight of placed) {
        entries.push({ ...weight, load: () => readWeight(group, weight) })
        names.push(weight.name)
      }
    }
    const topology: JsonObject = new Map(model)
    topology.set(MANIFEST, names)
    return makeModel('tfjs', entries, { topology: writeJson(topology) }, close)
  } catch (error) {
    await close()
    throw error
  }
}

/** The bytes of all tensors, cut into shards of one size. */
async function* shardsOf(tensors: readonly TensorSource[], dtypes: Map<string, Dtype>): AsyncGenerator<Uint8Array[]> {
  let shard: Uint8Array[] = []
  let room = SHARD_BYTES
  for (const tensor of tensors) {
    let bytes = fromFloat32(tensor.name, dtypes.get(tensor.name) ?? 'F32', await loadChecked(tensor))
    while (bytes.length > 0) {
      const part = bytes.subarray(0, room)
      shard.push(part)
      bytes = bytes.subarray(part.length)
      room -= part.length
      if (room === 0) {
        yield shard
        shard = []
        room = SHARD_BYTES
      }
    }
  }
  if (shard.length > 0) yield shard
}

/**
 * Writes model.json and its shards beside it. All files are written before the first gets its name, model.json last; a shard's name has the
 * CRC of its bytes, so a model.json that was there keeps its own shards until the very rename.
 */
export async function writeTfjs(
  file: string,
  tensors: readonly TensorSource[],
  metadata: ModelMetadata | undefined,
  options: SaveOptions,
): Promise<string[]> {
  if (!metadata?.topology) {
    throw new DeepCompressionError(
      'ARG',
      'this archive holds no model topology, so no model.json that loads can be made of it; write .safetensors or .npz',
    )
  }
  const model = asObject(parseJson(metadata.topology, 'model.json'), 'model.json')
  const order = new Map(asArray(model.get(MANIFEST), MANIFEST).map((name, i) => [name, i]))
  const position = (tensor: TensorSource) => order.get(tensor.name) ?? order.size
  const sorted = [...tensors].sort((a, b) => position(a) - position(b))
  const dtypes = dtypesOf(metadata)
  const total = sorted.reduce((sum, { name, shape }) => sum + byteCount(shape, dtypes.get(name) ?? 'F32'), 0)
  const count = Math.max(1, Math.ceil(total / SHARD_BYTES))
  const prepared: { name: string; file: PreparedFile }[] = []
  try {
    for await (const shard of shardsOf(sorted, dtypes)) {
      const written = await prepareFile(path.join(path.dirname(file), 'shard'), shard, { ...options, overwrite: true })
      const crc = written.crc32.toString(16).padStart(8, '0')
      prepared.push({ name: `group1-shard${prepared.length + 1}of${count}-${crc}.bin`, file: written })
    }
    const weights = sorted.map(({ name, shape }): Json => {
      const dtype = NAME_OF.get(dtypes.get(name) ?? 'F32')
      if (!dtype) throw refuse('FEATURE', `tensor ${printable(name)} has a type that tfjs does not know`, name)
      return new Map<string, Json>([
        ['name', name],
        ['shape', [...shape]],
        ['dtype', dtype],
      ])
    })
    model.set(MANIFEST, [
      new Map<string, Json>([
        ['paths', prepared.map((shard) => shard.name)],
        ['weights', weights],
      ]),
    ])
    const json = await prepareFile(file, Buffer.from(writeJson(model)), options)
    prepared.push({ name: '', file: json })
    const paths: string[] = []
    for (const { name, file: written } of prepared) paths.push((await written.commit(name || undefined)).path)
    return paths
  } catch (error) {
    for (const { file: written } of prepared) await written.discard()
    throw error
  }
}
