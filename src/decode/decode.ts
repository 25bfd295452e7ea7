import * as assert from '../assert.js'
import { crc32c } from '../container/crc32c.js'
import { descriptorToFields, SECTION_PAYLOAD, type TensorDescriptor } from '../container/layout.js'
import { checkLimit, type Limits, resolveLimits } from '../container/limits.js'
import { type ByteSource, inFile, type ParsedArchive, readSection } from '../container/reader.js'
import { DeepCompressionError, printable } from '../errors.js'
import { binding, locatedBinding, type Run } from '../native/binding.js'
import { type ResolvedJob, resolveJob, runJob, runNow, throwIfAborted } from '../native/job.js'
import type { JobOptions, QuantizedTensor } from '../tensor.js'
import { checkChunks, decodePlain } from './plain/payload.js'

const STAGE = 'decode'

export interface DecodeOptions {
  /** Accepts NaN and infinities (DCZ-47). */
  allowNonFinite?: boolean
  /** Of these only `maxDecodedBytes` is looked at. */
  limits?: Partial<Limits>
  /** False: the payload's checksums were checked by the caller already. Default: true where the descriptor has its section. */
  checksums?: boolean
  /** Only elements `first` .. `first + count - 1` in C order; only the blocks they touch are decoded. */
  range?: { first: number; count: number }
  /**
   * Where to write: exactly as many floats as are decoded. Must not be read, changed or transferred before the promise settles; after
   * an error its contents are open. A fresh array of 64 MiB costs about as much as decoding into it.
   */
  out?: Float32Array<ArrayBuffer>
}

const KEYS = ['allowNonFinite', 'limits', 'checksums', 'range', 'out'] as const

interface Resolved {
  allowNonFinite: boolean
  limits: Readonly<Limits>
  sums: Uint32Array | null
  first: number
  count: number
}

function resolve(tensor: TensorDescriptor, options?: DecodeOptions): Resolved {
  const given = assert.options<DecodeOptions>('decode options', options, KEYS)
  const range = given.range ?? { first: 0, count: tensor.elements }
  const first = assert.whole('range.first', range.first, 0, tensor.elements)
  const count = assert.whole('range.count', range.count, 0, tensor.elements - first)
  const check = given.checksums === undefined ? true : assert.flag('checksums', given.checksums)
  return {
    allowNonFinite: given.allowNonFinite === undefined ? false : assert.flag('allowNonFinite', given.allowNonFinite),
    limits: resolveLimits(given.limits),
    sums: check && tensor.section ? tensor.section.checksums : null,
    first,
    count,
  }
}

function checkPayload(tensor: TensorDescriptor, payload: Uint8Array): void {
  assert.uint8('payload', payload)
  if (payload.length === tensor.storedBytes) return
  throw new DeepCompressionError(
    'ARG',
    `the payload of tensor ${printable(tensor.name)} has ${payload.length} bytes, expected ${tensor.storedBytes}`,
    { section: tensor.name },
  )
}

interface Prepared<T> {
  output: T
  call: (...run: Run) => unknown
}

/** The same without an addon: a step for each block. */
interface PreparedPlain {
  output: Float32Array<ArrayBuffer>
  steps: Generator<void>
}

interface Target {
  resolved: Resolved
  output: Float32Array<ArrayBuffer>
}

function prepareOutput(tensor: TensorDescriptor, payload: Uint8Array, options?: DecodeOptions): Target {
  checkPayload(tensor, payload)
  const resolved = resolve(tensor, options)
  const { count } = resolved
  checkLimit(resolved.limits, 'maxDecodedBytes', 4 * count, `decoded bytes of tensor ${printable(tensor.name)}`)
  const output =
    options?.out ?? assert.allocate(`tensor ${printable(tensor.name)}`, count, (length) => new Float32Array(length))
  assert.float32('out', output)
  if (output.length !== count) {
    throw new DeepCompressionError('ARG', `out has ${output.length} elements, expected ${count}`, { section: 'out' })
  }
  return { resolved, output }
}

function prepareValues(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: DecodeOptions,
): Prepared<Float32Array<ArrayBuffer>> {
  const { resolved, output } = prepareOutput(tensor, payload, options)
  const native = binding()
  const fields = descriptorToFields(tensor)
  const { sums, allowNonFinite, first } = resolved
  const fresh = options?.out === undefined
  return {
    output,
    call: (...run) => native.decodeValues(payload, fields, sums, allowNonFinite, first, fresh, output, ...run),
  }
}

