import { DeepCompressionError, printable } from '../errors.js'
import { elementCount } from '../tensor.js'
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
import type { ByteSource } from './source.js'

/** NumPy's format (numpy.lib.format): magic, version, length and text of a header, then the elements. */
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] // \x93NUMPY
const PREFIX_BYTES = 12
const HEADER_BYTES_MOST = 1 << 20

const DTYPE_OF: Readonly<Record<string, Dtype>> = Object.freeze({
  __proto__: null,
  f8: 'F64',
  f4: 'F32',
  f2: 'F16',
  i8: 'I64',
  u8: 'U64',
  i4: 'I32',
  u4: 'U32',
  i2: 'I16',
  u2: 'U16',
  i1: 'I8',
  u1: 'U8',
  b1: 'BOOL',
} as unknown as Record<string, Dtype>)

export interface NpyHeader {
  dtype: Dtype
  bigEndian: boolean
  fortranOrder: boolean
  shape: number[]
  /** Where the elements begin. */
  dataAt: number
}

function refuse(
  status: 'STRUCTURE' | 'TRUNCATED' | 'TRAILING' | 'FEATURE' | 'MAGIC' | 'VERSION' | 'LIMIT',
  name: string,
  what: string,
) {
  return new DeepCompressionError(status, `${printable(name)}: ${what}`, { section: name })
}

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the only form numpy writes (spaces may differ). */
const HEADER = /^\{\s*((?:'(?:descr|fortran_order|shape)'\s*:\s*(?:'[^']*'|True|False|\([\d\s,]*\))\s*,?\s*)*)\}\s*$/
const FIELD = /'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d\s,]*\))/g

/** Parses a header; `length` is the size of the whole array file, which must be what type and shape say. */
export async function readNpyHeader(source: ByteSource, name: string): Promise<NpyHeader> {
  if (source.length < PREFIX_BYTES) throw refuse('TRUNCATED', name, `an array file of ${source.length} bytes`)
  const prefix = await source.read(0, PREFIX_BYTES)
  if (!MAGIC.every((byte, i) => prefix[i] === byte)) throw refuse('MAGIC', name, 'not a NumPy array file')
  const version = prefix[6]!
  if (version < 1 || version > 3)
    throw refuse('VERSION', name, `version ${version}.${prefix[7]} of the array format; 1 to 3 are known`)
  const view = new DataView(prefix.buffer, prefix.byteOffset)
  const headerAt = version === 1 ? 10 : 12
  const headerBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (headerBytes > HEADER_BYTES_MOST) throw refuse('LIMIT', name, `a header of ${headerBytes} bytes`)
  if (headerAt + headerBytes > source.length) throw refuse('TRUNCATED', name, 'ends inside its header')
  const text = Buffer.from(await source.read(headerAt, headerBytes)).toString('latin1')
  const fields = new Map<string, string>()
  const body = HEADER.exec(text)
  if (!body) throw refuse('STRUCTURE', name, 'has a header that is not a dictionary of descr, fortran_order and shape')
  for (const [, key, value] of body[1]!.matchAll(FIELD)) {
    if (fields.has(key!)) throw refuse('STRUCTURE', name, `has ${key} twice in its header`)
    fields.set(key!, value!)
  }
  const descr = /^'([<>|=])([a-z]\d+)'$/.exec(fields.get('descr') ?? '')
  const shapeText = /^\(([\d\s,]*)\)$/.exec(fields.get('shape') ?? '')
  const order = fields.get('fortran_order')
  if (!shapeText || (order !== 'True' && order !== 'False')) throw refuse('STRUCTURE', name, 'has an invalid header')
  const dtype = descr ? DTYPE_OF[descr[2]!] : undefined
  if (!descr || !dtype)
    throw refuse('FEATURE', name, `has elements of type ${printable(fields.get('descr') ?? 'none')}`)
  const shape = shapeText[1]!
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(Number)
  checkEntry(name, shape, 'array file')
  const dataAt = headerAt + headerBytes
  const expected = dataAt + byteCount(shape, dtype)
  if (source.length < expected) throw refuse('TRUNCATED', name, `has ${source.length} bytes, ${expected} were expected`)
  if (source.length > expected) throw refuse('TRAILING', name, `has ${source.length} bytes, ${expected} were expected`)
  return { dtype, bigEndian: descr[1] === '>', fortranOrder: order === 'True', shape, dataAt }
}

/** Column-major to C order. */
function fromFortranOrder(values: Float32Array<ArrayBuffer>, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length)
  const strides: number[] = []
  let stride = 1
  for (const dimension of shape) {
    strides.push(stride)
    stride *= dimension
  }
  const index = shape.map(() => 0)
  let from = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = values[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      from -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return out
}

export function npyValues(name: string, header: NpyHeader, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const values = toFloat32(name, header.dtype, bytes, elementCount(header.shape), header.bigEndian)
  return header.fortranOrder && header.shape.length > 1 ? fromFortranOrder(values, header.shape) : values
}

/** Reads one array; it gets the name `weights`, or the name that the caller gives. */
export async function readNpy(source: ByteSource, name = 'weights'): Promise<Model> {
  const header = await readNpyHeader(source, name)
  const entry: ModelEntry = {
    name,
    shape: header.shape,
    dtype: header.dtype,
    load: async () => npyValues(name, header, await source.read(header.dataAt, source.length - header.dataAt)),
  }
  return makeModel('npy', [entry], {}, () => source.close())
}

const DESCR: Partial<Record<Dtype, string>> = {
  F32: '<f4',
  I64: '<i8',
  U64: '<u8',
  I32: '<i4',
  U32: '<u4',
  I16: '<i2',
  U16: '<u2',
  I8: '|i1',
  U8: '|u1',
  BOOL: '|b1',
}

/** Header and elements; the header is padded so that the elements begin at a multiple of 64, as numpy does. */
export function npyParts(name: string, shape: readonly number[], dtype: Dtype, values: Float32Array): Uint8Array[] {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const text = `{'descr': '${DESCR[dtype] ?? '<f4'}', 'fortran_order': False, 'shape': ${tuple}, }`
  const total = Math.ceil((10 + text.length + 1) / 64) * 64
  const head = Buffer.alloc(total, ' ')
  Buffer.from(MAGIC).copy(head)
  head[6] = 1
  head[7] = 0
  head.writeUInt16LE(total - 10, 8)
  head.write(text, 10, 'latin1')
  head[total - 1] = 0x0a
  return [head, fromFloat32(name, dtype, values)]
}

export async function* writeNpy(
  tensors: readonly TensorSource[],
  metadata: ModelMetadata | undefined,
): AsyncGenerator<Uint8Array> {
  const [tensor] = tensors
  if (!tensor || tensors.length > 1) {
    throw new DeepCompressionError('ARG', `an .npy file holds one tensor, not ${tensors.length}; .npz holds many`)
  }
  yield* npyParts(tensor.name, tensor.shape, dtypesOf(metadata).get(tensor.name) ?? 'F32', await loadChecked(tensor))
}
