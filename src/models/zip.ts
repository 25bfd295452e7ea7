import { crc32, createInflateRaw } from 'node:zlib'
import { DeepCompressionError, printable } from '../errors.js'
import type { ByteSource } from './source.js'

/** The part of ZIP (APPNOTE 6.3) that `numpy.savez` and `savez_compressed` write: stored or deflated files, ZIP64 sizes. */

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR64 = 0x07064b50
const END_BYTES = 22
const COMMENT_MOST = 65535
const DIRECTORY_BYTES_MOST = 64 << 20
/** Deflate cannot do better than 1032 to 1. */
const RATIO_MOST = 1032
const INPUT_BYTES = 1 << 20

export interface ZipEntry {
  name: string
  method: 0 | 8
  crc: number
  packedBytes: number
  bytes: number
  localAt: number
}

function refuse(status: 'STRUCTURE' | 'TRUNCATED' | 'FEATURE' | 'CHECKSUM' | 'LIMIT', what: string, section = 'zip') {
  return new DeepCompressionError(status, `zip: ${what}`, { section })
}

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function size64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('STRUCTURE', 'a size is beyond 2^53')
  return Number(value)
}

async function findDirectory(source: ByteSource): Promise<{ count: number; bytes: number; at: number }> {
  if (source.length < END_BYTES) throw refuse('TRUNCATED', `a file of ${source.length} bytes has no directory`)
  const tailBytes = Math.min(source.length, END_BYTES + COMMENT_MOST)
  const tailAt = source.length - tailBytes
  const tail = dataView(await source.read(tailAt, tailBytes))
  let end = tailBytes - END_BYTES
  while (
    end >= 0 &&
    !(tail.getUint32(end, true) === END && end + END_BYTES + tail.getUint16(end + 20, true) === tailBytes)
  )
    end--
  if (end < 0) throw refuse('TRUNCATED', 'the end of the directory was not found')
  if (tail.getUint16(end + 4, true) !== 0 || tail.getUint16(end + 6, true) !== 0)
    throw refuse('FEATURE', 'it has several disks')
  let count = tail.getUint16(end + 10, true)
  let bytes = tail.getUint32(end + 12, true)
  let at = tail.getUint32(end + 16, true)
  if (count === 0xffff || bytes === 0xffffffff || at === 0xffffffff) {
    const locatorAt = tailAt + end - 20
    if (locatorAt < 0) throw refuse('STRUCTURE', 'the ZIP64 locator is missing')
    const locator = dataView(await source.read(locatorAt, 20))
    if (locator.getUint32(0, true) !== LOCATOR64) throw refuse('STRUCTURE', 'the ZIP64 locator is missing')
    const end64At = size64(locator, 8)
    if (end64At + 56 > locatorAt) throw refuse('STRUCTURE', 'the ZIP64 directory end lies outside the file')
    const end64 = dataView(await source.read(end64At, 56))
    if (end64.getUint32(0, true) !== END64) throw refuse('STRUCTURE', 'the ZIP64 directory end is missing')
    count = size64(end64, 32)
    bytes = size64(end64, 40)
    at = size64(end64, 48)
  }
  if (at + bytes > source.length) throw refuse('STRUCTURE', 'the directory lies outside the file')
  if (bytes > DIRECTORY_BYTES_MOST) throw refuse('LIMIT', `a directory of ${bytes} bytes`)
  if (count * 46 > bytes) throw refuse('STRUCTURE', `a directory of ${bytes} bytes cannot hold ${count} files`)
  return { count, bytes, at }
}

/** Sizes that did not fit in 32 bits, from the ZIP64 extra field, in the order the format gives them. */
function wideSizes(extra: DataView, sizes: { bytes: number; packedBytes: number; localAt: number }): void {
  if (sizes.bytes !== 0xffffffff && sizes.packedBytes !== 0xffffffff && sizes.localAt !== 0xffffffff) return
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const end = at + 4 + extra.getUint16(at + 2, true)
    if (end > extra.byteLength) break
    if (extra.getUint16(at, true) === 1) {
      let field = at + 4
      for (const key of ['bytes', 'packedBytes', 'localAt'] as const) {
        if (sizes[key] !== 0xffffffff) continue
        if (field + 8 > end) throw refuse('STRUCTURE', 'a ZIP64 field is too short')
        sizes[key] = size64(extra, field)
        field += 8
      }
      return
    }
    at = end
  }
}

