import { DeepCompressionError, printable } from '../errors.js'
import { chunkChecksums, crc32c } from './crc32c.js'
import {
  CODEBOOK_FORM_SHIFT,
  CODEBOOK_FORMS,
  compareBytes,
  END_MAGIC,
  FLAG_PRUNED,
  FLAG_SOURCE_ORDER,
  FOOTER_BYTES,
  hasGaps,
  hasIndex,
  hasSteps,
  LAYOUTS,
  MAGIC,
  METADATA_VALUE_BYTES_MOST,
  NAME_BYTES_MOST,
  PREAMBLE,
  PREAMBLE_BYTES,
  RAW_FORMS,
  SECTION_CRITICAL,
  SECTION_PAYLOAD,
  sectionPadding,
  type TensorDescriptor,
  VERSION_MAJOR,
  VERSION_MINOR,
} from './layout.js'
import { isName } from './reader.js'

/** Bytes that grow. */
class Bytes {
  private buffer = new Uint8Array(1024)
  length = 0

  private room(count: number): void {
    if (this.length + count <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(2 * this.buffer.length, this.length + count))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }
  u8(value: number): void {
    this.room(1)
    this.buffer[this.length++] = value
  }
  u16(value: number): void {
    this.u8(value & 255)
    this.u8(value >>> 8)
  }
  u32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.u8((value >>> shift) & 255)
  }
  u64(value: number): void {
    this.u32(value % 2 ** 32)
    this.u32(Math.floor(value / 2 ** 32))
  }
  /** DCZ-02 */
  varint(value: number): void {
    let left = value
    for (; left >= 128; left = Math.floor(left / 128)) this.u8(128 | (left % 128))
    this.u8(left)
  }
  bytes(bytes: Uint8Array): void {
    this.room(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }
}

function argument(what: string): DeepCompressionError {
  return new DeepCompressionError('ARG', what, { section: 'archive' })
}

/** False for a text with a lone surrogate, which UTF-8 cannot hold. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

/** A name's bytes (DCZ-24), or `ERR_DC_ARG`. */
export function nameBytes(kind: string, name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name)
  // A lone surrogate is encoded as U+FFFD: such a name would not come back.
  if (!isName(name) || bytes.length > NAME_BYTES_MOST || !isWellFormed(name)) {
    throw argument(`${kind} ${printable(name)} is empty, longer than 255 bytes of UTF-8 or has control characters`)
  }
  return bytes
}

function writeTensor(out: Bytes, tensor: TensorDescriptor): void {
  out.u8(tensor.shape.length)
  for (const dimension of tensor.shape) out.varint(dimension)
  out.u8(LAYOUTS.indexOf(tensor.layout))
  if (tensor.layout === 'zero') return
  if (tensor.layout === 'raw') {
    out.u8(RAW_FORMS.indexOf(tensor.rawForm!))
    if (tensor.rawForm === 'stored') return
    out.u8(tensor.blockLog2)
    out.varint(tensor.tableBytes)
    return
  }
  const context = tensor.layout === 'context'
  const gaps = hasGaps(tensor)
  const index = hasIndex(tensor)
  out.u8(
    (tensor.pruned ? FLAG_PRUNED : 0) |
      (tensor.sourceOrder ? FLAG_SOURCE_ORDER : 0) |
      (CODEBOOK_FORMS.indexOf(tensor.codebookForm) << CODEBOOK_FORM_SHIFT),
  )
  if (!context) out.u8(tensor.blockLog2)
  out.u8(tensor.clusters - 1)
  if (tensor.pruned) out.varint(tensor.kept)
  if (tensor.layout === 'sparse') out.u8(tensor.escape)
  if (tensor.layout === 'relative') out.u8(tensor.indexBits)
  if (gaps) out.varint(tensor.extraGaps)
  if (context) {
    out.varint(tensor.width)
    out.varint(tensor.stride)
  }
  if (hasSteps(tensor)) out.varint(tensor.codebookBytes)
  if (!context) out.varint(tensor.tableBytes)
  if (index) out.varint(tensor.indexBytes)
  out.varint(tensor.codeBytes)
  out.varint(tensor.codeEntropyBits)
  if (index) out.varint(tensor.indexEntropyBits)
}

interface Part {
  type: number
  owner: number
  payload: Uint8Array
  checksums: Uint32Array
}

/** A tensor ready to be stored. */
export interface StoredTensor {
  descriptor: TensorDescriptor
  payload: Uint8Array
  /** CRC-32C of each chunk of the payload, when the caller has them already. */
  checksums?: Uint32Array
}

/**
 * Puts encoded tensors and metadata into one file. The order of the calls does not matter: a file is sorted (DCZ-05).
 *
 * @example
 * const writer = new ArchiveWriter()
 * writer.add(await encodeTensor(tensor))
 * const bytes = writer.toBytes()
 */
export class ArchiveWriter {
  private readonly tensors: { name: Uint8Array; stored: StoredTensor }[] = []
  private readonly names = new Set<string>()
  private readonly metadata = new Map<string, string>()
  private readonly optional: { type: number; tensor: string | null; payload: Uint8Array }[] = []

  constructor(private readonly crc: (bytes: Uint8Array) => number = crc32c) {}

