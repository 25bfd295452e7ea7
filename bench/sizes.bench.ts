// Bytes of AlexNet and VGG-16 at the paper's densities (Han, Mao, Dally 2016, tables 4 and 5), layer by layer, against (1) the paper's own
// recipe on the same weights: k-means from a linear start (256 clusters conv, 32 fc), gaps of 4 bits (AlexNet) or 5 with filler zeros,
// Huffman codes for both, where tables cost the paper nothing; (2) xz -9e over the best fixed-width packing of our codes (support/packing.ts).
// Our side is one .dcz file a layer, header and all, shared by `ecsq` with the paper's squared error as its budget; and the whole net in one
// file, by budgets and by one lambda at the paper recipe's summed error. `limit` is Shannon's lower bound at each layer's squared error with
// the positions at their entropy: no quantizer of any kind takes less.
//   npm run bench -- sizes [--only layers,coders,lambda,files] [--net VGG-16] [--most WEIGHTS] [--files a.dcz:b.dcz]
// `layers`: against the paper's recipe (always done for the layers that another part needs); `coders`: xz, zstd and brotli beside them, which is
// nearly all of the time; `lambda`: the nets by one lambda; `files`: whole files (real nets, from `deepcompress demo`), each against the coders
// over the same tensors. `--most` leaves out larger layers, and with them the totals. Each part writes its own file of results.
// Weights are generalized Gaussian of shape 1.2 with 1e-5 of them at 10 to 40 standard deviations: real nets are not in this repository.
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openArchive } from '../src/archive'
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
import type { QuantizedTensor } from '../src/tensor'
import { bestPacking, otherBytes, xzBytes, xzRawBytes } from './support/packing'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: 'layers,coders,lambda,files' },
    net: { type: 'string' },
    most: { type: 'string' },
    files: { type: 'string', default: '' },
  },
})
const PARTS = flags.only.split(',')
const has = (part: string) => PARTS.includes(part)
/** Layers of more weights are left out, and then there are no totals. */
const MOST = Number(flags.most ?? Number.POSITIVE_INFINITY)

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

function fileBytes(tensors: EncodedTensor[]): number {
  const writer = new ArchiveWriter(fastCrc32c)
  for (const tensor of tensors) writer.add(tensor)
  let bytes = 0
  for (const chunk of writer.toChunks()) bytes += chunk.length
  return bytes
}

const FORCE = { force: true } as const

/** Differential entropy of the values that are kept, in bits: generalized Gaussian of shape 1.2, its density cut below the threshold. */
function keptEntropy(values: Float32Array, share: number): number {
  const scale = 0.01 / Math.sqrt(1.32934 / 1.12879) // Gamma(3 / 1.2), Gamma(1 / 1.2)
  let sum = 0
  let count = 0
  for (const value of values) {
    if (Math.abs(value) >= 0.09) continue // an outlier
    sum += (Math.abs(value) / scale) ** 1.2
    count++
  }
  return Math.log2(share) + Math.log2(2 * scale * 0.94066) + (sum / count) * Math.LOG2E
}

/** Bits of Shannon's lower bound for `kept` values of this entropy at this squared error, and of their positions. */
function limitBits(kept: number, share: number, entropy: number, squaredError: number): number {
  const places = (kept * (-share * Math.log2(share) - (1 - share) * Math.log2(1 - share))) / share
  return places + kept * (entropy - 0.5 * Math.log2((2 * Math.PI * Math.E * squaredError) / kept))
}

const share = (bytes: number, other: number) => `${((100 * bytes) / other).toFixed(1)} %`

function generalCoders(tensor: QuantizedTensor, elements: number) {
  const { name, parts, xz } = bestPacking(tensor, elements)
  const { zstd, brotli } = otherBytes(parts)
  return {
    parts,
    bytes: { packing: name, xzBytes: xz, xzRawBytes: xzRawBytes(parts), zstdBytes: zstd, brotliBytes: brotli },
    line: (ours: number) => `; ${share(ours, xz)} of xz (${xz}: ${name}), zstd ${zstd}, brotli ${brotli}`,
  }
}

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
  const limit = Math.ceil(limitBits(kept, kept / count, keptEntropy(compact, kept / count), paper.inertia) / 8)
  const coders = has('coders') ? generalCoders(tensor, count) : null
  const row = {
    net: net.name,
    name,
    weights: count,
    kept,
    clusters: used,
    layout: encoded.descriptor.layout,
    bytes,
    payloadBytes: encoded.payload.length,
    limitBytes: limit,
    paperBytes,
    ...coders?.bytes,
    error,
    paperError: paper.inertia,
    paperUsed: paper.used,
  }
  console.log(
    `${net.name} ${name}: ${bytes} bytes (${row.layout}), ${share(bytes, paperBytes)} of the paper's recipe (${paperBytes}), limit ${limit}` +
      `${coders ? coders.line(bytes) : ''}; ${used} clusters, error ${(error / paper.inertia).toFixed(4)} of its ${paper.used} clusters'`,
  )
  return { row, encoded, parts: coders?.parts ?? [], compact, tensor }
}

