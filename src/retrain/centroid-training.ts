import * as assert from '../assert.js'
import { DeepCompressionError, printable } from '../errors.js'
import type { QuantizedTensor } from '../tensor.js'
import {
  type Assignment,
  type ClusterReduction,
  type Clusters,
  createClusters,
  keepChosen,
  readAssignment,
} from './clusters.js'
import { chooseCodes, chooseCodesOrZero, LatentWeights } from './latent.js'
import { MASKED_TRAINING_KEYS, MaskedTraining, type MaskedTrainingOptions } from './masked-training.js'
import { readValues, recordOf, type State, writeValues } from './state.js'
import type { Optimizer, Tensor, TensorFlow, Variable } from './tensorflow.js'

export interface CentroidTrainingOptions extends MaskedTrainingOptions {
  /**
   * The shared weights, each with the name of its variable; more can follow by `share`. Their variables are set to the shared values
   * at once; variables that are not shared are trained as they are, under their masks.
   */
  shared?: readonly QuantizedTensor[]
  /** Default `sum`, the paper's. With it the effective step of a cluster grows with its size; `mean` undoes that. */
  reduction?: ClusterReduction
  /** Where the codes live: `auto` (default) = on the device for webgl and webgpu, else in this process. */
  placement?: 'auto' | 'host' | 'device'
  /** Codes are fixed by default, as in the paper; with this each weight chooses its centroid anew every so many steps. */
  reassign?: ReassignOptions
}

export interface ReassignOptions {
  /** Steps between two choices. */
  every: number
  /**
   * Rate at which each weight follows its own gradient between them (plain SGD, straight through the look-up); default the
   * optimizer's learning rate at that step.
   */
  rate?: number
  /**
   * Squared error of a weight that one bit in the file is worth: each takes the centroid of least squared error + price x bits of its
   * code, and codes become fewer and less even (entropy-constrained training: Chou et al. 1989, Choi et al. 2017, Wiedemann et al.
   * 2019). Default 0, the nearest centroid. A thousandth of the mean square of the kept weights is little, a tenth much.
   */
  bitPrice?: number
  /**
   * Zero is one more choice, and bits are those of codes and places together: a weight that is not worth its place is pruned, and
   * comes back when it is again. Only weights that were kept at the sharing can. Default false.
   */
  prune?: boolean
}

interface SharedWeights {
  assignment: Assignment
  clusters: Clusters
  readonly codebook: Variable
  latent: LatentWeights | null
}

const CENTROID_TRAINING_KEYS = [...MASKED_TRAINING_KEYS, 'shared', 'reduction', 'placement', 'reassign'] as const
const REASSIGN_KEYS = ['every', 'rate', 'bitPrice', 'prune'] as const

/**
 * Fine-tuning of shared weights (paper, section 3.3): centroids move by the gradients of their members.
 *
 * The model's own variables stay where they are. A step takes the gradient of each weight as in plain training, reduces it by
 * cluster, lets the optimizer move the few centroids and writes them back into the weights: no gather in the forward pass, and no
 * optimizer work on weights. The cost does not depend on the number of clusters. Layers can be shared, given back, frozen and freed
 * at any step, one at a time or together, in the one live model; pruned weights stay +0, which is a centroid of its own.
 */
export class CentroidTraining extends MaskedTraining {
  readonly #reduction: ClusterReduction
  readonly #placement: 'auto' | 'host' | 'device'
  readonly #reassign: Readonly<ReassignOptions> | null
  readonly #shared = new Map<string, SharedWeights>()
  #steps = 0

  constructor(tf: TensorFlow, options: CentroidTrainingOptions) {
    super(tf, options, CENTROID_TRAINING_KEYS)
    this.#reduction = assert.oneOf('reduction', options.reduction ?? 'sum', ['sum', 'mean'])
    this.#placement = assert.oneOf('placement', options.placement ?? 'auto', ['auto', 'host', 'device'])
    this.#reassign = options.reassign ? resolveReassign(options.reassign) : null
    const shared = options.shared ?? []
    for (const source of shared) this.#read(source)
    for (const source of shared) this.share(source)
  }

