import path from 'node:path'
import { DeepCompressionError, printable } from '../errors.js'
import { elementCount, type QuantizedTensor, type WeightTensor } from '../tensor.js'
import { DTYPES, type Dtype } from './numbers.js'

/** Files of weights that are read and written. `tfjs` is a layers or graph model: model.json and its shards; `net` is Han's. */
export const MODEL_FORMATS = ['safetensors', 'npz', 'npy', 'tfjs', 'net'] as const
export type ModelFormat = (typeof MODEL_FORMATS)[number]

/** What a file says of one tensor, and how to get its values. */
export interface ModelEntry {
  name: string
  shape: readonly number[]
  /** Of the source; values are always handed out as float32. */
  dtype: Dtype
  load(): Promise<Float32Array<ArrayBuffer>>
  /** The tensor as it is shared in the file already; only of formats that share weights. */
  loadShared?(): Promise<QuantizedTensor>
}

/** A model file that is open: the list of its tensors is read, their values come one at a time. */
export interface Model {
  readonly format: ModelFormat
  readonly entries: readonly ModelEntry[]
  /** One tensor in memory at a time, in the order of the file. */
  readonly tensors: AsyncIterable<WeightTensor>
  /** What else the file holds and a model written from the archive needs; goes into the archive (see metadata.ts). */
  readonly metadata: ModelMetadata
  close(): Promise<void>
}

export interface ModelMetadata {
  format: ModelFormat
  /** safetensors' `__metadata__`. */
  pairs: [string, string][]
  /** Tensors that are not F32, by name. */
  dtypes: [string, Dtype][]
  /** tfjs: the text of model.json, its weights reduced to their names. */
  topology?: string
  /** net: layers and bits of their codes, in the order of the file. */
  net?: [string, 4 | 8][]
}

/** A tensor to write. */
export interface TensorSource {
  name: string
  shape: readonly number[]
  load(): Promise<Float32Array>
  /** The tensor's codes, where it has any. */
  loadShared?(): Promise<QuantizedTensor>
}

/** `model.safetensors`, `weights.npz`, `one.npy`, `model.json`, `alexnet.net`; anything else is `ERR_DC_ARG`. */
export function formatOf(file: string): ModelFormat {
  const extension = path.extname(file).toLowerCase()
  if (extension === '.json') return 'tfjs'
  const format = extension.slice(1) as ModelFormat
  if (format !== 'tfjs' && MODEL_FORMATS.includes(format)) return format
  throw new DeepCompressionError(
    'ARG',
    `${printable(path.basename(file))} has no extension of a model file (.safetensors, .npz, .npy, model.json, .net); name the format`,
    { section: file },
  )
}

const NAME_BYTES_MOST = 255
const RANK_MOST = 8
const DIMENSION_MOST = 2 ** 40

/** Names and shapes that an archive can hold (format.md, DCZ-24 and DCZ-30); `found` says where they come from. */
export function checkEntry(name: string, shape: readonly number[], found: string): void {
  const refuse = (status: 'STRUCTURE' | 'LIMIT', what: string) =>
    new DeepCompressionError(status, `${found}: tensor ${printable(name)} ${what}`, { section: name })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what no name may hold
  if (name.length === 0 || /[\u0000-\u001f\u007f-\u009f]/.test(name) || /\p{Surrogate}/u.test(name)) {
    throw refuse('STRUCTURE', 'has a name that is empty or has control characters or halves of characters')
  }
  if (Buffer.byteLength(name) > NAME_BYTES_MOST)
    throw refuse('LIMIT', `has a name of more than ${NAME_BYTES_MOST} bytes`)
  if (shape.length > RANK_MOST) throw refuse('LIMIT', `has rank ${shape.length}; ${RANK_MOST} is the most`)
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) throw refuse('STRUCTURE', 'has a dimension that is no count')
    if (dimension > DIMENSION_MOST) throw refuse('LIMIT', `has a dimension of ${dimension}`)
  }
  if (!Number.isSafeInteger(elementCount(shape.filter((dimension) => dimension > 0)) * 8)) {
    throw refuse('STRUCTURE', 'has a shape whose product overflows')
  }
}

/** Bytes of a tensor in a file. */
export function byteCount(shape: readonly number[], dtype: Dtype): number {
  return elementCount(shape) * DTYPES[dtype].bytes
}

/** A model from its entries; names must differ. */
export function makeModel(
  format: ModelFormat,
  entries: ModelEntry[],
  rest: Partial<Pick<ModelMetadata, 'pairs' | 'topology' | 'net'>>,
  close: () => Promise<void>,
): Model {
  const names = new Set<string>()
  for (const { name } of entries) {
    if (names.has(name)) {
      throw new DeepCompressionError('STRUCTURE', `two tensors have the name ${printable(name)}`, { section: name })
    }
    names.add(name)
  }
  const dtypes = entries.filter((entry) => DTYPES[entry.dtype].exact).map((e): [string, Dtype] => [e.name, e.dtype])
  return {
    format,
    entries,
    tensors: {
      async *[Symbol.asyncIterator]() {
        for (const { name, shape, load } of entries) yield { name, shape, values: await load() }
      },
    },
    metadata: { format, dtypes, ...rest, pairs: rest.pairs ?? [] },
    close,
  }
}

/** Types of the tensors to write, by name; F32 unless the source had whole numbers. */
export function dtypesOf(metadata: ModelMetadata | undefined): Map<string, Dtype> {
  return new Map(metadata?.dtypes ?? [])
}

/** The values of a tensor to write, as many as its shape says. */
export async function loadChecked(tensor: TensorSource): Promise<Float32Array> {
  const values = await tensor.load()
  if (values.length !== elementCount(tensor.shape)) {
    throw new DeepCompressionError(
      'ARG',
      `tensor ${printable(tensor.name)} has ${values.length} values; its shape says ${elementCount(tensor.shape)}`,
      { section: tensor.name },
    )
  }
  return values
}