function preparePlain(tensor: TensorDescriptor, payload: Uint8Array, options?: DecodeOptions): PreparedPlain {
  const { resolved, output } = prepareOutput(tensor, payload, options)
  const { sums, first, allowNonFinite } = resolved
  function* steps() {
    if (sums) checkChunks(payload, sums)
    yield* decodePlain(tensor, payload, first, output, allowNonFinite)
  }
  return { output, steps: steps() }
}

/** An error of the TypeScript decoder with the tensor's name in it, as `statusError` writes those of the addon. */
function named(error: unknown, tensor: TensorDescriptor): unknown {
  if (!(error instanceof DeepCompressionError) || error.section !== undefined) return error
  const status = error.code.slice('ERR_DC_'.length) as ConstructorParameters<typeof DeepCompressionError>[0]
  return new DeepCompressionError(status, `decode: tensor ${printable(tensor.name)}: ${error.message}`, {
    section: tensor.name,
    offset: error.offset ?? 0,
  })
}

const turnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * Decodes a payload to dense float32. The payload may come from anywhere: its checksums are checked first, and the decoder believes
 * nothing. The payload's array must not be changed or transferred before the promise settles.
 *
 * Without an addon the TypeScript decoder does the same, about 50 times slower.
 *
 * @returns the elements in C order, or those of `options.range`
 * @throws ERR_DC_CHECKSUM, ERR_DC_STRUCTURE, ERR_DC_HUFFMAN, ERR_DC_BITSTREAM, ERR_DC_INDEX, ERR_DC_VALUE (damaged),
 *   ERR_DC_LIMIT (`maxDecodedBytes`), ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function decodeTensor(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: DecodeOptions,
  job?: JobOptions | ResolvedJob,
): Promise<Float32Array<ArrayBuffer>> {
  const resolved = resolveJob(job)
  if (!locatedBinding().binding) {
    const { output, steps } = preparePlain(tensor, payload, options)
    throwIfAborted(resolved, STAGE)
    try {
      for (const _ of steps) {
        await turnOfTheLoop()
        throwIfAborted(resolved, STAGE)
      }
    } catch (error) {
      throw named(error, tensor)
    }
    return output
  }
  const { output, call } = prepareValues(tensor, payload, options)
  await runJob({ stage: STAGE, tensor: tensor.name, total: output.length }, resolved, call)
  return output
}

/** `decodeTensor`, run now. */
export function decodeTensorSync(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: DecodeOptions,
  job?: JobOptions | ResolvedJob,
): Float32Array<ArrayBuffer> {
  const resolved = resolveJob(job)
  if (!locatedBinding().binding) return decodeTensorPlain(tensor, payload, options)
  const { output, call } = prepareValues(tensor, payload, options)
  runNow({ stage: STAGE, tensor: tensor.name }, resolved, call)
  return output
}

/** `decodeTensorSync` by the TypeScript decoder, whatever the machine has; it shares no code with the addon. */
export function decodeTensorPlain(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: DecodeOptions,
): Float32Array<ArrayBuffer> {
  const { output, steps } = preparePlain(tensor, payload, options)
  try {
    for (const _ of steps);
  } catch (error) {
    throw named(error, tensor)
  }
  return output
}

function prepareCodes(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: DecodeOptions,
): Prepared<QuantizedTensor> {
  checkPayload(tensor, payload)
  if (tensor.layout === 'raw') {
    throw new DeepCompressionError('ARG', `tensor ${printable(tensor.name)} is not quantized: it has no codes`, {
      section: tensor.name,
    })
  }
  const { allowNonFinite, limits, sums } = resolve(tensor, options)
  const maskWords = Math.ceil(tensor.elements / 32)
  checkLimit(
    limits,
    'maxDecodedBytes',
    4 * maskWords + tensor.kept,
    `codes and mask of tensor ${printable(tensor.name)}`,
  )
  const native = binding()
  const fields = descriptorToFields(tensor)
  const mask = assert.allocate(`the mask of ${printable(tensor.name)}`, maskWords, (length) => new Uint32Array(length))
  const codes = assert.allocate(
    `the codes of ${printable(tensor.name)}`,
    tensor.kept,
    (length) => new Uint8Array(length),
  )
  const codebook = new Float32Array(tensor.clusters)
  const { name, shape, kept } = tensor
  return {
    output: { name, shape, mask: kept < tensor.elements ? mask : null, kept, codes, codebook },
    call: (...run) => native.decodeCodes(payload, fields, sums, allowNonFinite, mask, codes, codebook, ...run),
  }
}

