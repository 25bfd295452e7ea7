import * as assert from '../assert.js'
import { layerReport } from '../container/layer-report.js'
import {
  CLUSTERS_MOST,
  CONTEXT_ELEMENTS_LOG2,
  chunkCount,
  DESCRIPTOR_FIELDS,
  descriptorFromFields,
  INDEX_BITS_LEAST,
  INDEX_BITS_MOST,
  LAYOUTS,
  type TensorDescriptor,
} from '../container/layout.js'
import { shapeElements } from '../container/reader.js'
import { nameBytes } from '../container/writer.js'
import { DeepCompressionError, isDeepCompressionError, printable } from '../errors.js'
import { binding, type Run } from '../native/binding.js'
import { ownedInput, ownedInputNow, type ResolvedJob, resolveJob, runJob, runNow } from '../native/job.js'
import type { LayerReport } from '../report.js'
import type { JobOptions, QuantizedTensor, WeightTensor } from '../tensor.js'

const STAGE = 'encodeTensor'
const REFUSED = 'has a mask that does not keep `kept` weights, or has bits set past the last one'
const REFUSED_IN_CONTEXT = `${REFUSED}, or takes too few bytes for its bits in layout context (DCZ-38), where 'auto' finds another layout`
const RELATIVE = LAYOUTS.indexOf('relative')
const CONTEXT = LAYOUTS.indexOf('context')
const DENSE = LAYOUTS.indexOf('dense')
export const LAYOUT_CHOICES = ['auto', 'dense', 'sparse', 'relative', 'context'] as const
export const ENTROPY_CHOICES = ['auto', 'none', 'huffman', 'rans'] as const

export interface EncodeOptions {
  /**
   * `auto`: the smaller of sparse and dense, sparse within 0.5 %; or `context` (a hundred times slower to decode) for
   * tensors of up to 2^20 weights, where it is 0.5 % smaller (any byte up to 65,536 weights). `context` alone refuses larger tensors, and
   * those it would leave with less than a byte for 1,024 bits of mask and codes (ERR_DC_ARG). `relative` is the paper's form, with fillers
   * that cost a code.
   */
  layout?: (typeof LAYOUT_CHOICES)[number]
  /** Bits of a gap, 2 to 8, or `auto`: the cheapest. `dense` and `context` have no gaps and leave it unread. */
  indexBits?: number | 'auto'
  /** `auto`: the smaller of Huffman and rANS, stream by stream; `context` has one coder and leaves it unread. `auto` layouts keep to blocks where this or `indexBits` is chosen. */
  entropy?: (typeof ENTROPY_CHOICES)[number]
  /** Keeps NaN and infinities of tensors that are not quantized; they are refused otherwise. */
  allowNonFinite?: boolean
}

/** A tensor in the bytes of the file: what the header says of it, its payload, the payload's checksums, a line of the report. */
export interface EncodedTensor {
  descriptor: TensorDescriptor
  payload: Uint8Array<ArrayBuffer>
  checksums: Uint32Array
  stats: LayerReport
}

interface ResolvedOptions {
  layout: number
  indexBits: number
  entropy: number
  allowNonFinite: boolean
}

function resolveOptions(options?: EncodeOptions): ResolvedOptions {
  const given = assert.options<EncodeOptions>('encode options', options, [
    'layout',
    'indexBits',
    'entropy',
    'allowNonFinite',
  ])
  const layout = assert.oneOf('layout', given.layout ?? 'auto', LAYOUT_CHOICES)
  const { indexBits = 'auto' } = given
  return {
    layout: layout === 'auto' ? 0 : LAYOUTS.indexOf(layout),
    indexBits: indexBits === 'auto' ? 0 : assert.whole('indexBits', indexBits, INDEX_BITS_LEAST, INDEX_BITS_MOST),
    entropy: ENTROPY_CHOICES.indexOf(assert.oneOf('entropy', given.entropy ?? 'auto', ENTROPY_CHOICES)),
    allowNonFinite: given.allowNonFinite === undefined ? false : assert.flag('allowNonFinite', given.allowNonFinite),
  }
}

/** Elements of a tensor whose name and shape an archive can hold; else ERR_DC_ARG, or ERR_DC_TYPE. */
export function checkShape(tensor: { name: string; shape: readonly number[] }): number {
  nameBytes('tensor name', assert.text('name', tensor.name))
  if (!Array.isArray(tensor.shape) || tensor.shape.length > 8) {
    throw new DeepCompressionError(
      'ARG',
      `the shape of tensor ${printable(tensor.name)} must be an array of 0 to 8 numbers`,
      { section: tensor.name },
    )
  }
  for (const dimension of tensor.shape) assert.whole('a dimension', dimension, 0, 2 ** 40)
  const elements = shapeElements(tensor.shape)
  if (elements < 0)
    throw new DeepCompressionError('ARG', `the shape of tensor ${printable(tensor.name)} is too large`, {
      section: tensor.name,
    })
  return elements
}

