/** Every number of the container format (docs/format.md) has its name here. No Node API: the web door shares this file. */

export const MAGIC = Uint8Array.of(0x89, 0x44, 0x43, 0x5a, 0x0d, 0x0a, 0x1a, 0x0a)
export const END_MAGIC = Uint8Array.of(0x0a, 0x44, 0x43, 0x5a, 0x45, 0x4e, 0x44, 0x0a)
export const VERSION_MAJOR = 1
export const VERSION_MINOR = 0
export const PREAMBLE_BYTES = 64
export const FOOTER_BYTES = 16
/** Totals and checksum: a header with nothing in it. */
export const HEADER_BYTES_LEAST = 44
/** DCZ-25: a section has one checksum for each so many stored bytes. */
export const CHUNK_BYTES = 16 << 20
/** DCZ-36: sections of at least this many bytes begin at a multiple of SECTION_ALIGNMENT. */
export const ALIGNED_SECTION_BYTES = 65536
export const SECTION_ALIGNMENT = 64
/** DCZ-26 */
export const SECTION_CRITICAL = 0x80
export const SECTION_PAYLOAD = 0x81
export const NAME_BYTES_MOST = 255
export const METADATA_VALUE_BYTES_MOST = 65535
export const RANK_MOST = 8
export const DIMENSION_MOST = 2 ** 40
export const CLUSTERS_MOST = 256
export const BLOCK_LOG2_LEAST = 10
export const BLOCK_LOG2_MOST = 24
export const INDEX_BITS_LEAST = 2
export const INDEX_BITS_MOST = 8
/** DCZ-34: a tensor of layout context has at most 2^20 elements, and so one block. */
export const CONTEXT_ELEMENTS_LOG2 = 20
/** DCZ-38 */
export const CONTEXT_BITS_FREE = 16384
export const CONTEXT_BITS_A_BYTE = 1024
export const WIDTH_MOST = 65536
export const STRIDE_MOST = 65535
export const VARINT_BYTES_MOST = 8

/** Offsets of the preamble's fields (format 2.1). */
export const PREAMBLE = {
  major: 8,
  minor: 10,
  headerLength: 12,
  fileLength: 16,
  requiredFeatures: 24,
  optionalFeatures: 32,
  reserved: 40,
  checksum: 60,
} as const

/** DCZ-31: the index of a name is its number in the file. */
export const LAYOUTS = ['zero', 'raw', 'dense', 'sparse', 'relative', 'context'] as const
export type Layout = (typeof LAYOUTS)[number]
export const RAW_FORMS = ['stored', 'planes'] as const
export type RawForm = (typeof RAW_FORMS)[number]
export const CODEBOOK_FORMS = ['float32', 'float16', 'float32Steps', 'float16Steps'] as const
export type CodebookForm = (typeof CODEBOOK_FORMS)[number]

/** DCZ-34: bits of the flags byte. */
export const FLAG_PRUNED = 1
export const FLAG_SOURCE_ORDER = 2
export const CODEBOOK_FORM_SHIFT = 2

/** A section as the header lists it; its place follows from the lengths before it. */
export interface Section {
  index: number
  type: number
  /** Payload: index of its tensor. Optional section: 0 for the file, else index of the tensor + 1. */
  owner: number
  offset: number
  storedBytes: number
  /** Zero bytes between the end of what comes before and `offset`. */
  paddingBytes: number
  /** CRC-32C of each chunk of CHUNK_BYTES. */
  checksums: Uint32Array
}