/** Decodes a payload to the shared tensor it was made from: mask, compact codes, codebook. Errors as `decodeTensor`. */
export async function decodeQuantized(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: Omit<DecodeOptions, 'range' | 'out'>,
  job?: JobOptions | ResolvedJob,
): Promise<QuantizedTensor> {
  const resolved = resolveJob(job)
  const { output, call } = prepareCodes(tensor, payload, options)
  await runJob({ stage: STAGE, tensor: tensor.name, total: tensor.elements }, resolved, call)
  return output
}

/** `decodeQuantized`, run now. */
export function decodeQuantizedSync(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  options?: Omit<DecodeOptions, 'range' | 'out'>,
  job?: JobOptions | ResolvedJob,
): QuantizedTensor {
  const resolved = resolveJob(job)
  const { output, call } = prepareCodes(tensor, payload, options)
  runNow({ stage: STAGE, tensor: tensor.name }, resolved, call)
  return output
}

/** CRC-32C by the addon where there is one, else in TypeScript. */
export function fastCrc32c(bytes: Uint8Array): number {
  const native = locatedBinding().binding
  if (!native || bytes.length === 0) return crc32c(bytes)
  const sums = new Uint32Array(Math.ceil(bytes.length / (16 << 20)))
  if (sums.length !== 1 || native.chunkChecksums(bytes, sums, 1, new Int32Array(8), null) !== 0) return crc32c(bytes)
  return sums[0]!
}

/** Decodes a payload whose checksums are known to be right, for its errors only. */
export async function verifyTensor(
  tensor: TensorDescriptor,
  payload: Uint8Array,
  limits: Partial<Limits> | undefined,
  job: ResolvedJob,
): Promise<void> {
  const options = { checksums: false, ...(limits ? { limits } : {}) }
  // As decoding it counts, in every reader, though codes and mask take less.
  const { name, elements } = tensor
  checkLimit(resolveLimits(limits), 'maxDecodedBytes', 4 * elements, `decoded bytes of tensor ${printable(name)}`)
  // Codes are a quarter of the floats at the most, and hold every check.
  if (tensor.layout === 'raw' || !locatedBinding().binding) await decodeTensor(tensor, payload, options, job)
  else await decodeQuantized(tensor, payload, options, job)
}

/**
 * Checks a whole file: every section's padding and checksum, and every tensor by decoding it. Throws the first error; its
 * `section` is "tensor" and the name, or "section" and its number.
 */
export async function verifyArchive(
  archive: ParsedArchive,
  source: ByteSource,
  options: { limits?: Partial<Limits> } = {},
  job?: JobOptions | ResolvedJob,
): Promise<void> {
  const resolved = resolveJob(job)
  const byIndex = [...archive.tensors.values()]
  for (const section of archive.sections) {
    throwIfAborted(resolved, 'verify')
    const bytes = await readSection(archive, section, source, fastCrc32c)
    if (section.type !== SECTION_PAYLOAD) continue
    const tensor = byIndex[section.owner]!
    try {
      await verifyTensor(tensor, bytes, options.limits, resolved)
    } catch (error) {
      throw inFile(error, tensor, section)
    }
  }
}

const LIMIT_ORDER = [
  'maxHeaderBytes',
  'maxTensors',
  'maxSections',
  'maxMetadata',
  'maxElements',
  'maxTotalElements',
  'maxDecodedBytes',
] as const

/**
 * Checks a whole file in memory by the native reader, which shares no code with the TypeScript one. Of several damages it tells the
 * same one as `verifyArchive`: the first section of the file that has one, its checksum before its contents.
 */
export async function verifyBytes(
  file: Uint8Array,
  options: { limits?: Partial<Limits> } = {},
  job?: JobOptions,
): Promise<void> {
  assert.uint8('file', file)
  const limits = resolveLimits(options.limits)
  const numbers = Float64Array.from(LIMIT_ORDER, (name) => limits[name])
  await runJob({ stage: 'verify', total: file.length }, resolveJob(job), (...run) =>
    binding().verifyFile(file, numbers, ...run),
  )
}
