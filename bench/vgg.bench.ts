// The archive's doors against the memory's speed, two threads: a 4096x4096 layer at 4 % kept from the bytes of its file to dense
// floats, and the 16 layers of VGG-16 (138 million weights, kept and shared as in the paper's Table 5) to a file and back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readPass } from '../src/bench/timing'
import {
  type Archive,
  compress,
  encodeTensor,
  openArchive,
  type QuantizedTensor,
  type WeightTensor,
} from '../src/index'
import { measure } from './support/report'

const job = { threads: 2 }

/** Xorshift; numbers from 0 to 1. */
function uniform(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** A pruned tensor with shared weights whose magnitudes fall off as a layer's do. */
function shared(name: string, shape: readonly number[], density: number, clusters: number): WeightTensor {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1))
  const random = uniform(values.length)
  const codebook = Float32Array.from({ length: clusters }, (_, c) =>
    c < clusters / 2 ? c - clusters / 2 : c - clusters / 2 + 1,
  )
  for (let i = 0; i < values.length; i++) {
    if (random() < density) values[i] = codebook[Math.floor(((random() + random() + random()) / 3) * clusters)]!
  }
  return { name, shape, values }
}

const VGG: [string, number[], number, number][] = [
  ['conv1_1', [64, 3, 3, 3], 0.58, 256],
  ['conv1_2', [64, 64, 3, 3], 0.22, 256],
  ['conv2_1', [128, 64, 3, 3], 0.34, 256],
  ['conv2_2', [128, 128, 3, 3], 0.36, 256],
  ['conv3_1', [256, 128, 3, 3], 0.53, 256],
  ['conv3_2', [256, 256, 3, 3], 0.24, 256],
  ['conv3_3', [256, 256, 3, 3], 0.42, 256],
  ['conv4_1', [512, 256, 3, 3], 0.32, 256],
  ['conv4_2', [512, 512, 3, 3], 0.27, 256],
  ['conv4_3', [512, 512, 3, 3], 0.34, 256],
  ['conv5_1', [512, 512, 3, 3], 0.35, 256],
  ['conv5_2', [512, 512, 3, 3], 0.29, 256],
  ['conv5_3', [512, 512, 3, 3], 0.36, 256],
  ['fc6', [4096, 25088], 0.04, 32],
  ['fc7', [4096, 4096], 0.04, 32],
  ['fc8', [1000, 4096], 0.23, 32],
]

/** Convolutions share 256 values, fully connected layers 32: what the tensors hold already. */
const RECIPE = {
  rules: [
    { match: 'conv*', quantize: { clusters: 256 } },
    { match: 'fc*', quantize: { clusters: 32 } },
  ],
}

/** Mask, codes and codebook of a tensor that holds few distinct values. */
function split({ name, shape, values }: WeightTensor): QuantizedTensor {
  const codebook = Float32Array.from(new Set(values.filter((value) => value !== 0))).sort()
  const codeOf = new Map([...codebook].map((value, code) => [value, code]))
  const mask = new Uint32Array(Math.ceil(values.length / 32))
  const codes = new Uint8Array(values.length)
  let kept = 0
  for (let i = 0; i < values.length; i++) {
    if (values[i] === 0) continue
    mask[i >>> 5]! |= 1 << (i & 31)
    codes[kept++] = codeOf.get(values[i]!)!
  }
  return { name, shape, mask, kept, codes: codes.slice(0, kept), codebook }
}

async function decoded(bytes: Uint8Array | string, out?: Float32Array<ArrayBuffer>): Promise<Float32Array> {
  const archive = await openArchive(bytes)
  const values = await archive.decode('fc7', out ? { ...job, out } : job)
  archive.dispose()
  return values
}

/** What any fresh result costs in JavaScript: the array, and the kernel clearing its pages as they are first written. */
function touched(length: number): number {
  const values = new Float32Array(length)
  for (let i = 0; i < length; i += 1024) values[i] = 1
  return values.length
}

async function layer(): Promise<void> {
  const tensor = shared('fc7', [4096, 4096], 0.04, 32)
  const archive = await compress([tensor], RECIPE, job)
  const bytes = await archive.toBytes()
  const out = new Float32Array(tensor.values.length)
  if (Buffer.compare(Buffer.from((await decoded(bytes, out)).buffer), Buffer.from(tensor.values.buffer)) !== 0) {
    throw new Error('decoded to other values')
  }
  await measure(
    `4096x4096 at 4 %, 32 shared values, ${bytes.length} bytes of file, to dense`,
    [
      { name: 'writing 64 MiB of warm memory (fill, one thread)', run: () => out.fill(1) },
      { name: 'writing 64 MiB of a fresh Float32Array (fill)', run: () => new Float32Array(out.length).fill(1) },
      { name: 'a fresh Float32Array(16777216), one value of each 4 KiB page written', run: () => touched(out.length) },
      { name: 'openArchive + decode, fresh array', run: () => decoded(bytes) },
      { name: 'openArchive + decode, `out`', run: () => decoded(bytes, out) },
    ],
    15,
  )
}

const BYTES_DENSE = 4 * VGG.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0)

async function vgg(): Promise<void> {
  const tensors = VGG.map((row) => shared(...row))
  const passes = () => {
    for (const { values } of tensors) readPass(values, job.threads)
  }
  const file = await (await compress(tensors, RECIPE, job)).toBytes()
  const quantized = tensors.map(split)
  const dispose = (archive: Archive) => archive.dispose()
  await measure(
    `VGG-16 shapes, ${BYTES_DENSE / 4} weights to ${file.length} bytes of file`,
    [
      { name: 'reading 552 MB once', run: passes },
      { name: 'compress', run: async () => dispose(await compress(tensors, RECIPE, job)) },
      {
        name: 'encodeTensor of masks and codes',
        run: async () => {
          for (const tensor of quantized) await encodeTensor(tensor, {}, job)
        },
      },
    ],
    5,
  )
  quantized.length = 0
  const outs = tensors.map(({ values }) => values as Float32Array<ArrayBuffer>)
  await measure(
    'that file to all tensors dense',
    [
      {
        name: 'writing 552 MB of warm memory (fill, one thread)',
        run: () => {
          for (const out of outs) out.fill(1)
        },
      },
      {
        name: 'writing 552 MB of fresh arrays (fill)',
        run: () => outs.map((out) => new Float32Array(out.length).fill(1)).length,
      },
      {
        name: 'openArchive + decodeAll, fresh arrays',
        run: async () => (await (await openArchive(file)).decodeAll(job)).size,
      },
      {
        name: 'openArchive + decode each, `out`',
        run: async () => {
          const archive = await openArchive(file)
          for (const [i, [name]] of VGG.entries()) await archive.decode(name, { ...job, out: outs[i]! })
        },
      },
    ],
    7,
  )
  outs.length = tensors.length = 0
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vgg-'))
  try {
    const saved = path.join(folder, 'vgg.dcz')
    writeFileSync(saved, file)
    await measure('open and check the header of that file (goal 5 ms)', [
      { name: 'reading the file (readFileSync)', run: () => readFileSync(saved).length },
      { name: 'openArchive of its path', run: async () => dispose(await openArchive(saved)) },
      { name: 'openArchive of its bytes', run: async () => dispose(await openArchive(file)) },
    ])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function main() {
  await layer()
  await vgg()
}

main()
