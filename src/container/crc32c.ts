import { CHUNK_BYTES } from './layout.js'

const POLYNOMIAL = 0x82f63b78
let tables: Uint32Array | undefined

/** Eight tables of 256: table t advances a byte by t more zero bytes (Kounavis and Berry 2005, "slicing by 8"). */
function slicingTables(): Uint32Array {
  if (tables) return tables
  const t = new Uint32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    t[byte] = crc >>> 0
  }
  for (let i = 256; i < 8 * 256; i++) t[i] = (t[i - 256]! >>> 8) ^ t[t[i - 256]! & 255]!
  tables = t
  return t
}

/** CRC-32C of `bytes` (DCZ-03), going on from `before`, the CRC of what came before them. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  const t = slicingTables()
  let crc = ~before
  let i = 0
  const last8 = bytes.length - 7
  for (; i < last8; i += 8) {
    const low = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
    crc =
      t[1792 + (low & 255)]! ^
      t[1536 + ((low >>> 8) & 255)]! ^
      t[1280 + ((low >>> 16) & 255)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^
      t[512 + bytes[i + 5]!]! ^
      t[256 + bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 255]!
  return ~crc >>> 0
}

/** The checksum of each chunk of CHUNK_BYTES. */
export function chunkChecksums(bytes: Uint8Array, crc: (bytes: Uint8Array) => number = crc32c): Uint32Array {
  const sums = new Uint32Array(Math.ceil(bytes.length / CHUNK_BYTES))
  for (let i = 0; i < sums.length; i++) sums[i] = crc(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))
  return sums
}