function wrongLength(name: string, what: string, got: number, wanted: number): DeepCompressionError {
  return new DeepCompressionError(
    'ARG',
    `${what} of tensor ${printable(name)} has ${got} elements, expected ${wanted}`,
    {
      section: name,
    },
  )
}

/** Room for any payload of such a tensor (native/encode/tensor.cpp, quantized_bound). */
function quantizedBound(elements: number, kept: number, clusters: number): number {
  const blocks = Math.floor(elements / 65536) + 1
  return 4 * clusters + 2048 + 1024 * blocks + 2 * kept + elements
}

/** Buffers of one encoding call. */
interface Buffers {
  out: Uint8Array<ArrayBuffer>
  checksums: Uint32Array<ArrayBuffer>
  fields: Float64Array<ArrayBuffer>
}

function buffers(name: string, bytes: number): Buffers {
  const out = assert.allocate(`the payload of ${printable(name)}`, bytes, (length) => new Uint8Array(length))
  return { out, checksums: new Uint32Array(chunkCount(bytes)), fields: new Float64Array(DESCRIPTOR_FIELDS.length) }
}

function finished(tensor: { name: string; shape: readonly number[] }, made: Buffers): EncodedTensor {
  const descriptor = descriptorFromFields(tensor.name, Object.freeze([...tensor.shape]), made.fields)
  const { storedBytes } = descriptor
  return {
    descriptor,
    // A copy of the size that is needed, unless nearly all of the room was used.
    payload: storedBytes > 0.9 * made.out.length ? made.out.subarray(0, storedBytes) : made.out.slice(0, storedBytes),
    checksums: made.checksums.slice(0, chunkCount(storedBytes)),
    stats: layerReport(descriptor),
  }
}

type Own = <T extends Uint8Array | Uint32Array | Float32Array>(name: string, view: T) => Promise<T> | T

function isQuantized(tensor: QuantizedTensor | WeightTensor): tensor is QuantizedTensor {
  return 'codes' in tensor
}

function checkQuantized(tensor: QuantizedTensor, elements: number, job: ResolvedJob): void {
  const { name } = tensor
  assert.uint8('codes', tensor.codes, job.copyShared)
  assert.float32('codebook', tensor.codebook, job.copyShared)
  if (tensor.mask !== null) {
    assert.uint32('mask', tensor.mask, job.copyShared)
    const words = Math.ceil(elements / 32)
    if (tensor.mask.length !== words) throw wrongLength(name, 'the mask', tensor.mask.length, words)
  }
  const kept = tensor.mask === null ? elements : assert.whole('kept', tensor.kept, 0, elements)
  if (tensor.codes.length !== kept) throw wrongLength(name, 'codes', tensor.codes.length, kept)
  if (tensor.codebook.length > CLUSTERS_MOST) {
    throw new DeepCompressionError(
      'ARG',
      `tensor ${printable(name)} has ${tensor.codebook.length} clusters, at most 256 fit`,
    )
  }
}

/** Relative entries and dense codes of a pruned tensor need symbol 0 for what is not kept; layout context has a largest tensor. */
function checkLayout({ name, codes, codebook }: QuantizedTensor, elements: number, { layout }: ResolvedOptions): void {
  if (layout === CONTEXT && elements > 2 ** CONTEXT_ELEMENTS_LOG2) {
    throw new DeepCompressionError(
      'ARG',
      `tensor ${printable(name)} has ${elements} weights; layout context takes at most ${2 ** CONTEXT_ELEMENTS_LOG2}`,
      { section: name },
    )
  }
  const zeroIsSymbol = layout === RELATIVE || (layout === DENSE && codes.length < elements)
  if (codebook.length < CLUSTERS_MOST || !zeroIsSymbol) return
  throw new DeepCompressionError(
    'ARG',
    `tensor ${printable(name)} has 256 clusters; layout ${LAYOUTS[layout]} needs a symbol for pruned weights and so takes at most 255`,
    { section: name },
  )
}

/** A row of layout context: the last dimensions, as many as it takes to make 8 weights. */
function contextWidth(shape: readonly number[]): number {
  let width = 1
  for (let i = shape.length - 1; i >= 0 && width < 8; i--) width *= shape[i]!
  return width
}

function refusal({ layout }: ResolvedOptions): string {
  return layout === CONTEXT ? REFUSED_IN_CONTEXT : REFUSED
}

interface Prepared {
  made: Buffers
  inputs: (own: Own) => Promise<(...run: Run) => unknown> | ((...run: Run) => unknown)
}

