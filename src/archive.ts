import * as assert from './assert.js'
import { layerReport } from './container/layer-report.js'
import { SECTION_PAYLOAD, type TensorDescriptor } from './container/layout.js'
import { type Limits, resolveLimits } from './container/limits.js'
import {
  type ByteSource,
  inFile,
  type ParsedArchive,
  readArchive,
  readSection,
  sectionName,
} from './container/reader.js'
import { type Saved, type SaveOptions, saveFile } from './container/save.js'
import {
  type DecodeOptions,
  decodeQuantized,
  decodeTensor,
  fastCrc32c,
  verifyArchive,
  verifyTensor,
} from './decode/decode.js'
import { DeepCompressionError, printable } from './errors.js'
import { openBytes } from './models/source.js'
import { JOB_KEYS, type ResolvedJob, resolveJob, throwIfAborted } from './native/job.js'
import type { Report } from './report.js'
import type { JobOptions, QuantizedTensor } from './tensor.js'

export interface OpenOptions {
  limits?: Partial<Limits>
}

export type ArchiveDecodeOptions = Pick<DecodeOptions, 'out'>

/** A tensor's entry in the header, and two figures of it. */
export interface TensorInfo extends TensorDescriptor {
  /** Share of the weights that are not pruned (1 of a raw tensor: its zeros are stored); 0 of an empty tensor. */
  readonly density: number
  /** Stored bits a weight: payload with codebook and tables, without the header (float32 has 32); 0 of an empty tensor. */
  readonly bits: number
}

function tensorInfo(tensor: TensorDescriptor): TensorInfo {
  const { kept, elements, storedBytes } = tensor
  return Object.freeze({
    ...tensor,
    density: elements && kept / elements,
    bits: elements && (8 * storedBytes) / elements,
  })
}

/** One section after `verifySections` looked at it. */
export interface SectionCheck {
  /** `tensor "fc6"`, or `section` and its number. */
  section: string
  storedBytes: number
  error: unknown
}

/** Where an archive's bytes are. */
interface Store extends ByteSource {
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** Copied or read at once; a turn of the event loop is no longer than this takes. */
const COPY_BYTES = 8 << 20

/** Bytes in memory, in pieces that lie end to end. */
function memoryStore(chunks: readonly Uint8Array[]): Store {
  const starts: number[] = [0]
  for (const chunk of chunks) starts.push(starts.at(-1)! + chunk.length)
  const length = starts.at(-1)!
  return {
    length,
    async read(offset, size) {
      if (offset + size > length) throw new DeepCompressionError('TRUNCATED', 'the archive ends too early', { offset })
      const whole = chunks.findIndex((chunk, i) => offset >= starts[i]! && offset + size <= starts[i]! + chunk.length)
      if (whole >= 0) return chunks[whole]!.subarray(offset - starts[whole]!, offset - starts[whole]! + size)
      const bytes = new Uint8Array(size)
      for (const [i, chunk] of chunks.entries()) {
        const from = Math.max(offset, starts[i]!)
        const to = Math.min(offset + size, starts[i + 1]!)
        if (from < to) bytes.set(chunk.subarray(from - starts[i]!, to - starts[i]!), from - offset)
      }
      return bytes
    },
    chunks: () => chunks,
    close: async () => {},
  }
}

async function fileStore(path: string): Promise<Store> {
  const source = await openBytes(path)
  return {
    length: source.length,
    read: (offset, length) => source.read(offset, length),
    async *chunks() {
      for (let at = 0; at < source.length; at += COPY_BYTES) {
        yield await source.read(at, Math.min(COPY_BYTES, source.length - at))
      }
    },
    close: () => source.close(),
  }
}

/** A `.dcz` archive: its header is read and checked, its tensors are decoded when they are asked for. */
export class Archive {
  private closed = false
  private info: ReadonlyMap<string, TensorInfo> | undefined

  private constructor(
    private readonly store: Store,
    private readonly parsed: ParsedArchive,
    private readonly limits: Readonly<Limits>,
  ) {}

