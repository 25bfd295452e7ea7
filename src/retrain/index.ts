export type { DatasetLike, Examples, TrainingData } from './batches.js'
export { CentroidTraining, type CentroidTrainingOptions, type ReassignOptions } from './centroid-training.js'
export type { ClusterReduction } from './clusters.js'
export {
  type CompressModelOptions,
  type CompressModelResult,
  type CurvePoint,
  compressModel,
} from './compress-model.js'
export { type NamedVariables, setLearningRate } from './live-weights.js'
export { MaskedTraining, type MaskedTrainingOptions } from './masked-training.js'
export { type LeftAlone, type ModelWeights, modelWeights, VariablesState } from './model-weights.js'
export { Pruning, type PruningCriterion, type PruningOptions } from './pruning.js'
export {
  type Logs,
  type LossFunction,
  type RetrainModelOptions,
  type RetrainModelResult,
  retrainModel,
} from './retrain-model.js'
export {
  type Budget,
  type CheckpointOptions,
  type RunOptions,
  type RunResult,
  runTraining,
  StoppedRunError,
  type Trainer,
} from './run.js'
export {
  cosineRate,
  gradualDensity,
  iterativeDensity,
  oneShotDensity,
  type PolynomialOptions,
  polynomialDensity,
  type Schedule,
} from './schedule.js'
export {
  formatSensitivity,
  type PlotSensitivityOptions,
  plotSensitivity,
  type SensitivityOptions,
  type SensitivityScan,
  sensitivityScan,
} from './sensitivity.js'
export { packState, type Resumable, type State, unpackState } from './state.js'
export type { LayersModel, TensorFlow } from './tensorflow.js'
