import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { WeightTensor } from '../tensor.js'

/** What a general coder makes of the same weights, as float32 in file order. */
export interface OtherCoder {
  name: string
  denseBytes: number
  sharedBytes: number
}

const CODERS: readonly [name: string, encode: (bytes: Buffer) => Promise<Buffer>][] = [
  ['gzip -9', (bytes) => promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gzip)(bytes, { level: 9 })],
  ['zlib -9', (bytes) => promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.deflate)(bytes, { level: 9 })],
  ['brotli -11', (bytes) => promisify<Buffer, Buffer>(zlib.brotliCompress)(bytes)],
]

function floatBytes(tensors: readonly WeightTensor[]): Buffer {
  return Buffer.concat(tensors.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)))
}

/** gzip, zlib and brotli at their best, over the dense and over the pruned and shared weights. */
export async function compareCoders(
  dense: readonly WeightTensor[],
  shared: readonly WeightTensor[],
): Promise<OtherCoder[]> {
  const [denseFloats, sharedFloats] = [floatBytes(dense), floatBytes(shared)]
  return Promise.all(
    CODERS.map(async ([name, encode]) => ({
      name,
      denseBytes: (await encode(denseFloats)).length,
      sharedBytes: (await encode(sharedFloats)).length,
    })),
  )
}
