import { types } from 'node:util'
import { DeepCompressionError, printable } from '../errors.js'
import { locatedBinding } from '../native/binding.js'
import { resolveJob, runNow } from '../native/job.js'
import { elementCount, type QuantizedTensor } from '../tensor.js'
import type { Tensor, Tensor1D, TensorFlow, Variable } from './tensorflow.js'

/** How the gradients of a cluster's weights become the gradient of its centroid; `sum` is the paper's (section 3.3). */
export type ClusterReduction = 'sum' | 'mean'

/** One tensor of shared weights: which weight belongs to which centroid, on the side where that is cheapest to use. */
export interface Clusters {
  /** Gradient of the codebook, shape [clusters], from the gradient of the weights. */
  reduce(weightGradient: Tensor): Tensor1D
  /** Writes `codebook[code]` into every kept weight of the variable and +0 into the pruned ones. */
  write(codebook: Variable, variable: Variable): void
  dispose(): void
}

/** The codes of one tensor after checking them against its shape: kept positions (null: all are kept) and a code for each. */
export interface Assignment {
  readonly shape: readonly number[]
  readonly count: number
  readonly clusters: number
  /** The kept positions twice: a bit a weight, and as numbers, ascending. */
  readonly mask: Uint32Array<ArrayBuffer> | null
  readonly positions: Uint32Array<ArrayBuffer> | null
  readonly codes: Uint8Array<ArrayBuffer>
}

export function readAssignment(tensor: QuantizedTensor, shape: readonly number[]): Assignment {
  const { name, mask, codes, codebook } = tensor
  const count = elementCount(shape)
  const fail = (problem: string): never => {
    throw new DeepCompressionError('ARG', `shared weights of ${printable(name)}: ${problem}`, { section: name })
  }
  if (tensor.shape.join() !== shape.join()) fail(`shape [${tensor.shape}] does not fit the variable's [${shape}]`)
  if (mask && mask.length !== Math.ceil(count / 32))
    fail(`the mask has ${mask.length} words, not ${Math.ceil(count / 32)}`)
  const positions = mask ? keptPositions(mask, count) : null
  const kept = positions?.length ?? count
  if (codes.length !== kept) fail(`there are ${codes.length} codes for ${kept} kept weights`)
  for (let i = 0; i < kept; i++) if (codes[i]! >= codebook.length) fail(`code ${codes[i]} is not in the codebook`)
  return { shape, count, clusters: codebook.length, mask: mask?.slice() ?? null, positions, codes: codes.slice() }
}

/**
 * The assignment after a choice for each of `positions` (null: every weight): a code, or `clusters` for a weight that is pruned now.
 */
export function keepChosen(
  { shape, count, clusters }: Assignment,
  positions: Uint32Array<ArrayBuffer> | null,
  choices: Uint16Array,
): Assignment {
  const mask = new Uint32Array(Math.ceil(count / 32))
  const kept = new Uint32Array(choices.length)
  const codes = new Uint8Array(choices.length)
  let n = 0
  for (let i = 0; i < choices.length; i++) {
    if (choices[i] === clusters) continue
    const position = positions ? positions[i]! : i
    mask[position >>> 5]! |= 1 << (position & 31)
    kept[n] = position
    codes[n++] = choices[i]!
  }
  if (n === count) return { shape, count, clusters, mask: null, positions: null, codes }
  return { shape, count, clusters, mask, positions: kept.slice(0, n), codes: codes.slice(0, n) }
}

/** Positions of the one bits, ascending. */
function keptPositions(mask: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const positions = new Uint32Array(count)
  let kept = 0
  for (let i = 0; i < count; i++) if ((mask[i >>> 5]! >>> (i & 31)) & 1) positions[kept++] = i
  return positions.slice(0, kept)
}

/** Members of each cluster; 1 for an empty one, so that its mean is 0 and not NaN. */
function memberCounts(assignment: Assignment): Float32Array<ArrayBuffer> {
  const counts = new Float32Array(assignment.clusters)
  for (const code of assignment.codes) counts[code]!++
  return counts.map((members) => Math.max(1, members))
}

