// Huffman coding through the addon against node:zlib with the Huffman-only strategy, on symbols of a shared-weights layer: about
// 4.6 bits (32 centroids) and 6.7 bits (256) each. One thread.
import zlib from 'node:zlib'
import { huffmanDecodeSync, huffmanEncodeSync } from '../src/encode/huffman'
import { measure } from './support/report'

const COUNT = 1 << 22
const job = { threads: 1, force: true }
const deflate = { strategy: zlib.constants.Z_HUFFMAN_ONLY, chunkSize: 1 << 20 }

/** Bell-shaped symbols below `alphabet`: sums of four bytes of a counter-based generator. */
function bell(alphabet: number, width: number): Uint8Array {
  const out = new Uint8Array(COUNT)
  for (let i = 0; i < COUNT; i++) {
    let z = Math.imul(i ^ 0x9e3779b9, 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    z ^= z >>> 16
    const sum = (z & 255) + ((z >>> 8) & 255) + ((z >>> 16) & 255) + (z >>> 24)
    const centred = Math.round(alphabet / 2 + ((sum - 510) / 510) * width)
    out[i] = Math.max(0, Math.min(alphabet - 1, centred))
  }
  return out
}

async function main() {
  for (const [name, symbols] of [
    ['32 symbols', bell(32, 20)],
    ['256 symbols', bell(256, 85)],
  ] as const) {
    const ours = huffmanEncodeSync(symbols, job)
    const theirs = zlib.deflateRawSync(symbols, deflate)
    if (Buffer.compare(zlib.inflateRawSync(theirs), huffmanDecodeSync(ours, COUNT, job)) !== 0)
      throw new Error('differ')
    const bits = (bytes: Uint8Array) => `${((bytes.length * 8) / COUNT).toFixed(3)} bits`
    await measure(`${name}, ${COUNT} of them: ours ${bits(ours)}, node:zlib ${bits(theirs)}`, [
      { name: 'node:zlib Huffman-only, decode', run: () => zlib.inflateRawSync(theirs, { chunkSize: 1 << 22 }) },
      { name: 'huffmanDecodeSync', run: () => huffmanDecodeSync(ours, COUNT, job) },
      { name: 'node:zlib Huffman-only, encode', run: () => zlib.deflateRawSync(symbols, deflate) },
      { name: 'huffmanEncodeSync', run: () => huffmanEncodeSync(symbols, job) },
    ])
  }
}

main()
