import { DeepCompressionError, printable, type StatusName } from '../errors.js'
import { crc32c } from './crc32c.js'
import {
  BLOCK_LOG2_LEAST,
  BLOCK_LOG2_MOST,
  CHUNK_BYTES,
  CLUSTERS_MOST,
  CODEBOOK_FORM_SHIFT,
  CODEBOOK_FORMS,
  CONTEXT_BITS_A_BYTE,
  CONTEXT_BITS_FREE,
  CONTEXT_ELEMENTS_LOG2,
  chunkCount,
  compareBytes,
  DIMENSION_MOST,
  END_MAGIC,
  FLAG_PRUNED,
  FLAG_SOURCE_ORDER,
  FOOTER_BYTES,
  HEADER_BYTES_LEAST,
  hasGaps,
  hasIndex,
  hasSteps,
  INDEX_BITS_LEAST,
  INDEX_BITS_MOST,
  LAYOUTS,
  MAGIC,
  PREAMBLE,
  PREAMBLE_BYTES,
  RANK_MOST,
  RAW_FORMS,
  SECTION_CRITICAL,
  SECTION_PAYLOAD,
  type Section,
  STRIDE_MOST,
  sectionPadding,
  type TensorDescriptor,
  VARINT_BYTES_MOST,
  VERSION_MAJOR,
  VERSION_MINOR,
  WIDTH_MOST,
} from './layout.js'
import { checkLimit, type Limits, resolveLimits } from './limits.js'

/** Where a file's bytes come from: a file handle, a buffer. `read` answers exactly `length` bytes or throws. */
export interface ByteSource {
  readonly length: number
  read(offset: number, length: number): Promise<Uint8Array>
}

/** What a header says. Everything here passed every check of format parts 2.1 to 2.4; sections are not looked at yet. */
export interface ParsedArchive {
  version: { major: number; minor: number }
  fileBytes: number
  headerBytes: number
  optionalFeatures: bigint
  storedBytes: number
  denseBytes: number
  entries: number
  metadata: Map<string, string>
  /** In file order, which is the order of the names' bytes. */
  tensors: Map<string, TensorDescriptor>
  sections: Section[]
}

/** Checked fields of the preamble. */
export interface Preamble {
  major: number
  minor: number
  headerBytes: number
  fileBytes: number
  optionalFeatures: bigint
}

function refuse(status: StatusName, section: string, offset: number, what: string): DeepCompressionError {
  return new DeepCompressionError(status, `${section}: ${what} (at byte ${offset})`, { section, offset })
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** DCZ-01: at most 2^53 - 1; -1 when it is more. */
function u64(bytes: Uint8Array, at: number): number {
  const value = u32(bytes, at + 4) * 2 ** 32 + u32(bytes, at)
  return Number.isSafeInteger(value) ? value : -1
}

function wideU64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(u32(bytes, at + 4)) << 32n) | BigInt(u32(bytes, at))
}

function same(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false
  return true
}