  /**
   * Shares the weights of one variable from now on: they become their centroids at once, and the optimizer begins anew for them. A
   * mask that was set for it is given up, because the shared weights bring their own.
   */
  share(source: QuantizedTensor): void {
    const assignment = this.#read(source)
    const { name } = source
    const variable = this.weights.variable(name)
    const latent = this.#reassign ? LatentWeights.of(assignment, readValues(this.candidates(name))) : null
    if (this.#shared.has(name)) this.#drop(name)
    super.setMask(name, null)
    this.forgetSlots(name)
    const { tf } = this
    const codebook = tf.tidy(() => tf.variable(tf.tensor1d(source.codebook.slice())))
    const clusters = createClusters(tf, assignment, this.#reduction, this.#placement)
    this.#shared.set(name, { assignment, clusters, codebook, latent })
    clusters.write(codebook, variable)
  }

  /** Each weight is its own again, from its centroid's value on; pruned ones stay pruned. */
  unshare(name: string): void {
    const { mask } = this.#of(name).assignment
    this.#drop(name)
    this.forgetSlots(name)
    if (mask) super.setMask(name, mask)
  }

  isShared(name: string): boolean {
    this.weights.variable(name)
    return this.#shared.has(name)
  }

  override setMask(name: string, mask: Uint32Array | null): void {
    if (this.#shared.has(name)) {
      throw new DeepCompressionError(
        'ARG',
        `${printable(name)} has shared weights; unshare it, or share it with another mask`,
        {
          section: name,
        },
      )
    }
    super.setMask(name, mask)
  }

  override mask(name: string): Uint32Array<ArrayBuffer> | null {
    const shared = this.#shared.get(name)
    return shared ? (shared.assignment.mask?.slice() ?? null) : super.mask(name)
  }

  override step(loss: Parameters<MaskedTraining['step']>[0]): ReturnType<MaskedTraining['step']> {
    const value = super.step(loss)
    this.#steps++
    if (this.#reassign && this.#steps % this.#reassign.every === 0) this.#chooseAnew()
    return value
  }

  /**
   * The shared weights as they are now, ready to be encoded: the codebook ascending again (training may swap neighbours), equal
   * centroids merged, centroids without weights left out, codes renumbered.
   */
  quantized(name: string): QuantizedTensor {
    const shared = this.#of(name)
    const centroids = readValues(shared.codebook)
    const { codes, shape, mask } = shared.assignment
    const members = new Set(codes)
    // Only a new choice of codes can leave a centroid without weights that had some.
    const used = this.#reassign && codes.length > 0 ? centroids.filter((_, code) => members.has(code)) : centroids
    const codebook = Float32Array.from(new Set(used)).sort()
    const codeOf = new Map(Array.from(codebook, (value, code) => [value, code]))
    const renumbered = Uint8Array.from(centroids, (value) => codeOf.get(value) ?? 0)
    return {
      name,
      shape,
      mask: mask ? mask.slice() : null,
      kept: codes.length,
      codes: codes.map((code) => renumbered[code]!),
      codebook,
    }
  }

  /** Gives the codebooks and masks back; the variables keep their shared values, and they and the optimizer belong to the caller. */
  override dispose(): void {
    for (const name of [...this.#shared.keys()]) this.#drop(name)
    super.dispose()
  }

  override state(): State {
    const shared: Record<string, State> = {}
    for (const [name, { assignment, codebook, latent }] of this.#shared) {
      shared[name] = {
        mask: assignment.mask?.slice() ?? null,
        codes: assignment.codes.slice(),
        codebook: readValues(codebook),
        latent: latent?.values.slice() ?? null,
        positions: latent?.positions?.slice() ?? null,
      }
    }
    return { masked: super.state(), shared, steps: this.#steps }
  }

  override restore(state: State): void {
    const { masked, shared, steps } = recordOf('the training', state, ['masked', 'shared', 'steps'])
    for (const name of [...this.#shared.keys()]) this.#drop(name)
    for (const name of this.weights.names) {
      const saved = (shared as Record<string, State>)[name]
      if (saved !== undefined) this.#restoreShared(name, saved)
    }
    // After the sharing, which clears slots.
    super.restore(masked!)
    this.#steps = steps as number
  }

  protected override updateOf(name: string, gradient: Tensor | null): { name: string; tensor: Tensor | null } {
    const shared = this.#shared.get(name)
    if (!shared) return super.updateOf(name, gradient)
    if (shared.latent && gradient) shared.latent.follow(gradient.dataSync(), this.#rate())
    return { name: shared.codebook.name, tensor: gradient && shared.clusters.reduce(gradient) }
  }

  protected override settle(name: string): void {
    const shared = this.#shared.get(name)
    if (shared) shared.clusters.write(shared.codebook, this.weights.variable(name))
    else super.settle(name)
  }

  #rate(): number {
    return this.#reassign?.rate ?? learningRateOf(this.optimizer)
  }

  #read(source: QuantizedTensor): Assignment {
    return readAssignment(source, this.weights.variable(source.name).shape)
  }

  #of(name: string): SharedWeights {
    const shared = this.#shared.get(name)
    if (shared) return shared
    throw new DeepCompressionError('ARG', `${printable(name)} has no shared weights`, { section: name })
  }

  #drop(name: string): void {
    const { clusters, codebook } = this.#of(name)
    clusters.dispose()
    codebook.dispose()
    this.#shared.delete(name)
  }

  #chooseAnew(): void {
    for (const [name, shared] of this.#shared) {
      if (this.weights.isFrozen(name) || !shared.latent) continue
      shared.assignment = this.#choice(shared, shared.latent)
      shared.clusters.dispose()
      shared.clusters = createClusters(this.tf, shared.assignment, this.#reduction, this.#placement)
      shared.clusters.write(shared.codebook, this.weights.variable(name))
    }
  }

  #choice({ assignment, codebook }: SharedWeights, { values, positions }: LatentWeights): Assignment {
    const { bitPrice = 0, prune = false } = this.#reassign!
    const centroids = readValues(codebook)
    if (!prune) return { ...assignment, codes: chooseCodes(values, centroids, assignment.codes, bitPrice) }
    return keepChosen(assignment, positions, chooseCodesOrZero(values, centroids, assignment, bitPrice))
  }

  #restoreShared(name: string, state: State): void {
    const keys = ['mask', 'codes', 'codebook', 'latent', 'positions']
    const { mask, codes, codebook, latent, positions } = recordOf(name, state, keys)
    if ((latent !== null) !== (this.#reassign !== null)) {
      throw new DeepCompressionError(
        'ARG',
        `the checkpoint of ${printable(name)} is of a training with${latent ? '' : 'out'} reassign`,
      )
    }
    this.share({
      name,
      shape: this.weights.variable(name).shape,
      mask: mask as Uint32Array | null,
      kept: (codes as Uint8Array).length,
      codes: codes as Uint8Array,
      codebook: codebook as Float32Array,
    })
    const shared = this.#of(name)
    if (shared.latent) {
      shared.latent = new LatentWeights(
        positions as Uint32Array<ArrayBuffer> | null,
        latent as Float32Array<ArrayBuffer>,
      )
    }
    writeValues(this.tf, shared.codebook, codebook, name)
  }
}

function resolveReassign(options: ReassignOptions): Readonly<ReassignOptions> {
  const given = assert.options<ReassignOptions>('reassign', options, REASSIGN_KEYS)
  assert.whole('reassign.every', given.every, 1, Number.MAX_SAFE_INTEGER)
  if (given.rate !== undefined) assert.finite('reassign.rate', given.rate, 0)
  if (given.bitPrice !== undefined) assert.finite('reassign.bitPrice', given.bitPrice, 0)
  if (given.prune !== undefined) assert.flag('reassign.prune', given.prune)
  return given
}

function learningRateOf(optimizer: Optimizer): number {
  const { learningRate } = optimizer as unknown as { learningRate?: number }
  return assert.finite('the learning rate of the optimizer', learningRate, 0)
}
