import { readFileSync } from 'node:fs'
import path from 'node:path'
import { crc32c } from '../../src/container/crc32c'

/** Plain builder of headers for tests of broken files: bytes by hand, so that any rule can be broken one at a time. */

export const GOLDEN = path.join(__dirname, '../format/golden/1.0')
export const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(GOLDEN, name)))

const MAGIC = [0x89, 0x44, 0x43, 0x5a, 0x0d, 0x0a, 0x1a, 0x0a]
const END = [0x0a, 0x44, 0x43, 0x5a, 0x45, 0x4e, 0x44, 0x0a]

export const u16 = (v: number): number[] => [v & 255, (v >>> 8) & 255]
export const u32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]
export const u64 = (v: number): number[] => [...u32(v % 2 ** 32), ...u32(Math.floor(v / 2 ** 32))]
export function varint(value: number): number[] {
  const out: number[] = []
  let v = value
  for (; v >= 128; v = Math.floor(v / 128)) out.push((v % 128) | 128)
  out.push(v)
  return out
}
export const text = (s: string): number[] => [...new TextEncoder().encode(s)]
export const name = (s: string): number[] => [text(s).length, ...text(s)]
export const crc = (bytes: number[] | Uint8Array): number[] => u32(crc32c(Uint8Array.from(bytes)))

export interface Parts {
  preamble?: (bytes: number[]) => void
  tensors?: number[][]
  metadata?: number[][]
  sections?: number[][]
  counts?: { tensors?: number; metadata?: number; sections?: number; reserved?: number }
  totals?: { stored?: number[]; dense?: number[]; entries?: number[] }
  extraHeader?: number[]
  headerCrc?: number[]
  body?: number[]
  fileBytes?: number
  headerBytes?: number
  footer?: number[]
}

/** A file whose checksums are right and everything else is as the caller says. */
export function build(parts: Parts): Uint8Array {
  const { tensors = [], metadata = [], sections = [], counts = {}, totals = {}, body = [] } = parts
  const header = [
    ...u32(counts.tensors ?? tensors.length),
    ...u32(counts.metadata ?? metadata.length),
    ...u32(counts.sections ?? sections.length),
    ...u32(counts.reserved ?? 0),
    ...(totals.stored ?? u64(0)),
    ...(totals.dense ?? u64(0)),
    ...(totals.entries ?? u64(0)),
    ...metadata.flat(),
    ...tensors.flat(),
    ...sections.flat(),
    ...(parts.extraHeader ?? []),
  ]
  header.push(...(parts.headerCrc ?? crc(header)))
  const fileBytes = parts.fileBytes ?? 64 + header.length + body.length + 16
  const preamble = [
    ...MAGIC,
    ...u16(1),
    ...u16(0),
    ...u32(parts.headerBytes ?? header.length),
    ...u64(fileBytes),
    ...new Array(36).fill(0),
  ]
  parts.preamble?.(preamble)
  preamble.push(...crc(preamble))
  return Uint8Array.from([...preamble, ...header, ...body, ...(parts.footer ?? [...u64(fileBytes), ...END])])
}

/** A section entry: type, owner, stored bytes and their checksum. */
export const section = (type: number, owner: number, payload: number[]): number[] => [
  type,
  ...varint(owner),
  ...varint(payload.length),
  ...crc(payload),
]

/** One tensor with one payload; `entry` is everything of its entry after the name. */
export function oneTensor(
  entry: number[],
  payload: number[],
  elements: number,
  entries: number,
  more: Parts = {},
): Uint8Array {
  return build({
    tensors: [[...name('w'), ...entry]],
    sections: [section(0x81, 0, payload)],
    totals: { stored: u64(payload.length), dense: u64(4 * elements), entries: u64(entries) },
    body: payload,
    ...more,
  })
}