/** Checks the first bytes of a file (its first 64, or all of a shorter one) that has `actualBytes` bytes: DCZ-10 to DCZ-14. */
export function parsePreamble(bytes: Uint8Array, actualBytes: number, limits: Limits): Preamble {
  if (!same(bytes, 0, MAGIC.subarray(0, Math.min(bytes.length, MAGIC.length)))) {
    throw refuse('MAGIC', 'preamble', 0, 'this is not a .dcz file')
  }
  if (bytes.length < PREAMBLE_BYTES)
    throw refuse('TRUNCATED', 'preamble', bytes.length, 'the file ends in its preamble')
  if (crc32c(bytes.subarray(0, PREAMBLE.checksum)) !== u32(bytes, PREAMBLE.checksum)) {
    throw refuse('CHECKSUM', 'preamble', PREAMBLE.checksum, 'the checksum does not match: the file is damaged')
  }
  const major = bytes[PREAMBLE.major]! | (bytes[PREAMBLE.major + 1]! << 8)
  const minor = bytes[PREAMBLE.minor]! | (bytes[PREAMBLE.minor + 1]! << 8)
  if (major !== VERSION_MAJOR) {
    throw refuse(
      'VERSION',
      'preamble',
      PREAMBLE.major,
      `the file has version ${major}.${minor}, this reader reads ${VERSION_MAJOR}.${VERSION_MINOR}`,
    )
  }
  for (let at: number = PREAMBLE.reserved; at < PREAMBLE.checksum; at++) {
    if (bytes[at] !== 0) throw refuse('STRUCTURE', 'preamble', at, 'a reserved byte is not 0')
  }
  const required = wideU64(bytes, PREAMBLE.requiredFeatures)
  if (required !== 0n) {
    throw refuse(
      'FEATURE',
      'preamble',
      PREAMBLE.requiredFeatures,
      `the file needs features 0x${required.toString(16)}, which this reader does not know`,
    )
  }
  const headerBytes = u32(bytes, PREAMBLE.headerLength)
  const fileBytes = u64(bytes, PREAMBLE.fileLength)
  if (fileBytes < 0) throw refuse('STRUCTURE', 'preamble', PREAMBLE.fileLength, 'the file length exceeds 2^53 - 1')
  if (actualBytes < fileBytes) {
    throw refuse('TRUNCATED', 'file', actualBytes, `the file should have ${fileBytes} bytes and has ${actualBytes}`)
  }
  if (actualBytes > fileBytes) {
    throw refuse('TRAILING', 'file', fileBytes, `${actualBytes - fileBytes} bytes follow the end of the file`)
  }
  if (headerBytes < HEADER_BYTES_LEAST || PREAMBLE_BYTES + headerBytes + FOOTER_BYTES > fileBytes) {
    throw refuse('STRUCTURE', 'preamble', PREAMBLE.headerLength, `a header of ${headerBytes} bytes cannot be`)
  }
  checkLimit(limits, 'maxHeaderBytes', headerBytes, 'header bytes', PREAMBLE.headerLength)
  const optionalFeatures = wideU64(bytes, PREAMBLE.optionalFeatures)
  return { major, minor, headerBytes, fileBytes, optionalFeatures }
}

/** Checks the last 16 bytes of the file: DCZ-15. */
export function checkFooter(bytes: Uint8Array, preamble: Preamble): void {
  if (u64(bytes, 0) !== preamble.fileBytes || !same(bytes, 8, END_MAGIC)) {
    throw refuse(
      'CHECKSUM',
      'footer',
      preamble.fileBytes - FOOTER_BYTES,
      'the end mark does not match: the file is damaged',
    )
  }
}

/** Valid UTF-8 as a string, else null (DCZ-24). */
function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** True for a text without U+0000..U+001F and U+007F..U+009F. */
export function isName(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: DCZ-24 names them
  return text.length > 0 && !/[\u0000-\u001f\u007f-\u009f]/.test(text)
}

/** Reads the header's bytes in order; every read is checked against what is left. */
class Cursor {
  at = 0
  /** Where the entry in hand begins: errors name its first byte (DCZ-06). */
  entry: number | null = null
  constructor(
    private readonly bytes: Uint8Array,
    private readonly end: number,
  ) {}

  /** The offset in the file that an error here has. */
  offset(at = this.at): number {
    return PREAMBLE_BYTES + (this.entry ?? at)
  }
  structure(what: string, at = this.at): DeepCompressionError {
    return refuse('STRUCTURE', 'header', this.offset(at), what)
  }
  get left(): number {
    return this.end - this.at
  }
  take(length: number): Uint8Array {
    if (length > this.left) throw this.structure(`${length} bytes are wanted and ${this.left} are left`)
    return this.bytes.subarray(this.at, (this.at += length))
  }
  u8(): number {
    return this.take(1)[0]!
  }
  u16(): number {
    const two = this.take(2)
    return two[0]! | (two[1]! << 8)
  }
  u32(): number {
    return u32(this.take(4), 0)
  }
  u64(): number {
    const value = u64(this.take(8), 0)
    if (value < 0) throw this.structure('a number exceeds 2^53 - 1', this.at - 8)
    return value
  }
  /** DCZ-02 */
  varint(): number {
    let value = 0
    for (let i = 0, scale = 1; i < VARINT_BYTES_MOST; i++, scale *= 128) {
      const byte = this.u8()
      value += (byte & 127) * scale
      if (byte >= 128) continue
      if (byte === 0 && i > 0) throw this.structure('a number is not in its shortest form')
      if (!Number.isSafeInteger(value)) throw this.structure('a number exceeds 2^53 - 1')
      return value
    }
    throw this.structure('a number has more than 8 bytes')
  }
  /** A whole number within what its field allows. */
  varintIn(least: number, most: number, what: string): number {
    const value = this.varint()
    if (value < least || value > most) throw this.structure(`${what} is ${value}, not ${least} to ${most}`)
    return value
  }
  u8In(least: number, most: number, what: string): number {
    const value = this.u8()
    if (value < least || value > most) throw this.structure(`${what} is ${value}, not ${least} to ${most}`)
    return value
  }
  name(what: string): { text: string; bytes: Uint8Array } {
    const bytes = this.take(this.u8())
    const text = decodeUtf8(bytes)
    if (text === null || !isName(text)) throw this.structure(`${what} is empty, no UTF-8 or has control characters`)
    return { text, bytes }
  }
}