/** Sums are kept this many times over: neighbours often share a code, and one sum would wait for its own last addition. */
const LANES = 4
/** Codes that are summed on their own before they are added to the others. */
const BLOCK = 65536

/** Sum of the gradients of each cluster, in f64; the additions and their order are those of native/quantize/sum_by_code.h. */
export function sumByCode(gradient: ArrayLike<number>, assignment: Assignment): Float64Array<ArrayBuffer> {
  const { codes, clusters } = assignment
  const total = new Float64Array(clusters)
  for (let from = 0; from < codes.length; from += BLOCK) {
    const sums = sumBlock(gradient, assignment, from, Math.min(codes.length, from + BLOCK))
    for (let c = 0; c < clusters; c++) {
      total[c]! += sums[c]! + sums[clusters + c]! + (sums[2 * clusters + c]! + sums[3 * clusters + c]!)
    }
  }
  return total
}

function sumBlock(gradient: ArrayLike<number>, assignment: Assignment, from: number, to: number): Float64Array {
  const { codes, positions, clusters } = assignment
  const sums = new Float64Array(LANES * clusters)
  const [second, third, fourth] = [clusters, 2 * clusters, 3 * clusters]
  const whole = to - ((to - from) % LANES)
  if (positions) {
    for (let i = from; i < whole; i += LANES) {
      sums[codes[i]!]! += gradient[positions[i]!]!
      sums[second + codes[i + 1]!]! += gradient[positions[i + 1]!]!
      sums[third + codes[i + 2]!]! += gradient[positions[i + 2]!]!
      sums[fourth + codes[i + 3]!]! += gradient[positions[i + 3]!]!
    }
    for (let i = whole; i < to; i++) sums[codes[i]!]! += gradient[positions[i]!]!
  } else {
    for (let i = from; i < whole; i += LANES) {
      sums[codes[i]!]! += gradient[i]!
      sums[second + codes[i + 1]!]! += gradient[i + 1]!
      sums[third + codes[i + 2]!]! += gradient[i + 2]!
      sums[fourth + codes[i + 3]!]! += gradient[i + 3]!
    }
    for (let i = whole; i < to; i++) sums[codes[i]!]! += gradient[i]!
  }
  return sums
}

/** `codebook[code]` at every kept position and +0 at the others, in a new array. */
export function spreadCodes(codebook: Float32Array, assignment: Assignment): Float32Array<ArrayBuffer> {
  const { codes, positions, count } = assignment
  const values = new Float32Array(count)
  if (positions) for (let i = 0; i < codes.length; i++) values[positions[i]!] = codebook[codes[i]!]!
  else for (let i = 0; i < codes.length; i++) values[i] = codebook[codes[i]!]!
  return values
}

/** The two passes over the weights that a step takes. */
interface Passes {
  sumByCode(gradient: ArrayLike<number>, assignment: Assignment): Float64Array<ArrayBuffer>
  spreadCodes(codebook: Float32Array, assignment: Assignment): Float32Array<ArrayBuffer>
}

/** By the addon, to the same bits; null where there is none. Its arrays must be floats of this process that nobody shares. */
export function nativePasses(): Passes | null {
  const addon = locatedBinding().binding
  if (!addon) return null
  const job = resolveJob()
  const own = (values: unknown): values is Float32Array =>
    types.isFloat32Array(values) && !types.isSharedArrayBuffer(values.buffer)
  return {
    sumByCode(gradient, assignment) {
      const { positions, codes, clusters } = assignment
      if (!own(gradient) || clusters === 0) return sumByCode(gradient, assignment)
      const sums = new Float64Array(clusters)
      runNow({ stage: 'retrain', tensor: '', total: codes.length }, job, (threads, control, done) =>
        addon.sumByCode(gradient, positions, codes, sums, threads, control, done),
      )
      return sums
    },
    spreadCodes(codebook, assignment) {
      const { mask, codes, count, clusters } = assignment
      if (!own(codebook) || clusters === 0) return spreadCodes(codebook, assignment)
      const values = new Float32Array(count)
      runNow({ stage: 'retrain', tensor: '', total: count }, job, (threads, control, done) =>
        addon.expand(codes, mask, codebook, values, threads, control, done),
      )
      return values
    },
  }
}

