import * as assert from '../assert.js'
import { DeepCompressionError, printable } from '../errors.js'
import type { QuantizedTensor } from '../tensor.js'
import { type Assignment, type ClusterReduction, type Clusters, createClusters, readAssignment } from './clusters.js'
import { applyUpdates, LiveWeights, type NamedVariables } from './live-weights.js'
import type { Optimizer, Scalar, TensorFlow, Variable } from './tensorflow.js'

export interface CentroidTrainingOptions {
  /** Every variable that may be trained, by the caller's names; those not in `shared` are trained as they are. */
  variables: NamedVariables
  /** The shared weights, each with the name of its variable. Their variables are set to the shared values at once. */
  shared: readonly QuantizedTensor[]
  optimizer: Optimizer
  /** Default `sum`, the paper's. With it the effective step of a cluster grows with its size; `mean` undoes that. */
  reduction?: ClusterReduction
  /** Where the codes live: `auto` (default) = on the device for webgl and webgpu, else in this process. */
  placement?: 'auto' | 'host' | 'device'
}

interface SharedWeights {
  readonly source: QuantizedTensor
  readonly assignment: Assignment
  readonly clusters: Clusters
  readonly codebook: Variable
}

/**
 * Fine-tuning of shared weights (paper, section 3.3): codes stay, centroids move by the gradients of their members.
 *
 * The model's own variables stay where they are. A step takes the gradient of each weight as in plain training, reduces it by
 * cluster, lets the optimizer move the few centroids and writes them back into the weights: no gather in the forward pass, and no
 * optimizer work on weights. The cost does not depend on the number of clusters.
 */
export class CentroidTraining {
  readonly weights: LiveWeights
  readonly #tf: TensorFlow
  readonly #optimizer: Optimizer
  readonly #shared = new Map<string, SharedWeights>()

  constructor(tf: TensorFlow, options: CentroidTrainingOptions) {
    const { variables, shared, optimizer, reduction = 'sum', placement = 'auto' } = options
    assert.oneOf('reduction', reduction, ['sum', 'mean'])
    assert.oneOf('placement', placement, ['auto', 'host', 'device'])
    this.#tf = tf
    this.weights = new LiveWeights(tf, variables)
    this.#optimizer = optimizer
    const read = shared.map((source) => ({
      source,
      assignment: readAssignment(source, this.weights.variable(source.name).shape),
    }))
    for (const { source, assignment } of read) {
      const clusters = createClusters(tf, assignment, reduction, placement)
      const codebook = tf.variable(tf.tidy(() => tf.tensor1d(source.codebook.slice())))
      this.#shared.set(source.name, { source, assignment, clusters, codebook })
      this.#write(source.name)
    }
  }

  freeze(names: readonly string[]): void {
    this.weights.freeze(names)
  }

  free(names: readonly string[]): void {
    this.weights.free(names)
  }

  /**
   * One update of the free centroids and of the free unshared variables.
   *
   * @param loss builds the scalar loss of this step's batch from the live model
   * @returns the loss before the update; the caller disposes it
   */
  step(loss: () => Scalar): Scalar {
    return this.#tf.tidy(() => {
      const { value, gradientOf } = this.weights.gradients(loss)
      const update = (name: string) => {
        const shared = this.#shared.get(name)
        const gradient = gradientOf(name)
        if (!shared) return { name: this.weights.variable(name).name, tensor: gradient }
        return { name: shared.codebook.name, tensor: gradient && shared.clusters.reduce(gradient) }
      }
      applyUpdates(this.#optimizer, this.weights.names.map(update))
      for (const name of this.#shared.keys()) if (!this.weights.isFrozen(name)) this.#write(name)
      return value
    })
  }

  /**
   * The shared weights as they are now, ready to be encoded: the codebook ascending again (training may swap neighbours), equal
   * centroids merged, codes renumbered.
   */
  quantized(name: string): QuantizedTensor {
    const shared = this.#shared.get(name)
    if (!shared) throw new DeepCompressionError('ARG', `${printable(name)} has no shared weights`, { section: name })
    const centroids = shared.codebook.dataSync() as Float32Array
    const codebook = Float32Array.from(new Set(centroids)).sort()
    const codeOf = new Map(Array.from(codebook, (value, code) => [value, code]))
    const renumbered = Uint8Array.from(centroids, (value) => codeOf.get(value)!)
    const codes = shared.assignment.codes.map((code) => renumbered[code]!)
    const { shape, mask } = shared.source
    return { name, shape, mask: mask ? mask.slice() : null, kept: codes.length, codes, codebook }
  }

  /** Gives the codebooks back; the variables keep their shared values, and they and the optimizer belong to the caller. */
  dispose(): void {
    for (const { clusters, codebook } of this.#shared.values()) {
      clusters.dispose()
      codebook.dispose()
    }
    this.#shared.clear()
  }

  #write(name: string): void {
    const { clusters, codebook } = this.#shared.get(name)!
    clusters.write(codebook, this.weights.variable(name))
  }
}