/** DCZ-22 */
function parseMetadata(cursor: Cursor, count: number): Map<string, string> {
  const metadata = new Map<string, string>()
  let previous: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    cursor.entry = cursor.at
    const key = cursor.name('a metadata key')
    if (previous && compareBytes(previous, key.bytes) >= 0) throw cursor.structure('metadata keys are not sorted')
    previous = key.bytes
    const value = decodeUtf8(cursor.take(cursor.u16()))
    if (value === null || value.includes('\0')) throw cursor.structure('a metadata value is not UTF-8 or has NUL')
    metadata.set(key.text, value)
  }
  cursor.entry = null
  return metadata
}

/** A descriptor of layout zero; the other layouts fill in what they have. */
export function emptyDescriptor(name: string, shape: readonly number[], elements: number): TensorDescriptor {
  return {
    name,
    shape,
    elements,
    layout: 'zero',
    rawForm: null,
    pruned: false,
    sourceOrder: false,
    codebookForm: 'float32',
    blockLog2: 0,
    clusters: 0,
    kept: 0,
    escape: 0,
    indexBits: 0,
    extraGaps: 0,
    codebookBytes: 0,
    tableBytes: 0,
    indexBytes: 0,
    codeBytes: 0,
    codeEntropyBits: 0,
    indexEntropyBits: 0,
    storedBytes: 0,
    width: 0,
    stride: 0,
    section: null,
  }
}

/** DCZ-30: elements of a shape, or -1 when the product of its dimensions is too large. */
export function shapeElements(shape: readonly number[]): number {
  let product = 1
  let empty = false
  for (const dimension of shape) {
    if (dimension === 0) empty = true
    else if (product > Number.MAX_SAFE_INTEGER / dimension) return -1
    else product *= dimension
  }
  return empty ? 0 : product
}

/** DCZ-30 to DCZ-34 */
function parseTensor(cursor: Cursor, name: string, limits: Limits): TensorDescriptor {
  const rank = cursor.u8In(0, RANK_MOST, 'the rank')
  const shape: number[] = []
  for (let i = 0; i < rank; i++) shape.push(cursor.varintIn(0, DIMENSION_MOST, 'a dimension'))
  const elements = shapeElements(shape)
  if (elements < 0) throw cursor.structure('the product of the dimensions exceeds 2^53 - 1')
  checkLimit(limits, 'maxElements', elements, `elements of tensor ${printable(name)}`, cursor.offset())
  const tensor = emptyDescriptor(name, Object.freeze(shape), elements)
  tensor.layout = LAYOUTS[cursor.u8In(0, LAYOUTS.length - 1, 'the layout')]!
  if (tensor.layout === 'zero') return tensor
  if (elements === 0) throw cursor.structure('a tensor without elements has a layout other than zero')
  if (tensor.layout === 'raw') {
    tensor.kept = elements
    tensor.rawForm = RAW_FORMS[cursor.u8In(0, RAW_FORMS.length - 1, 'the raw form')]!
    if (tensor.rawForm === 'stored') return tensor
    tensor.blockLog2 = cursor.u8In(BLOCK_LOG2_LEAST, BLOCK_LOG2_MOST, 'the block size')
    tensor.tableBytes = cursor.varint()
    return tensor
  }
  parseCodedTensor(cursor, tensor)
  return tensor
}