/** The files of an archive, in the directory's order. */
export async function readZipDirectory(source: ByteSource): Promise<ZipEntry[]> {
  const directory = await findDirectory(source)
  const bytes = await source.read(directory.at, directory.bytes)
  const view = dataView(bytes)
  const entries: ZipEntry[] = []
  let at = 0
  for (let i = 0; i < directory.count; i++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== CENTRAL)
      throw refuse('STRUCTURE', `file ${i} of the directory is damaged`)
    const flags = view.getUint16(at + 8, true)
    const method = view.getUint16(at + 10, true)
    const nameBytes = view.getUint16(at + 28, true)
    const extraBytes = view.getUint16(at + 30, true)
    const next = at + 46 + nameBytes + extraBytes + view.getUint16(at + 32, true)
    if (next > bytes.length) throw refuse('STRUCTURE', `file ${i} runs past the directory`)
    const name = Buffer.from(bytes.subarray(at + 46, at + 46 + nameBytes)).toString('utf8')
    const sizes = {
      bytes: view.getUint32(at + 24, true),
      packedBytes: view.getUint32(at + 20, true),
      localAt: view.getUint32(at + 42, true),
    }
    wideSizes(dataView(bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes)), sizes)
    const at16 = view.getUint32(at + 16, true)
    if (flags & 1) throw refuse('FEATURE', `${printable(name)} is encrypted`, name)
    if (method !== 0 && method !== 8) throw refuse('FEATURE', `${printable(name)} is packed by method ${method}`, name)
    if (method === 0 && sizes.bytes !== sizes.packedBytes)
      throw refuse('STRUCTURE', `${printable(name)} has two sizes`, name)
    if (sizes.bytes > sizes.packedBytes * RATIO_MOST) {
      throw refuse(
        'STRUCTURE',
        `${printable(name)} says ${sizes.bytes} bytes from ${sizes.packedBytes}, more than deflate can do`,
        name,
      )
    }
    if (sizes.localAt + 30 + sizes.packedBytes > directory.at)
      throw refuse('STRUCTURE', `${printable(name)} lies outside the archive`, name)
    entries.push({ name, method, crc: at16, ...sizes })
    at = next
  }
  if (at !== bytes.length) throw refuse('STRUCTURE', 'the directory has bytes left over')
  return entries
}

async function dataOffset(source: ByteSource, entry: ZipEntry): Promise<number> {
  const view = dataView(await source.read(entry.localAt, 30))
  if (view.getUint32(0, true) !== LOCAL)
    throw refuse('STRUCTURE', `${printable(entry.name)} has no local header`, entry.name)
  const at = entry.localAt + 30 + view.getUint16(26, true) + view.getUint16(28, true)
  if (at + entry.packedBytes > source.length)
    throw refuse('STRUCTURE', `${printable(entry.name)} runs past the file`, entry.name)
  return at
}

/** Deflated bytes, unpacked into exactly `entry.bytes`; more or fewer is damage. */
async function inflate(
  source: ByteSource,
  entry: ZipEntry,
  at: number,
  wanted: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(wanted)
  let got = 0
  async function* packed() {
    for (let done = 0; done < entry.packedBytes; done += INPUT_BYTES) {
      yield Buffer.from(await source.read(at + done, Math.min(INPUT_BYTES, entry.packedBytes - done)))
    }
  }
  const { Readable } = await import('node:stream')
  const unpacker = createInflateRaw({ chunkSize: 1 << 18 })
  const input = Readable.from(packed())
  input.on('error', (error) => unpacker.destroy(error))
  try {
    for await (const chunk of input.pipe(unpacker) as AsyncIterable<Buffer>) {
      if (got + chunk.length > wanted) {
        if (wanted < entry.bytes) {
          out.set(chunk.subarray(0, wanted - got), got) // only the beginning was asked for
          return out
        }
        throw refuse('STRUCTURE', `${printable(entry.name)} unpacks to more than its ${entry.bytes} bytes`, entry.name)
      }
      out.set(chunk, got)
      got += chunk.length
    }
  } catch (error) {
    if (error instanceof DeepCompressionError) throw error
    throw new DeepCompressionError(
      'BITSTREAM',
      `zip: ${printable(entry.name)} does not unpack: ${(error as Error).message}`,
      {
        section: entry.name,
        cause: error,
      },
    )
  } finally {
    input.destroy()
    unpacker.destroy()
  }
  if (got < wanted)
    throw refuse('STRUCTURE', `${printable(entry.name)} unpacks to ${got} of its ${entry.bytes} bytes`, entry.name)
  return out
}