  /** @internal */
  static async open(store: Store, options: OpenOptions = {}): Promise<Archive> {
    try {
      const limits = resolveLimits(assert.options<OpenOptions>('options', options, ['limits']).limits)
      return new Archive(store, await readArchive(store, limits), limits)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** @internal An archive that was just written; it goes through the same checks as any other. */
  static fromChunks(chunks: readonly Uint8Array[]): Promise<Archive> {
    return Archive.open(memoryStore(chunks))
  }

  private use(): ParsedArchive {
    if (this.closed) throw new DeepCompressionError('CLOSED', 'the archive was disposed of')
    return this.parsed
  }

  /** What the header says of each tensor, by name. */
  get tensors(): ReadonlyMap<string, TensorInfo> {
    const { tensors } = this.use()
    this.info ??= new Map([...tensors].map(([name, tensor]) => [name, tensorInfo(tensor)]))
    return this.info
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.use().metadata
  }

  /** Bytes of the file. */
  get byteLength(): number {
    return this.use().fileBytes
  }

  private tensor(parsed: ParsedArchive, name: string): TensorDescriptor {
    const tensor = parsed.tensors.get(assert.text('name', name))
    if (tensor) return tensor
    throw new DeepCompressionError('ARG', `the archive has no tensor ${printable(name)}`, { section: name })
  }

  /** Reads a tensor's payload, its checksums checked, and decodes it; errors are told in terms of the file. */
  private async payload<T>(
    parsed: ParsedArchive,
    tensor: TensorDescriptor,
    decode: (payload: Uint8Array, options: DecodeOptions) => Promise<T>,
  ): Promise<T> {
    const options = { limits: this.limits, checksums: false }
    if (!tensor.section) return decode(new Uint8Array(0), options)
    const payload = await readSection(parsed, tensor.section, this.store, fastCrc32c)
    try {
      return await decode(payload, options)
    } catch (error) {
      throw inFile(error, tensor, tensor.section)
    }
  }

  /**
   * One tensor, dense, in C order. Its checksums are checked first.
   *
   * @param job with `out`, an array of exactly the tensor's elements, that is filled and answered: a fresh array costs more time than
   *   the decoding. It must not be read, changed or transferred before the promise settles; after an error its contents are open.
   */
  async decode(name: string, job?: JobOptions & ArchiveDecodeOptions): Promise<Float32Array<ArrayBuffer>> {
    const parsed = this.use()
    const { out, ...rest } = assert.options<JobOptions & ArchiveDecodeOptions>('job', job, [...JOB_KEYS, 'out'])
    return this.dense(parsed, this.tensor(parsed, name), resolveJob(rest), out)
  }

  private dense(parsed: ParsedArchive, tensor: TensorDescriptor, job: ResolvedJob, out?: Float32Array<ArrayBuffer>) {
    return this.payload(parsed, tensor, (payload, options) =>
      decodeTensor(tensor, payload, out === undefined ? options : { ...options, out }, job),
    )
  }

  /**
   * One tensor as it is shared: mask, codes, and the codebook in the order of the file. Needs the addon.
   *
   * @throws ERR_DC_ARG: no such tensor, or one that is not shared (layout `raw`); otherwise as `decode`
   */
  async decodeShared(name: string, job?: JobOptions): Promise<QuantizedTensor> {
    const parsed = this.use()
    const resolved = resolveJob(job)
    const tensor = this.tensor(parsed, name)
    return this.payload(parsed, tensor, (payload, options) => decodeQuantized(tensor, payload, options, resolved))
  }

  /** Every tensor, dense; refused before anything is allocated when together they exceed `limits.maxDecodedBytes`. */
  async decodeAll(job?: JobOptions): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const parsed = this.use()
    const { tensors, denseBytes } = parsed
    const resolved = resolveJob(job)
    throwIfAborted(resolved, 'decode')
    if (denseBytes > this.limits.maxDecodedBytes) {
      throw new DeepCompressionError(
        'LIMIT',
        `all tensors together have ${denseBytes} bytes; maxDecodedBytes is ${this.limits.maxDecodedBytes}`,
        { limit: 'maxDecodedBytes', declared: denseBytes, allowed: this.limits.maxDecodedBytes },
      )
    }
    const values = new Map<string, Float32Array<ArrayBuffer>>()
    for (const [name, tensor] of tensors) values.set(name, await this.dense(parsed, tensor, resolved))
    return values
  }

  /** Checks every section and decodes every tensor; throws the first damage it finds, with the section's name. */
  verify(job?: JobOptions): Promise<void> {
    return verifyArchive(this.use(), this.store, { limits: this.limits }, job)
  }

  /** Like `verify`, but goes on after damage: one answer a section, in the order of the file, `error` null where all is well. */
  async *verifySections(job?: JobOptions): AsyncGenerator<SectionCheck> {
    const parsed = this.use()
    const resolved = resolveJob(job)
    const tensors = [...parsed.tensors.values()]
    for (const section of parsed.sections) {
      throwIfAborted(resolved, 'verify')
      const check: SectionCheck = {
        section: sectionName(parsed, section),
        storedBytes: section.storedBytes,
        error: null,
      }
      const tensor = section.type === SECTION_PAYLOAD ? tensors[section.owner]! : null
      try {
        const bytes = await readSection(parsed, section, this.store, fastCrc32c)
        if (tensor) await verifyTensor(tensor, bytes, this.limits, resolved)
      } catch (error) {
        throwIfAborted(resolved, 'verify')
        check.error = tensor ? inFile(error, tensor, section) : error
      }
      yield check
    }
  }

  /** The paper's table, in bytes of this file. */
  report(): Report {
    const { tensors, denseBytes, fileBytes } = this.use()
    const layers = [...tensors.values()].map(layerReport)
    return {
      originalBytes: denseBytes,
      compressedBytes: fileBytes,
      ratio: denseBytes / fileBytes,
      containerBytes: fileBytes - layers.reduce((sum, layer) => sum + layer.storedBytes, 0),
      layers,
    }
  }

  /** Saves the file, whole or not at all (`saveFile`). */
  save(path: string, options?: SaveOptions): Promise<Saved> {
    this.use()
    return saveFile(path, this.store.chunks(), options)
  }

  /** The file in one array. */
  async toBytes(): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(this.use().fileBytes)
    let at = 0
    for await (const chunk of this.store.chunks()) {
      for (let from = 0; from < chunk.length; from += COPY_BYTES) {
        bytes.set(chunk.subarray(from, from + COPY_BYTES), at + from)
        await new Promise(setImmediate)
      }
      at += chunk.length
    }
    return bytes
  }