/** DCZ-34 */
function parseCodedTensor(cursor: Cursor, tensor: TensorDescriptor): void {
  const { layout, elements } = tensor
  const flags = cursor.u8()
  const form = flags >> CODEBOOK_FORM_SHIFT
  if (form >= CODEBOOK_FORMS.length) throw cursor.structure('a reserved flag is set')
  tensor.codebookForm = CODEBOOK_FORMS[form]!
  tensor.pruned = (flags & FLAG_PRUNED) !== 0
  tensor.sourceOrder = (flags & FLAG_SOURCE_ORDER) !== 0
  if (tensor.sourceOrder && hasSteps(tensor)) {
    throw cursor.structure('a codebook of steps cannot have the source order')
  }
  const context = layout === 'context'
  if (context && elements > 2 ** CONTEXT_ELEMENTS_LOG2)
    throw cursor.structure('layout context has at most 2^20 elements')
  tensor.blockLog2 = context ? CONTEXT_ELEMENTS_LOG2 : cursor.u8In(BLOCK_LOG2_LEAST, BLOCK_LOG2_MOST, 'the block size')
  const zeroIsSymbol = layout === 'relative' || (layout === 'dense' && tensor.pruned)
  tensor.clusters = cursor.u8In(0, CLUSTERS_MOST - (zeroIsSymbol ? 2 : 1), 'clusters less 1') + 1
  tensor.kept = tensor.pruned ? cursor.varintIn(1, elements - 1, 'kept weights') : elements
  const gaps = hasGaps(tensor)
  const index = hasIndex(tensor)
  if (layout === 'sparse') tensor.escape = cursor.u8In(1, 255, 'the escape')
  if (layout === 'relative') tensor.indexBits = cursor.u8In(INDEX_BITS_LEAST, INDEX_BITS_MOST, 'the index bits')
  if (gaps) tensor.extraGaps = cursor.varintIn(0, elements, 'extra gaps')
  if (context) {
    tensor.width = cursor.varintIn(1, Math.min(elements, WIDTH_MOST), 'the width')
    tensor.stride = cursor.varintIn(1, STRIDE_MOST, 'the stride')
  }
  const each = tensor.codebookForm === 'float32' ? 4 : 2
  tensor.codebookBytes = hasSteps(tensor) ? cursor.varint() : each * tensor.clusters
  if (!context) tensor.tableBytes = cursor.varint()
  if (index) tensor.indexBytes = cursor.varint()
  tensor.codeBytes = cursor.varint()
  tensor.codeEntropyBits = cursor.varint()
  if (index) tensor.indexEntropyBits = cursor.varint()
  if (context && contextBits(tensor) > CONTEXT_BITS_FREE + CONTEXT_BITS_A_BYTE * (tensor.indexBytes + tensor.codeBytes))
    throw cursor.structure('layout context has more than 1024 bits for each of its bytes')
}

/** DCZ-38: the bits of mask and codes, which are decoded one by one. */
function contextBits({ pruned, elements, kept, clusters }: TensorDescriptor): number {
  return (pruned ? elements : 0) + kept * (32 - Math.clz32(clusters - 1))
}

/** DCZ-35 */
function checkStoredBytes(cursor: Cursor, tensor: TensorDescriptor, storedBytes: number): void {
  const { rawForm, elements, layout } = tensor
  if (rawForm === 'stored') {
    if (storedBytes !== 4 * elements) throw cursor.structure(`${storedBytes} bytes for ${elements} stored floats`)
    return
  }
  const named = tensor.codebookBytes + tensor.tableBytes + tensor.indexBytes + tensor.codeBytes
  const oneBlock = layout !== 'raw' && elements <= 2 ** tensor.blockLog2
  if (named > storedBytes || (oneBlock && named !== storedBytes)) {
    throw cursor.structure(`a section of ${storedBytes} bytes for streams of ${named}`)
  }
}

