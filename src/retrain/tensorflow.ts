import type * as core from '@tensorflow/tfjs-core'

/**
 * What retraining needs of TensorFlow.js. Any build of it will do (`@tensorflow/tfjs`, `tfjs-node`, `tfjs-core` with a backend);
 * the caller passes it in, so that this package installs and loads without TensorFlow.
 */
export type TensorFlow = Pick<
  typeof core,
  | 'abs'
  | 'add'
  | 'argMax'
  | 'cast'
  | 'concat'
  | 'dispose'
  | 'gather'
  | 'getBackend'
  | 'keep'
  | 'mean'
  | 'mul'
  | 'notEqual'
  | 'reshape'
  | 'slice'
  | 'tensor'
  | 'tensor1d'
  | 'tidy'
  | 'train'
  | 'unsortedSegmentSum'
  | 'variable'
  | 'variableGrads'
  | 'where'
  | 'zerosLike'
>

export type Optimizer = core.Optimizer
export type Scalar = core.Scalar
export type Tensor = core.Tensor
export type Tensor1D = core.Tensor1D
export type Variable = core.Variable

/** What retraining needs of a tfjs layers model (`LayersModel`, `Sequential`); structural, so that any version's will do. */
export interface LayersModel {
  readonly inputNames: string[]
  readonly outputNames: string[]
  readonly layers: readonly unknown[]
  apply(inputs: Tensor | Tensor[], kwargs?: Record<string, unknown>): unknown
  calculateLosses(): Scalar[]
}