function prepareQuantized(tensor: QuantizedTensor, elements: number, options: ResolvedOptions): Prepared {
  const { mask, codes, codebook } = tensor
  const made = buffers(tensor.name, quantizedBound(elements, codes.length, codebook.length))
  const call =
    (m: Uint32Array | null, c: Uint8Array, b: Float32Array) =>
    (...run: Run) =>
      binding().encodeQuantized(
        m,
        elements,
        c,
        b,
        options.layout,
        options.indexBits,
        options.entropy,
        contextWidth(tensor.shape),
        made.out,
        made.checksums,
        made.fields,
        ...run,
      )
  return {
    made,
    inputs: (own) => {
      const owned = [mask === null ? null : own('mask', mask), own('codes', codes), own('codebook', codebook)] as const
      if (owned.some((o) => o instanceof Promise)) {
        return Promise.all(owned).then(([m, c, b]) => call(m, c, b))
      }
      return call(owned[0] as Uint32Array | null, owned[1] as Uint8Array, owned[2] as Float32Array)
    },
  }
}

function prepareRaw(tensor: WeightTensor, options: ResolvedOptions): Prepared {
  const made = buffers(tensor.name, 4 * tensor.values.length)
  const call =
    (values: Float32Array) =>
    (...run: Run) =>
      binding().encodeRaw(
        values,
        options.entropy,
        options.allowNonFinite,
        made.out,
        made.checksums,
        made.fields,
        ...run,
      )
  return {
    made,
    inputs: (own) => {
      const values = own('values', tensor.values)
      return values instanceof Promise ? values.then(call) : call(values)
    },
  }
}

function prepare(tensor: QuantizedTensor | WeightTensor, options: ResolvedOptions, job: ResolvedJob): Prepared {
  const elements = checkShape(tensor)
  binding()
  if (isQuantized(tensor)) {
    checkQuantized(tensor, elements, job)
    checkLayout(tensor, elements, options)
    return prepareQuantized(tensor, elements, options)
  }
  assert.float32('values', tensor.values, job.copyShared)
  if (tensor.values.length !== elements) throw wrongLength(tensor.name, 'values', tensor.values.length, elements)
  return prepareRaw(tensor, options)
}

/** How many values are not finite, and the first one, where that is why a stage refused them. */
export function nonFiniteError(error: unknown, name: string, values: Float32Array): DeepCompressionError | null {
  if (!isDeepCompressionError(error) || error.code !== 'ERR_DC_NONFINITE' || values.length === 0) return null
  const offset = values.findIndex((value) => !Number.isFinite(value))
  if (offset < 0) return null
  let count = 0
  for (const value of values) if (!Number.isFinite(value)) count++
  const which = count === 1 ? 'one is' : `${count} are`
  return new DeepCompressionError(
    'NONFINITE',
    `tensor ${printable(name)}: weights must be finite, ${which} not; the first is ${values[offset]} at ${offset}`,
    { section: name, offset, declared: count, allowed: 0, cause: error },
  )
}

/**
 * Encodes a tensor as it stands in a file (docs/format.md, part 3): a shared one by its codes (layouts sparse, relative, dense), any
 * other losslessly (raw). The bytes do not depend on the machine or the number of threads.
 *
 * @param job `consume` takes the tensor's arrays instead of copying them
 * @throws ERR_DC_ARG (lengths disagree, 256 clusters where symbol 0 is needed for pruned weights, no such form in layout `context`), ERR_DC_VALUE (a code past the
 *   codebook), ERR_DC_NONFINITE, ERR_DC_TYPE, ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function encodeTensor(
  tensor: QuantizedTensor | WeightTensor,
  options?: EncodeOptions,
  job?: JobOptions | ResolvedJob,
): Promise<EncodedTensor> {
  const resolved = resolveJob(job)
  const chosen = resolveOptions(options)
  const prepared = prepare(tensor, chosen, resolved)
  let values: ArrayBufferView | undefined
  const call = await prepared.inputs(async (name, view) => {
    const own = await ownedInput(name, view, resolved)
    if (name === 'values') values = own
    return own
  })
  const total = shapeElements(tensor.shape)
  try {
    await runJob({ stage: STAGE, tensor: tensor.name, total, refused: refusal(chosen) }, resolved, call)
  } catch (error) {
    throw (values && nonFiniteError(error, tensor.name, values as Float32Array)) ?? error
  }
  return finished(tensor, prepared.made)
}

/** `encodeTensor`, run now; the arrays are read in place. */
export function encodeTensorSync(
  tensor: QuantizedTensor | WeightTensor,
  options?: EncodeOptions,
  job?: JobOptions | ResolvedJob,
): EncodedTensor {
  const resolved = resolveJob(job)
  const chosen = resolveOptions(options)
  const prepared = prepare(tensor, chosen, resolved)
  const call = prepared.inputs((_, view) => ownedInputNow(view)) as (...run: Run) => unknown
  try {
    runNow({ stage: STAGE, tensor: tensor.name, refused: refusal(chosen) }, resolved, call)
  } catch (error) {
    throw (isQuantized(tensor) ? null : nonFiniteError(error, tensor.name, tensor.values)) ?? error
  }
  return finished(tensor, prepared.made)
}