/** DCZ-25 to DCZ-27 */
function parseSections(cursor: Cursor, count: number, tensors: TensorDescriptor[], headerBytes: number): Section[] {
  const sections: Section[] = []
  const owners = tensors.flatMap((tensor, i) => (tensor.layout === 'zero' ? [] : [i]))
  let end = PREAMBLE_BYTES + headerBytes
  let previous: Section | undefined
  for (let index = 0; index < count; index++) {
    cursor.entry = cursor.at
    const type = cursor.u8()
    if ((type & ~SECTION_CRITICAL) === 0) throw cursor.structure('a section has type 0')
    if (type > SECTION_CRITICAL && type !== SECTION_PAYLOAD) {
      throw refuse('FEATURE', 'header', cursor.offset(), `critical section type ${type} is not known`)
    }
    const owner = cursor.varint()
    const storedBytes = cursor.varintIn(1, Number.MAX_SAFE_INTEGER, 'a stored length')
    const checksumCount = chunkCount(storedBytes)
    if (4 * checksumCount > cursor.left) throw cursor.structure('checksums run past the header')
    const checksums = new Uint32Array(checksumCount)
    for (let i = 0; i < checksumCount; i++) checksums[i] = cursor.u32()
    if (index < owners.length) {
      if (type !== SECTION_PAYLOAD || owner !== owners[index]) {
        throw cursor.structure(`payload ${index} is not that of tensor ${owners[index]}`)
      }
      checkStoredBytes(cursor, tensors[owner]!, storedBytes)
    } else {
      if (type === SECTION_PAYLOAD || owner > tensors.length) throw cursor.structure('a section without its tensor')
      if (previous && (previous.type > type || (previous.type === type && previous.owner >= owner))) {
        throw cursor.structure('optional sections are not sorted')
      }
    }
    const paddingBytes = sectionPadding(end, storedBytes)
    const section = { index, type, owner, offset: end + paddingBytes, storedBytes, paddingBytes, checksums }
    end = section.offset + storedBytes
    // May pass 2^53 - 1 in a header of gigabytes; then the sections do not end where the footer begins, which is checked below.
    sections.push(section)
    if (index < owners.length) {
      const tensor = tensors[owner]!
      tensor.section = section
      tensor.storedBytes = storedBytes
      if (tensor.layout === 'raw') tensor.codeBytes = storedBytes - tensor.tableBytes
    } else {
      previous = section
    }
  }
  cursor.entry = null
  if (count < owners.length) throw cursor.structure(`${owners.length} tensors have ${count} payloads`)
  return sections
}

/** Checks the header's bytes (format 2.2 and 2.3): DCZ-20 to DCZ-36. */
export function parseHeader(bytes: Uint8Array, preamble: Preamble, limits: Limits): ParsedArchive {
  const end = bytes.length - 4
  if (crc32c(bytes.subarray(0, end)) !== u32(bytes, end)) {
    throw refuse('CHECKSUM', 'header', PREAMBLE_BYTES + end, 'the checksum does not match: the file is damaged')
  }
  const cursor = new Cursor(bytes, end)
  const tensorCount = cursor.u32()
  const metadataCount = cursor.u32()
  const sectionCount = cursor.u32()
  if (cursor.u32() !== 0) throw cursor.structure('a reserved field is not 0', cursor.at - 4)
  const storedBytes = cursor.u64()
  const denseBytes = cursor.u64()
  const entries = cursor.u64()
  checkLimit(limits, 'maxTensors', tensorCount, 'tensors', cursor.offset(0))
  checkLimit(limits, 'maxMetadata', metadataCount, 'metadata pairs', cursor.offset(4))
  checkLimit(limits, 'maxSections', sectionCount, 'sections', cursor.offset(8))
  if (denseBytes % 4 !== 0) throw cursor.structure('the dense bytes are no multiple of 4', 24)
  checkLimit(limits, 'maxTotalElements', denseBytes / 4, 'elements of the file', cursor.offset(24))

  const metadata = parseMetadata(cursor, metadataCount)
  // DCZ-04: no tensor entry is shorter than 4 bytes, no section entry than 7.
  if (tensorCount > cursor.left / 4 || sectionCount > cursor.left / 7) {
    throw cursor.structure(`${tensorCount} tensors and ${sectionCount} sections do not fit into the header`)
  }
  const list: TensorDescriptor[] = []
  const tensors = new Map<string, TensorDescriptor>()
  let previous: Uint8Array | undefined
  const total = { elements: 0, entries: 0, storedBytes: 0 }
  for (let i = 0; i < tensorCount; i++) {
    cursor.entry = cursor.at
    const name = cursor.name('a tensor name')
    if (previous && compareBytes(previous, name.bytes) >= 0) throw cursor.structure('tensor names are not sorted')
    previous = name.bytes
    const tensor = parseTensor(cursor, name.text, limits)
    total.elements += tensor.elements
    if (tensor.layout !== 'raw') total.entries += tensor.kept + tensor.extraGaps
    if (4 * total.elements > denseBytes || total.entries > entries)
      throw cursor.structure('a declared total is too small')
    list.push(tensor)
    tensors.set(name.text, tensor)
  }
  cursor.entry = null
  const sections = parseSections(cursor, sectionCount, list, preamble.headerBytes)
  for (const section of sections) total.storedBytes += section.storedBytes
  if (total.storedBytes !== storedBytes || 4 * total.elements !== denseBytes || total.entries !== entries) {
    throw cursor.structure('a declared total is not what was found', 0)
  }
  if (cursor.left !== 0) throw cursor.structure(`${cursor.left} bytes are left over in the header`)
  const last = sections.at(-1)
  const sectionsEnd = last ? last.offset + last.storedBytes : PREAMBLE_BYTES + preamble.headerBytes
  if (sectionsEnd !== preamble.fileBytes - FOOTER_BYTES) {
    throw cursor.structure(
      `the sections end at ${sectionsEnd}, the footer begins at ${preamble.fileBytes - FOOTER_BYTES}`,
    )
  }
  return {
    version: { major: preamble.major, minor: preamble.minor },
    fileBytes: preamble.fileBytes,
    headerBytes: preamble.headerBytes,
    optionalFeatures: preamble.optionalFeatures,
    storedBytes,
    denseBytes,
    entries,
    metadata,
    tensors,
    sections,
  }
}

