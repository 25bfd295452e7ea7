import { DeepCompressionError, printable } from '../errors.js'
import type { QuantizedTensor } from '../tensor.js'
import { loadChecked, type Model, type ModelEntry, makeModel, type TensorSource } from './model.js'
import {
  type NetLayer,
  type NetRecord,
  netRecord,
  netRecordOf,
  netShared,
  netValues,
  readNet,
  writeNet,
} from './net.js'
import type { ByteSource } from './source.js'

/** What an archive calls the biases of a layer, and the codebook of a layer without entries, which no code refers to. */
const BIAS = '.bias'
const CODEBOOK = '.codebook'

function missing(): DeepCompressionError {
  return new DeepCompressionError(
    'ARG',
    'a .net file has no names and shapes: give them with --layers, a JSON list or a deploy prototxt',
    { section: 'layers' },
  )
}

function plain(name: string, values: Float32Array): ModelEntry {
  return { name, shape: [values.length], dtype: 'F32', load: async () => values.slice() }
}

function entriesOf(record: NetRecord): ModelEntry[] {
  const { name, shape, codes, codebook, bias } = record
  const weights: ModelEntry = {
    name,
    shape,
    dtype: 'F32',
    load: async () => netValues(record),
    loadShared: async () => netShared(record),
  }
  const unused = codes.length === 0 && codebook.some((value) => value !== 0)
  return [weights, plain(name + BIAS, bias), ...(unused ? [plain(name + CODEBOOK, codebook)] : [])]
}

/** A `.net` file: each layer, and its biases as a tensor of their own. */
export async function readNetModel(source: ByteSource, layers: readonly NetLayer[] | undefined): Promise<Model> {
  if (!layers) throw missing()
  const records = readNet(await source.read(0, source.length), layers)
  const net = records.map(({ name, bits }): [string, 4 | 8] => [name, bits])
  return makeModel('net', records.flatMap(entriesOf), { net }, () => source.close())
}

function refuse(name: string, what: string): DeepCompressionError {
  return new DeepCompressionError('ARG', `.net, layer ${printable(name)}: ${what}`, { section: name })
}

/** The codebook of a layer without entries, where the archive has one. */
async function withUnused(shared: QuantizedTensor, codebook: TensorSource | undefined): Promise<QuantizedTensor> {
  return shared.kept === 0 && codebook ? { ...shared, codebook: await loadChecked(codebook) } : shared
}

async function recordOf(layer: NetLayer, tensors: Map<string, TensorSource>): Promise<NetRecord> {
  const take = (name: string) => {
    const tensor = tensors.get(name)
    tensors.delete(name)
    return tensor
  }
  const weights = take(layer.name)
  if (!weights) throw refuse(layer.name, 'there is no such tensor')
  if (weights.shape.join() !== layer.shape.join()) {
    throw refuse(layer.name, `the tensor has shape [${weights.shape}], the list of layers says [${layer.shape}]`)
  }
  const biasOf = take(layer.name + BIAS) ?? take(layer.name.replace(/\.weight$/, BIAS))
  const bias = biasOf && (await loadChecked(biasOf))
  const shared = await weights.loadShared?.()
  if (shared) return netRecordOf(layer, await withUnused(shared, take(layer.name + CODEBOOK)), bias)
  return netRecord(layer, await loadChecked(weights), bias)
}

/**
 * The bytes of a `.net` file. A layer's biases are tensor `<layer>.bias`, zeros where there is none.
 *
 * @throws ERR_DC_ARG: no list of layers, a layer that is no tensor, a tensor that is no layer, another shape; ERR_DC_VALUE: more values
 *   than its codes can name
 */
export async function* writeNetModel(
  tensors: readonly TensorSource[],
  layers: readonly NetLayer[] | undefined,
): AsyncGenerator<Uint8Array> {
  if (!layers) throw missing()
  const left = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const records: NetRecord[] = []
  for (const layer of layers) records.push(await recordOf(layer, left))
  for (const name of left.keys()) {
    throw refuse(
      name,
      'it is not in the list of layers, and a .net file holds nothing else than layers and their biases',
    )
  }
  yield writeNet(records)
}