type Measured = ReturnType<typeof measureLayer>

/**
 * One lambda for all layers but `byBudget`, which stay as measured: the largest, to about 1 %, whose squared error over all layers is within
 * the budget. `larger`: the layers that take more bytes than the paper's recipe.
 */
function oneLambda(layers: Measured[], budget: number, byBudget: ReadonlySet<Measured>) {
  const kept = layers.reduce((sum, { compact }) => sum + compact.length, 0)
  const errorAt = (lambda: number) =>
    layers.reduce((sum, layer) => {
      if (byBudget.has(layer)) return sum + layer.row.error
      return sum + ecsqSync(layer.compact, { clusters: 255, lambda }, FORCE).squaredError
    }, 0)
  let [low, high] = [(0.5 * budget) / kept, (4 * budget) / kept]
  for (let i = 0; i < 8; i++) {
    const middle = Math.sqrt(low * high)
    if (errorAt(middle) <= budget) low = middle
    else high = middle
  }
  let error = 0
  const larger = new Set<Measured>()
  const shared: object[] = []
  const tensors = layers.map((layer) => {
    const { compact, tensor, row } = layer
    if (byBudget.has(layer)) {
      error += row.error
      return layer.encoded
    }
    const { centroids, codes, squaredError } = ecsqSync(compact, { clusters: 255, lambda: low }, FORCE)
    const encoded = encodeTensorSync({ ...tensor, codes, codebook: centroids })
    const bytes = fileBytes([encoded])
    if (bytes >= row.paperBytes) larger.add(layer)
    error += squaredError
    console.log(
      `  ${row.net} ${row.name} by one lambda: ${bytes} bytes, ${share(bytes, row.paperBytes)} of the paper's recipe, error ` +
        `${(squaredError / row.paperError).toFixed(3)} of its, ${centroids.length} clusters`,
    )
    shared.push({ name: row.name, bytes, error: squaredError, clusters: centroids.length })
    return encoded
  })
  return { lambda: low, error, tensors, larger, shared }
}

const rows: object[] = []
const totals: object[] = []
const files: object[] = []
const notReached: string[] = []