  /** Lets go of the file or the bytes; a second call does nothing. */
  dispose(): void {
    if (this.closed) return
    this.closed = true
    this.store.close().catch(() => {}) // the descriptor is gone in any case
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/**
 * Opens an archive: a path, or the bytes of a file (they are not copied and must not change). Reads and checks the header only.
 *
 * @throws ERR_DC_MAGIC, ERR_DC_VERSION, ERR_DC_FEATURE, ERR_DC_TRUNCATED, ERR_DC_TRAILING, ERR_DC_CHECKSUM, ERR_DC_STRUCTURE (damaged
 *   or not an archive), ERR_DC_LIMIT, ERR_DC_IO
 */
export async function openArchive(pathOrBytes: string | Uint8Array, options?: OpenOptions): Promise<Archive> {
  if (typeof pathOrBytes === 'string') return Archive.open(await fileStore(pathOrBytes), options)
  if (!ArrayBuffer.isView(pathOrBytes)) {
    const got = assert.describe(pathOrBytes)
    throw new DeepCompressionError('TYPE', `pathOrBytes must be a path or a Uint8Array, got ${got}`, {
      section: 'pathOrBytes',
    })
  }
  return Archive.open(memoryStore([assert.uint8('pathOrBytes', pathOrBytes)]), options)
}
