// Bytes of AlexNet and VGG-16 at the paper's densities (Han, Mao, Dally 2016, tables 4 and 5), layer by layer, against (1) the paper's own
// recipe on the same weights: k-means from a linear start (256 clusters conv, 32 fc), gaps of 4 bits (AlexNet) or 5 with filler zeros,
// Huffman codes for both, where tables cost the paper nothing; (2) xz -9e over the smaller fixed-width packing of our codes (bit mask or
// gaps). Our side is one .dcz file a layer, header and all, shared by `ecsq` with the paper's squared error as its budget.
// Weights are generalized Gaussian of shape 1.2 with 1e-5 of them at 10 to 40 standard deviations: real nets are not in this repository.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { machine } from '../src/bench/timing'
import { generate } from '../src/bench/workload'
import { ArchiveWriter } from '../src/container/writer'
import { fastCrc32c } from '../src/decode/decode'
import { type EncodedTensor, encodeTensorSync } from '../src/encode/encode'
import { encodeRelativeIndexSync } from '../src/encode/relative-index'
import { pruneSync } from '../src/prune/prune'
import { assignSync } from '../src/quantize/assign'
import { ecsqSync } from '../src/quantize/ecsq'
import { kmeans1dSync } from '../src/quantize/kmeans'

type Layer = [name: string, shape: number[], density: number]
interface Net {
  name: string
  indexBits: number
  paperRatio: number
  layers: Layer[]
}

const NETS: Net[] = [
  {
    name: 'AlexNet',
    indexBits: 4,
    paperRatio: 35,
    layers: [
      ['conv1', [96, 3, 11, 11], 0.84],
      ['conv2', [256, 48, 5, 5], 0.38],
      ['conv3', [384, 256, 3, 3], 0.35],
      ['conv4', [384, 192, 3, 3], 0.37],
      ['conv5', [256, 192, 3, 3], 0.37],
      ['fc6', [4096, 9216], 0.09],
      ['fc7', [4096, 4096], 0.09],
      ['fc8', [1000, 4096], 0.25],
    ],
  },
  {
    name: 'VGG-16',
    indexBits: 5,
    paperRatio: 49,
    layers: [
      ['conv1_1', [64, 3, 3, 3], 0.58],
      ['conv1_2', [64, 64, 3, 3], 0.22],
      ['conv2_1', [128, 64, 3, 3], 0.34],
      ['conv2_2', [128, 128, 3, 3], 0.36],
      ['conv3_1', [256, 128, 3, 3], 0.53],
      ['conv3_2', [256, 256, 3, 3], 0.24],
      ['conv3_3', [256, 256, 3, 3], 0.42],
      ['conv4_1', [512, 256, 3, 3], 0.32],
      ['conv4_2', [512, 512, 3, 3], 0.27],
      ['conv4_3', [512, 512, 3, 3], 0.34],
      ['conv5_1', [512, 512, 3, 3], 0.35],
      ['conv5_2', [512, 512, 3, 3], 0.29],
      ['conv5_3', [512, 512, 3, 3], 0.36],
      ['fc6', [4096, 25088], 0.04],
      ['fc7', [4096, 4096], 0.04],
      ['fc8', [1000, 4096], 0.23],
    ],
  },
]

/** Bits of a Huffman code of these symbols, without its table: the sum of the weights of the inner nodes. */
function huffmanBits(symbols: Uint8Array): number {
  const counts = new Float64Array(256)
  for (const symbol of symbols) counts[symbol]!++
  const heap = [...counts].filter((count) => count > 0)
  if (heap.length === 1) return symbols.length
  let bits = 0
  while (heap.length > 1) {
    heap.sort((a, b) => b - a)
    const joined = heap.pop()! + heap.pop()!
    bits += joined
    heap.push(joined)
  }
  return bits
}

/** Values of `bits` bits, one after the other. */
function pack(values: Uint8Array, bits: number): Uint8Array {
  const out = new Uint8Array(Math.ceil((values.length * bits) / 8))
  let held = 0
  let have = 0
  let at = 0
  for (const value of values) {
    held |= value << have
    for (have += bits; have >= 8; have -= 8) {
      out[at++] = held
      held >>>= 8
    }
  }
  if (have > 0) out[at] = held
  return out
}

function xzBytes(...parts: Uint8Array[]): number {
  return execFileSync('xz', ['-9e', '-c'], { input: Buffer.concat(parts), maxBuffer: 1 << 30 }).length
}

function fileBytes(tensors: EncodedTensor[]): number {
  const writer = new ArchiveWriter(fastCrc32c)
  for (const tensor of tensors) writer.add(tensor)
  let bytes = 0
  for (const chunk of writer.toChunks()) bytes += chunk.length
  return bytes
}