/**
 * Clusters in plain arrays: for backends whose tensors live in this process (tensorflow, wasm, cpu), where reading one is a
 * memory copy. The cost does not depend on the number of clusters.
 */
class HostClusters implements Clusters {
  readonly #tf: TensorFlow
  readonly #assignment: Assignment
  readonly #divisors: Float32Array | null
  readonly #passes = nativePasses() ?? { sumByCode, spreadCodes }

  constructor(tf: TensorFlow, assignment: Assignment, reduction: ClusterReduction) {
    this.#tf = tf
    this.#assignment = assignment
    this.#divisors = reduction === 'mean' ? memberCounts(assignment) : null
  }

  reduce(weightGradient: Tensor): Tensor1D {
    const sums = this.#passes.sumByCode(weightGradient.dataSync(), this.#assignment)
    if (this.#divisors) for (let c = 0; c < sums.length; c++) sums[c]! /= this.#divisors[c]!
    return this.#tf.tensor1d(Float32Array.from(sums))
  }

  write(codebook: Variable, variable: Variable): void {
    const centroids = codebook.dataSync() as Float32Array
    // A new array each time: tensorflow and cpu keep the one they are given, also for clones that outlive the step.
    const values = this.#passes.spreadCodes(centroids, this.#assignment)
    const tensor = this.#tf.tensor(values, variable.shape, 'float32')
    variable.assign(tensor)
    tensor.dispose()
  }

  dispose(): void {}
}

/** Clusters as tensors: for backends whose memory is elsewhere (webgl, webgpu). Segment 0 is the pruned weights. */
class DeviceClusters implements Clusters {
  readonly #tf: TensorFlow
  readonly #segments: Tensor1D
  readonly #scale: Tensor1D
  readonly #pruned: Tensor1D
  readonly #clusters: number

  constructor(tf: TensorFlow, assignment: Assignment, reduction: ClusterReduction) {
    const { positions, codes, clusters, count } = assignment
    const segments = new Int32Array(count)
    for (let i = 0; i < codes.length; i++) segments[positions ? positions[i]! : i] = codes[i]! + 1
    const members = reduction === 'mean' ? memberCounts(assignment) : new Float32Array(clusters).fill(1)
    this.#tf = tf
    this.#clusters = clusters
    this.#segments = tf.keep(tf.tensor1d(segments, 'int32'))
    this.#scale = tf.keep(tf.tensor1d(members.map((value) => 1 / value)))
    this.#pruned = tf.keep(tf.tensor1d([0]))
  }

  reduce(weightGradient: Tensor): Tensor1D {
    const flat = this.#tf.reshape(weightGradient, [-1])
    const sums = this.#tf.slice(this.#tf.unsortedSegmentSum(flat, this.#segments, this.#clusters + 1), [1])
    return this.#tf.mul(sums, this.#scale) as Tensor1D
  }

  write(codebook: Variable, variable: Variable): void {
    this.#tf.tidy(() => {
      const table = this.#tf.concat([this.#pruned, codebook as unknown as Tensor1D])
      variable.assign(this.#tf.reshape(this.#tf.gather(table, this.#segments), variable.shape))
    })
  }

  dispose(): void {
    this.#tf.dispose([this.#segments, this.#scale, this.#pruned])
  }
}

const BACKENDS_ELSEWHERE = ['webgl', 'webgpu']

/** The form of clusters that suits the running backend, or the one asked for. */
export function createClusters(
  tf: TensorFlow,
  assignment: Assignment,
  reduction: ClusterReduction,
  placement: 'auto' | 'host' | 'device' = 'auto',
): Clusters {
  const elsewhere = placement === 'auto' ? BACKENDS_ELSEWHERE.includes(tf.getBackend()) : placement === 'device'
  return elsewhere ? new DeviceClusters(tf, assignment, reduction) : new HostClusters(tf, assignment, reduction)
}