/** Reads and checks preamble, footer and header; sections are not read. Throws the error of the first rule that is broken. */
export function parseArchive(bytes: Uint8Array, limits?: Partial<Limits>): ParsedArchive {
  const resolved = resolveLimits(limits)
  const preamble = parsePreamble(bytes.subarray(0, PREAMBLE_BYTES), bytes.length, resolved)
  checkFooter(bytes.subarray(bytes.length - FOOTER_BYTES), preamble)
  return parseHeader(bytes.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + preamble.headerBytes), preamble, resolved)
}

/** The same from a source with positioned reads: three reads, none of a section. */
export async function readArchive(source: ByteSource, limits?: Partial<Limits>): Promise<ParsedArchive> {
  const resolved = resolveLimits(limits)
  const first = await source.read(0, Math.min(PREAMBLE_BYTES, source.length))
  const preamble = parsePreamble(first, source.length, resolved)
  checkFooter(await source.read(source.length - FOOTER_BYTES, FOOTER_BYTES), preamble)
  return parseHeader(await source.read(PREAMBLE_BYTES, preamble.headerBytes), preamble, resolved)
}

/** What an error message calls a section. */
export function sectionName(archive: ParsedArchive, section: Section): string {
  if (section.type !== SECTION_PAYLOAD) return `section ${section.index}`
  const names = [...archive.tensors.keys()]
  return `tensor ${printable(names[section.owner]!)}`
}

/** Checks one section's padding (DCZ-36) and checksums (DCZ-37). `padded` are its bytes with the padding before them. */
export function checkSection(
  section: Section,
  name: string,
  padded: Uint8Array,
  crc: (bytes: Uint8Array) => number = crc32c,
): Uint8Array {
  for (let i = 0; i < section.paddingBytes; i++) {
    if (padded[i] !== 0) throw refuse('STRUCTURE', name, section.offset - section.paddingBytes + i, 'padding is not 0')
  }
  const bytes = padded.subarray(section.paddingBytes, section.paddingBytes + section.storedBytes)
  for (let i = 0; i < section.checksums.length; i++) {
    const at = i * CHUNK_BYTES
    if (crc(bytes.subarray(at, at + CHUNK_BYTES)) !== section.checksums[i]) {
      throw refuse('CHECKSUM', name, section.offset + at, 'the checksum does not match: the file is damaged')
    }
  }
  return bytes
}

/** A section's bytes out of a whole file in memory, checked. */
export function sectionBytes(
  archive: ParsedArchive,
  section: Section,
  file: Uint8Array,
  crc?: (bytes: Uint8Array) => number,
): Uint8Array {
  const start = section.offset - section.paddingBytes
  const padded = file.subarray(start, section.offset + section.storedBytes)
  return checkSection(section, sectionName(archive, section), padded, crc)
}

/** A section's bytes out of a source, checked. */
export async function readSection(
  archive: ParsedArchive,
  section: Section,
  source: ByteSource,
  crc?: (bytes: Uint8Array) => number,
): Promise<Uint8Array> {
  const padded = await source.read(section.offset - section.paddingBytes, section.paddingBytes + section.storedBytes)
  return checkSection(section, sectionName(archive, section), padded, crc)
}

/** An error of a payload, told in terms of the file: section "tensor" and its name, offset from the file's start. */
export function inFile(error: unknown, tensor: TensorDescriptor, section: Section): unknown {
  if (!(error instanceof DeepCompressionError) || error.offset === undefined) return error
  const status = error.code.slice('ERR_DC_'.length)
  return new DeepCompressionError(status as StatusName, error.message, {
    section: `tensor ${printable(tensor.name)}`,
    offset: section.offset + error.offset,
    cause: error,
  })
}