function measureNet(net: Net) {
  const biases: EncodedTensor[] = []
  const biasFloats: Uint8Array[] = []
  let weights = 0
  const layers = net.layers.flatMap((layer, i) => {
    if (layer[1].reduce((a, b) => a * b, 1) > MOST) return []
    const measured = measureLayer(net, layer, 100 * net.indexBits + i)
    const { row } = measured
    rows.push(row)
    const { bytes, paperBytes, xzBytes } = { xzBytes: undefined, ...row }
    if (bytes >= paperBytes) notReached.push(`${net.name} ${row.name}: ${bytes} bytes, the paper ${paperBytes}`)
    if (xzBytes !== undefined && bytes >= xzBytes)
      notReached.push(`${net.name} ${row.name}: ${bytes} bytes, xz ${xzBytes}`)
    const outputs = layer[1][0]!
    const bias = generate({ count: outputs, shape: 1.2, deviation: 0.01, outliers: 0, seed: 1000 + i })
    biases.push(encodeTensorSync({ name: `${layer[0]}.bias`, shape: [outputs], values: bias }))
    biasFloats.push(new Uint8Array(bias.buffer))
    weights += row.weights + outputs
    return [measured]
  })
  if (layers.length < net.layers.length) return
  const budget = layers.reduce((sum, { row }) => sum + row.paperError, 0)
  const bytes = fileBytes([...layers.map(({ encoded }) => encoded), ...biases])
  const xz = has('coders') ? xzBytes([...layers.flatMap(({ parts }) => parts), ...biasFloats]) : undefined
  const limit =
    layers.reduce((sum, { row }) => sum + row.limitBytes, 0) + biases.reduce((a, b) => a + b.payload.length, 0)
  const ratio = (size: number) => (4 * weights) / size
  const total = {
    net: net.name,
    weights,
    bytes,
    ratio: ratio(bytes),
    xzBytes: xz,
    limitRatio: ratio(limit),
    paperRatio: net.paperRatio,
  }
  totals.push(total)
  console.log(
    `${net.name} with biases, by budgets: ${bytes} bytes of ${4 * weights}, ${ratio(bytes).toFixed(2)}x (the paper says ${net.paperRatio}x; ` +
      `limit ${ratio(limit).toFixed(2)}x${xz === undefined ? '' : `; xz ${xz}`})`,
  )
  if (ratio(bytes) < net.paperRatio) notReached.push(`${net.name}: ${ratio(bytes).toFixed(2)}x by budgets a layer`)
  if (!has('lambda')) return
  const report = (how: string, { lambda, error, tensors, larger, shared }: ReturnType<typeof oneLambda>) => {
    const bytes = fileBytes([...tensors, ...biases])
    console.log(
      `${net.name} with biases, ${how}: ${bytes} bytes, ${ratio(bytes).toFixed(2)}x at ${(error / budget).toFixed(4)} of the summed error; ` +
        `${larger.size} layers larger than the paper's recipe`,
    )
    if (ratio(bytes) < net.paperRatio) notReached.push(`${net.name}: ${ratio(bytes).toFixed(2)}x, ${how}`)
    return { how, lambda, bytes, ratio: ratio(bytes), errorShare: error / budget, larger: larger.size, layers: shared }
  }
  const whole = oneLambda(layers, budget, new Set())
  const byLambda = [report('by one lambda', whole)]
  if (whole.larger.size > 0) {
    const names = [...whole.larger].map(({ row }) => row.name).join(', ')
    byLambda.push(report(`by one lambda, ${names} by budget`, oneLambda(layers, budget, whole.larger)))
  }
  Object.assign(total, { byLambda })
}

/** A whole file as it is, encoded again by today's encoder, and xz over the best packing of each of its tensors together. */
async function measureFile(path: string) {
  const archive = await openArchive(path)
  const tensors: EncodedTensor[] = []
  const parts: Uint8Array[] = []
  for (const [name, { shape, layout, elements }] of archive.tensors) {
    if (layout === 'raw' || layout === 'zero') {
      const values = await archive.decode(name)
      tensors.push(encodeTensorSync({ name, shape, values }))
      parts.push(new Uint8Array(values.buffer))
      continue
    }
    const tensor = await archive.decodeShared(name)
    tensors.push(encodeTensorSync(tensor))
    parts.push(...bestPacking(tensor, elements).parts)
  }
  const bytes = fileBytes(tensors)
  const payloadBytes = tensors.reduce((sum, { payload }) => sum + payload.length, 0)
  const [xz, others] = [xzBytes(parts), otherBytes(parts)]
  const name = path.split('/').at(-1)!
  files.push({
    name,
    givenBytes: archive.byteLength,
    bytes,
    payloadBytes,
    xzBytes: xz,
    xzRawBytes: xzRawBytes(parts),
    ...others,
  })
  console.log(
    `${name}: ${bytes} bytes (container ${bytes - payloadBytes}; the file has ${archive.byteLength}), ${share(bytes, xz)} of xz (${xz}), ` +
      `zstd ${others.zstd}, brotli ${others.brotli}`,
  )
  if (bytes >= xz) notReached.push(`${name}: ${bytes} bytes, xz ${xz}`)
  archive.dispose()
}

async function main() {
  const unknown = PARTS.filter((part) => !['layers', 'coders', 'lambda', 'files'].includes(part))
  const nets = NETS.filter(({ name }) => flags.net === undefined || name === flags.net)
  if (unknown.length > 0 || nets.length === 0) throw new Error(`no part ${unknown.join(', ')} or no net ${flags.net}`)
  if (has('files')) for (const path of flags.files.split(':')) if (path) await measureFile(path)
  if (PARTS.some((part) => part !== 'files')) for (const net of nets) measureNet(net)
  const day = new Date().toISOString().slice(0, 10)
  const part = [flags.only === 'layers,coders,lambda,files' ? [] : PARTS, flags.net ?? [], flags.most ?? []].flat()
  mkdirSync('bench/results', { recursive: true })
  writeFileSync(
    `bench/results/${[day, 'sizes', ...part].join('-')}.json`,
    `${JSON.stringify({ machine: machine(), nets: totals, layers: rows, files }, null, 1)}\n`,
  )
  for (const line of notReached) console.log(`NOT REACHED: ${line}`)
}

void main()