/** What the header says of a tensor (format 2.3). Fields that a layout does not have are 0, false or null. */
export interface TensorDescriptor {
  name: string
  shape: readonly number[]
  elements: number
  layout: Layout
  rawForm: RawForm | null
  pruned: boolean
  /** The codebook is in the order it was imported with, not strictly increasing. */
  sourceOrder: boolean
  codebookForm: CodebookForm
  blockLog2: number
  clusters: number
  /** Weights that are not pruned; `elements` for raw, 0 for zero. */
  kept: number
  /** sparse: the escape symbol E. */
  escape: number
  /** relative: bits of a gap. */
  indexBits: number
  /** Escapes (sparse) or fillers (relative). */
  extraGaps: number
  codebookBytes: number
  tableBytes: number
  indexBytes: number
  codeBytes: number
  /** Order-0 entropy of all code and gap symbols, in bits, rounded up. Informative. */
  codeEntropyBits: number
  indexEntropyBits: number
  storedBytes: number
  /** context: columns of a row, and rows up to the second neighbour (S7). */
  width: number
  stride: number
  /** Null for layout `zero`, and before the tensor was added to an archive. */
  section: Section | null
}

/** Whether positions are gaps between entries. */
export function hasGaps({ layout }: Pick<TensorDescriptor, 'layout'>): boolean {
  return layout === 'sparse' || layout === 'relative'
}

/** DCZ-34: whether index bytes are stored, of gaps or of a mask. */
export function hasIndex(tensor: Pick<TensorDescriptor, 'layout' | 'pruned'>): boolean {
  return hasGaps(tensor) || (tensor.layout === 'context' && tensor.pruned)
}

/** DCZ-52: whether the codebook's length is a field of the header. */
export function hasSteps({ codebookForm }: Pick<TensorDescriptor, 'codebookForm'>): boolean {
  return codebookForm === 'float32Steps' || codebookForm === 'float16Steps'
}

/** A descriptor as numbers, the form in which it crosses into the addon (native/container/descriptor.h has the same order). */
export const DESCRIPTOR_FIELDS = [
  'elements',
  'layout',
  'rawForm',
  'codebookForm',
  'pruned',
  'sourceOrder',
  'blockLog2',
  'clusters',
  'escape',
  'indexBits',
  'kept',
  'extraGaps',
  'codebookBytes',
  'tableBytes',
  'indexBytes',
  'codeBytes',
  'codeEntropyBits',
  'indexEntropyBits',
  'storedBytes',
  'width',
  'stride',
] as const

export function descriptorToFields(tensor: TensorDescriptor): Float64Array<ArrayBuffer> {
  const coded = {
    layout: LAYOUTS.indexOf(tensor.layout),
    rawForm: tensor.rawForm === 'planes' ? 1 : 0,
    codebookForm: CODEBOOK_FORMS.indexOf(tensor.codebookForm),
  }
  const numbers = { ...tensor, ...coded } as unknown as Record<string, number | boolean>
  return Float64Array.from(DESCRIPTOR_FIELDS, (field) => Number(numbers[field]))
}

export function descriptorFromFields(name: string, shape: readonly number[], fields: Float64Array): TensorDescriptor {
  const numbers = Object.fromEntries(DESCRIPTOR_FIELDS.map((field, i) => [field, fields[i]!])) as Record<
    (typeof DESCRIPTOR_FIELDS)[number],
    number
  >
  const layout = LAYOUTS[numbers.layout]!
  return {
    ...numbers,
    name,
    shape,
    layout,
    rawForm: layout === 'raw' ? RAW_FORMS[numbers.rawForm]! : null,
    codebookForm: CODEBOOK_FORMS[numbers.codebookForm]!,
    pruned: numbers.pruned === 1,
    sourceOrder: numbers.sourceOrder === 1,
    section: null,
  }
}

/** Bytes of padding before a section of `storedBytes` that would otherwise begin at `end` (DCZ-36). */
export function sectionPadding(end: number, storedBytes: number): number {
  if (storedBytes < ALIGNED_SECTION_BYTES) return 0
  return (SECTION_ALIGNMENT - (end % SECTION_ALIGNMENT)) % SECTION_ALIGNMENT
}

export function chunkCount(storedBytes: number): number {
  return Math.ceil(storedBytes / CHUNK_BYTES)
}

/** Order of names: by their UTF-8 bytes, a shorter name before its extensions (DCZ-23). */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}
