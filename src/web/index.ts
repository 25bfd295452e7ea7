import type { TensorDescriptor } from '../container/layout.js'
import { checkLimit, type Limits, resolveLimits } from '../container/limits.js'
import { type ParsedArchive, parseArchive, sectionBytes } from '../container/reader.js'
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

/** A `.dcz` file in memory, read without Node and without the addon. */
export class WebArchive {
  private readonly parsed: ParsedArchive
  private readonly limits: Readonly<Limits>

  /** Checks envelope and header; throws the error of the first rule that is broken. */
  constructor(
    private readonly file: Uint8Array,
    private readonly options: WebOptions = {},
  ) {
    this.limits = resolveLimits(options.limits)
    this.parsed = parseArchive(file, options.limits)
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
      throw new DeepCompressionError('ARG', `the archive has no tensor ${printable(name)}`, { section: name })
    checkLimit(this.limits, 'maxDecodedBytes', 4 * tensor.elements, `decoded bytes of tensor ${printable(name)}`)
    const payload = tensor.section ? sectionBytes(this.parsed, tensor.section, this.file) : new Uint8Array(0)
    const out = new Float32Array(tensor.elements)
    for (const _ of decodePlain(tensor, payload, 0, out, this.options.allowNonFinite ?? false));
    return out
  }

  /** Checks everything: each section's padding and checksum, each tensor by decoding it. */
  verify(): void {
    for (const section of this.parsed.sections) sectionBytes(this.parsed, section, this.file)
    for (const name of this.parsed.tensors.keys()) this.decode(name)
  }
}

/** Opens a file in memory; sections are looked at when they are asked for. */
export function openArchive(file: Uint8Array, options?: WebOptions): WebArchive {
  return new WebArchive(file, options)
}