/** The first bytes of a file, unchecked: for its own header. */
export async function readZipBeginning(
  source: ByteSource,
  entry: ZipEntry,
  bytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const at = await dataOffset(source, entry)
  const wanted = Math.min(bytes, entry.bytes)
  return entry.method === 0 ? source.read(at, wanted) : inflate(source, entry, at, wanted)
}

/** A whole file, its CRC checked. */
export async function readZipFile(source: ByteSource, entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> {
  const at = await dataOffset(source, entry)
  const bytes = entry.method === 0 ? await source.read(at, entry.bytes) : await inflate(source, entry, at, entry.bytes)
  if (crc32(bytes) !== entry.crc)
    throw refuse('CHECKSUM', `${printable(entry.name)} does not match its CRC`, entry.name)
  return bytes
}

// ---- writing ------------------------------------------------------------------------------------------------------------------

/** 1980-01-01, 00:00: the same bytes whenever they are written. */
const DOS_DATE = 0x21

/** Writes stored files. ZIP64 fields where a number needs them, so that small archives are read by everything. */
export class ZipWriter {
  private at = 0
  private readonly directory: Buffer[] = [];

  /** A file, given in parts. */
  *file(name: string, parts: readonly Uint8Array[]): Generator<Uint8Array> {
    const nameBytes = Buffer.from(name)
    let bytes = 0
    let crc = 0
    for (const part of parts) {
      bytes += part.length
      if (part.length > 0) crc = crc32(part, crc) // of nothing it would be 0 (node:zlib passes a null pointer on)
    }
    const wide = bytes >= 0xffffffff || this.at >= 0xffffffff
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(wide ? 45 : 20, 0)
    fields.writeUInt16LE(0x0800, 2) // the name is UTF-8
    fields.writeUInt16LE(DOS_DATE, 8)
    fields.writeUInt32LE(crc, 10)
    fields.writeUInt32LE(wide ? 0xffffffff : bytes, 14)
    fields.writeUInt32LE(wide ? 0xffffffff : bytes, 18)
    fields.writeUInt16LE(nameBytes.length, 22)
    fields.writeUInt16LE(wide ? 20 : 0, 24)
    const extra = Buffer.alloc(wide ? 28 : 0)
    if (wide) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(16, 2)
      extra.writeBigUInt64LE(BigInt(bytes), 4)
      extra.writeBigUInt64LE(BigInt(bytes), 12)
      extra.writeBigUInt64LE(BigInt(this.at), 20)
    }
    const signature = Buffer.alloc(4)
    signature.writeUInt32LE(LOCAL)
    yield Buffer.concat([signature, fields, nameBytes, extra.subarray(0, wide ? 20 : 0)])
    yield* parts

    const central = Buffer.alloc(46)
    central.writeUInt32LE(CENTRAL, 0)
    central.writeUInt16LE(wide ? 45 : 20, 4)
    fields.copy(central, 6)
    central.writeUInt32LE(wide ? 0xffffffff : this.at, 42)
    if (wide) {
      central.writeUInt16LE(28, 30)
      extra.writeUInt16LE(24, 2)
    }
    this.directory.push(Buffer.concat([central, nameBytes, extra]))
    this.at += 30 + nameBytes.length + (wide ? 20 : 0) + bytes
  }

  /** The directory. */
  *end(): Generator<Uint8Array> {
    const directory = Buffer.concat(this.directory)
    const count = this.directory.length
    yield directory
    const wide = this.at >= 0xffffffff || count >= 0xffff
    if (wide) {
      const end64 = Buffer.alloc(76)
      end64.writeUInt32LE(END64, 0)
      end64.writeBigUInt64LE(44n, 4)
      end64.writeUInt16LE(45, 12)
      end64.writeUInt16LE(45, 14)
      end64.writeBigUInt64LE(BigInt(count), 24)
      end64.writeBigUInt64LE(BigInt(count), 32)
      end64.writeBigUInt64LE(BigInt(directory.length), 40)
      end64.writeBigUInt64LE(BigInt(this.at), 48)
      end64.writeUInt32LE(LOCATOR64, 56)
      end64.writeBigUInt64LE(BigInt(this.at + directory.length), 64)
      end64.writeUInt32LE(1, 72)
      yield end64
    }
    const end = Buffer.alloc(END_BYTES)
    end.writeUInt32LE(END, 0)
    end.writeUInt16LE(wide ? 0xffff : count, 8)
    end.writeUInt16LE(wide ? 0xffff : count, 10)
    end.writeUInt32LE(directory.length, 12)
    end.writeUInt32LE(wide ? 0xffffffff : this.at, 16)
    yield end
  }
}