  /** Adds a tensor; its payload is kept, not copied. A name that is there already is `ERR_DC_ARG`. */
  add(stored: StoredTensor): void {
    const { name } = stored.descriptor
    const bytes = nameBytes('tensor name', name)
    if (this.names.has(name)) throw argument(`tensor ${printable(name)} comes twice`)
    this.names.add(name)
    this.tensors.push({ name: bytes, stored })
  }

  /** Sets a metadata pair (DCZ-22). */
  setMetadata(key: string, value: string): void {
    nameBytes('metadata key', key)
    if (
      value.includes('\0') ||
      !isWellFormed(value) ||
      new TextEncoder().encode(value).length > METADATA_VALUE_BYTES_MOST
    ) {
      throw argument(`the value of metadata ${printable(key)} has NUL, a lone surrogate or more than 65,535 bytes`)
    }
    this.metadata.set(key, value)
  }

  /** Adds an optional section (DCZ-26): `type` 1 to 127, of a tensor or, with null, of the file. Not empty. */
  addOptionalSection(type: number, tensor: string | null, payload: Uint8Array): void {
    if (!Number.isInteger(type) || type < 1 || type >= SECTION_CRITICAL || payload.length === 0) {
      throw argument('an optional section has a type from 1 to 127 and at least one byte')
    }
    if (this.optional.some((other) => other.type === type && other.tensor === tensor)) {
      throw argument(`optional section ${type} comes twice`)
    }
    this.optional.push({ type, tensor, payload })
  }

  private parts(): Part[] {
    const parts: Part[] = []
    this.tensors.sort((a, b) => compareBytes(a.name, b.name))
    this.tensors.forEach(({ stored }, owner) => {
      const { payload } = stored
      if (stored.descriptor.layout === 'zero') return
      const checksums = stored.checksums ?? chunkChecksums(payload, this.crc)
      parts.push({ type: SECTION_PAYLOAD, owner, payload, checksums })
    })
    const optional = this.optional.map(({ type, tensor, payload }) => {
      const owner = tensor === null ? 0 : this.tensors.findIndex(({ stored }) => stored.descriptor.name === tensor) + 1
      if (tensor !== null && owner === 0) throw argument(`there is no tensor ${printable(tensor)}`)
      return { type, owner, payload, checksums: chunkChecksums(payload, this.crc) }
    })
    optional.sort((a, b) => a.type - b.type || a.owner - b.owner)
    return [...parts, ...optional]
  }

  private header(parts: Part[]): Uint8Array {
    const out = new Bytes()
    out.u32(this.tensors.length)
    out.u32(this.metadata.size)
    out.u32(parts.length)
    out.u32(0)
    const descriptors = this.tensors.map(({ stored }) => stored.descriptor)
    out.u64(parts.reduce((sum, part) => sum + part.payload.length, 0))
    out.u64(descriptors.reduce((sum, tensor) => sum + 4 * tensor.elements, 0))
    out.u64(descriptors.reduce((sum, t) => sum + (t.layout === 'raw' ? 0 : t.kept + t.extraGaps), 0))
    const pairs = [...this.metadata].map(([key, value]) => ({ key: nameBytes('metadata key', key), value }))
    pairs.sort((a, b) => compareBytes(a.key, b.key))
    for (const { key, value } of pairs) {
      const text = new TextEncoder().encode(value)
      out.u8(key.length)
      out.bytes(key)
      out.u16(text.length)
      out.bytes(text)
    }
    for (const { name, stored } of this.tensors) {
      out.u8(name.length)
      out.bytes(name)
      writeTensor(out, stored.descriptor)
    }
    for (const part of parts) {
      out.u8(part.type)
      out.varint(part.owner)
      out.varint(part.payload.length)
      for (const checksum of part.checksums) out.u32(checksum)
    }
    out.u32(crc32c(out.view()))
    return out.view()
  }

  /** The file as pieces to be written one after the other; the payloads are the arrays that were added. */
  toChunks(): Uint8Array[] {
    const parts = this.parts()
    const header = this.header(parts)
    const body: Uint8Array[] = []
    let end = PREAMBLE_BYTES + header.length
    for (const part of parts) {
      const padding = sectionPadding(end, part.payload.length)
      if (padding > 0) body.push(new Uint8Array(padding))
      body.push(part.payload)
      end += padding + part.payload.length
    }
    const fileBytes = end + FOOTER_BYTES
    return [preamble(header.length, fileBytes), header, ...body, footer(fileBytes)]
  }

  /** The file in one array. */
  toBytes(): Uint8Array {
    const chunks = this.toChunks()
    const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
    let at = 0
    for (const chunk of chunks) {
      out.set(chunk, at)
      at += chunk.length
    }
    return out
  }
}

function preamble(headerBytes: number, fileBytes: number): Uint8Array {
  const out = new Bytes()
  out.bytes(MAGIC)
  out.u16(VERSION_MAJOR)
  out.u16(VERSION_MINOR)
  out.u32(headerBytes)
  out.u64(fileBytes)
  out.bytes(new Uint8Array(PREAMBLE.checksum - out.length))
  out.u32(crc32c(out.view()))
  return out.view()
}

function footer(fileBytes: number): Uint8Array {
  const out = new Bytes()
  out.u64(fileBytes)
  out.bytes(END_MAGIC)
  return out.view()
}
