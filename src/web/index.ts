import { SECTION_PAYLOAD, type Section, type TensorDescriptor } from '../container/layout.js'
import { checkLimit, type Limits, resolveLimits } from '../container/limits.js'
import { inFile, type ParsedArchive, parseArchive, sectionBytes } from '../container/reader.js'
import { decodePlain } from '../decode/plain/payload.js'
import { DeepCompressionError, printable } from '../errors.js'

export type { TensorDescriptor } from '../container/layout.js'
export type { Limits } from '../container/limits.js'
export { DeepCompressionError, type ErrorCode, isDeepCompressionError } from '../errors.js'

export interface WebOptions {
  limits?: Partial<Limits>
  /** Accepts NaN and infinities (DCZ-47). */
  allowNonFinite?: boolean
}

function checkOptions(options: WebOptions): void {
  const refuse = (what: string) => {
    throw new DeepCompressionError('ARG', what, { section: 'options' })
  }
  if (typeof options !== 'object' || options === null) refuse('options must be an object')
  for (const key of Object.keys(options)) {
    if (key !== 'limits' && key !== 'allowNonFinite') {
      refuse(`options has an unknown key ${printable(key)}; known: limits, allowNonFinite`)
    }
  }
  if (options.allowNonFinite !== undefined && typeof options.allowNonFinite !== 'boolean') {
    refuse('options.allowNonFinite must be true or false')
  }
}

/** By tag and not by `instanceof`: the bytes may come from another realm (a frame, a worker's vm context). */
function bytesOf(file: unknown): Uint8Array {
  const tag = Object.prototype.toString.call(file)
  try {
    if (tag === '[object ArrayBuffer]') return new Uint8Array(file as ArrayBuffer)
    if (tag === '[object Uint8Array]') return (file as Uint8Array).subarray()
  } catch {
    throw new DeepCompressionError('DETACHED', 'the buffer of file was transferred or detached', { section: 'file' })
  }
  throw new DeepCompressionError('TYPE', `file must be a Uint8Array or an ArrayBuffer, got ${tag.slice(8, -1)}`, {
    section: 'file',
  })
}

function allocate(tensor: TensorDescriptor): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(tensor.elements)
  } catch (cause) {
    throw new DeepCompressionError('NOMEM', `no memory for tensor ${printable(tensor.name)}`, {
      section: tensor.name,
      cause,
    })
  }
}

/** A `.dcz` file in memory, read without Node and without the addon. */
export class WebArchive {
  private readonly file: Uint8Array
  private readonly parsed: ParsedArchive
  private readonly limits: Readonly<Limits>

  /** Checks envelope and header; throws the error of the first rule that is broken, ERR_DC_ARG for unknown options. */
  constructor(
    file: Uint8Array | ArrayBuffer,
    private readonly options: WebOptions = {},
  ) {
    this.file = bytesOf(file)
    checkOptions(options)
    this.limits = resolveLimits(options.limits)
    this.parsed = parseArchive(this.file, options.limits)
  }

  get tensors(): ReadonlyMap<string, TensorDescriptor> {
    return this.parsed.tensors
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.parsed.metadata
  }

  /** One tensor, dense, in C order. Its checksums are checked first. */
  decode(name: string): Float32Array<ArrayBuffer> {
    const tensor = this.parsed.tensors.get(name)
    if (!tensor)
      throw new DeepCompressionError('ARG', `the archive has no tensor ${printable(String(name))}`, {
        section: String(name),
      })
    this.checkDecoded(tensor)
    return this.values(tensor, tensor.section ? this.bytes(tensor.section) : new Uint8Array(0))
  }

  private checkDecoded({ name, elements }: TensorDescriptor): void {
    checkLimit(this.limits, 'maxDecodedBytes', 4 * elements, `decoded bytes of tensor ${printable(name)}`)
  }

  /** Of one section, its padding and checksums looked at. */
  private bytes(section: Section): Uint8Array {
    return sectionBytes(this.parsed, section, this.file)
  }

  private values(tensor: TensorDescriptor, payload: Uint8Array): Float32Array<ArrayBuffer> {
    const out = allocate(tensor)
    try {
      for (const _ of decodePlain(tensor, payload, 0, out, this.options.allowNonFinite ?? false));
    } catch (error) {
      throw tensor.section ? inFile(error, tensor, tensor.section) : error
    }
    return out
  }

  /** All tensors by name, in the order of the file. `maxDecodedBytes` holds for their sum. */
  decodeAll(): Map<string, Float32Array<ArrayBuffer>> {
    let elements = 0
    for (const tensor of this.parsed.tensors.values()) elements += tensor.elements
    checkLimit(this.limits, 'maxDecodedBytes', 4 * elements, 'decoded bytes of all tensors')
    const decoded = new Map<string, Float32Array<ArrayBuffer>>()
    for (const name of this.parsed.tensors.keys()) decoded.set(name, this.decode(name))
    return decoded
  }

  /** Checks everything, section by section: padding and checksum, then what is in it by decoding. */
  verify(): void {
    const tensors = [...this.parsed.tensors.values()]
    for (const section of this.parsed.sections) {
      const payload = this.bytes(section)
      if (section.type !== SECTION_PAYLOAD) continue
      const tensor = tensors[section.owner]!
      this.checkDecoded(tensor)
      this.values(tensor, payload)
    }
  }
}

/** Opens a file in memory; sections are looked at when they are asked for, so the bytes must not change before. */
export function openArchive(file: Uint8Array | ArrayBuffer, options?: WebOptions): WebArchive {
  return new WebArchive(file, options)
}