const FORCE = { force: true } as const

function measureLayer(net: Net, [name, shape, density]: Layer, seed: number) {
  const count = shape.reduce((a, b) => a * b, 1)
  const values = generate({ count, shape: 1.2, deviation: 0.01, outliers: 1e-5, seed })
  const { mask, kept } = pruneSync(values, { density }, FORCE)
  const compact = new Float32Array(kept)
  for (let i = 0, at = 0; i < count; i++) if ((mask[i >>> 5]! >>> (i & 31)) & 1) compact[at++] = values[i]!

  const clusters = name.startsWith('conv') ? 256 : 32
  const paper = kmeans1dSync(compact, { clusters, algorithm: 'lloyd', init: 'linear' }, FORCE)
  const paperCodes = assignSync(compact, paper.centroids, FORCE) as Uint8Array
  const index = encodeRelativeIndexSync(
    { mask, length: count, codes: paperCodes.map((code) => Math.min(code, 254)) },
    { indexBits: net.indexBits },
    FORCE,
  )
  // The filler's code is one more symbol; where all 256 clusters are used, the two highest count as one here, to the paper's advantage.
  const paperBytes = Math.ceil((huffmanBits(index.entries) + huffmanBits(index.gaps)) / 8) + 4 * clusters

  const best = ecsqSync(compact, { clusters: 255, squaredError: paper.inertia }, FORCE)
  const used = best.centroids.length
  const { codes } = best
  let error = 0
  for (let i = 0; i < kept; i++) error += (compact[i]! - best.centroids[codes[i]!]!) ** 2
  if (error > paper.inertia) throw new Error(`${name}: more error than the paper's`)
  const tensor = { name, shape, mask, kept, codes, codebook: best.centroids }
  const encoded = encodeTensorSync(tensor)
  const bytes = fileBytes([encoded])

  const codeBits = Math.max(1, Math.ceil(Math.log2(used)))
  const packed = pack(codes, codeBits)
  const gaps = encodeRelativeIndexSync({ mask, length: count, codes }, { indexBits: net.indexBits }, FORCE)
  const codebook = new Uint8Array(best.centroids.buffer, best.centroids.byteOffset, 4 * used)
  const xz = Math.min(
    xzBytes(packed, new Uint8Array(mask.buffer, mask.byteOffset, mask.byteLength), codebook),
    xzBytes(pack(gaps.entries, Math.ceil(Math.log2(used + 1))), pack(gaps.gaps, net.indexBits), codebook),
  )
  const row = {
    net: net.name,
    name,
    weights: count,
    kept,
    clusters: used,
    bytes,
    paperBytes,
    xzBytes: xz,
    error,
    paperError: paper.inertia,
    paperUsed: paper.used,
  }
  const share = (other: number) => `${((100 * bytes) / other).toFixed(1)} %`
  console.log(
    `${net.name} ${name}: ${bytes} bytes, ${share(paperBytes)} of the paper's recipe (${paperBytes}), ${share(xz)} of xz (${xz}); ` +
      `${used} clusters, error ${(error / paper.inertia).toFixed(4)} of its ${paper.used} clusters'`,
  )
  return { row, encoded }
}

const rows: object[] = []
const totals: object[] = []
let failed = false
for (const net of NETS) {
  const tensors: EncodedTensor[] = []
  let weights = 0
  net.layers.forEach((layer, i) => {
    const { row, encoded } = measureLayer(net, layer, 100 * net.indexBits + i)
    rows.push(row)
    if (row.bytes >= row.paperBytes || row.bytes >= row.xzBytes) failed = true
    const outputs = layer[1][0]!
    const bias = generate({ count: outputs, shape: 1.2, deviation: 0.01, outliers: 0, seed: 1000 + i })
    tensors.push(encoded, encodeTensorSync({ name: `${layer[0]}.bias`, shape: [outputs], values: bias }))
    weights += row.weights + outputs
  })
  const bytes = fileBytes(tensors)
  const ratio = (4 * weights) / bytes
  totals.push({ net: net.name, weights, bytes, ratio, paperRatio: net.paperRatio })
  console.log(
    `${net.name} with biases: ${bytes} bytes of ${4 * weights}, ${ratio.toFixed(2)}x (the paper says ${net.paperRatio}x)`,
  )
  if (ratio < net.paperRatio) failed = true
}
const day = new Date().toISOString().slice(0, 10)
mkdirSync('bench/results', { recursive: true })
writeFileSync(
  `bench/results/${day}-sizes.json`,
  `${JSON.stringify({ machine: machine(), nets: totals, layers: rows }, null, 1)}\n`,
)
if (failed) console.log('NOT REACHED: a layer or a net above is not smaller than it has to be')
