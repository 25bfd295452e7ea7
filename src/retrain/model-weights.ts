import { DeepCompressionError } from '../errors.js'
import { matches } from '../recipe.js'
import { type Resumable, readValues, recordOf, type State, writeValues } from './state.js'
import type { LayersModel, TensorFlow, Variable } from './tensorflow.js'

/** The weights worth pruning and sharing of each kind of layer, by the last part of their names; the rest (biases) is trained as is. */
const KERNELS: Readonly<Record<string, readonly string[]>> = {
  Dense: ['kernel'],
  Conv1D: ['kernel'],
  Conv2D: ['kernel'],
  Conv3D: ['kernel'],
  Conv2DTranspose: ['kernel'],
  Conv3DTranspose: ['kernel'],
  DepthwiseConv2D: ['depthwise_kernel'],
  SeparableConv2D: ['depthwise_kernel', 'pointwise_kernel'],
  Embedding: ['embeddings'],
  SimpleRNN: ['kernel', 'recurrent_kernel'],
  LSTM: ['kernel', 'recurrent_kernel'],
  GRU: ['kernel', 'recurrent_kernel'],
  ConvLSTM2D: ['kernel', 'recurrent_kernel'],
  SimpleRNNCell: ['kernel', 'recurrent_kernel'],
  LSTMCell: ['kernel', 'recurrent_kernel'],
  GRUCell: ['kernel', 'recurrent_kernel'],
  ConvLSTM2DCell: ['kernel', 'recurrent_kernel'],
  // Scales and shifts only.
  BatchNormalization: [],
  LayerNormalization: [],
  PReLU: [],
}

/** What this needs of a layer of tfjs-layers; wrappers and nested models hold others. */
interface Layer {
  name: string
  getClassName(): string
  weights: readonly LayerWeight[]
  trainableWeights: readonly LayerWeight[]
  layers?: readonly Layer[]
  layer?: Layer
  forwardLayer?: Layer
  backwardLayer?: Layer
  cell?: Layer & { cells?: readonly Layer[] }
}

interface LayerWeight {
  readonly originalName: string
  read(): unknown
}

export interface LeftAlone {
  layer: string
  className: string
  /** Names of its weights; they are trained as they are if the layer is trainable. */
  weights: string[]
}

export interface ModelWeights {
  /** All trainable weights by their names in the model (`conv1/kernel`): what a training is made over. */
  variables: Record<string, Variable>
  /** Of these the ones to prune and share: kernels of known layers whose names fit `match`. */
  kernels: string[]
  /** Weights that are not trained by gradients (moving means, layers with `trainable = false`). */
  fixed: Record<string, Variable>
  /** Layers of a class that is not known here, their weights left alone. */
  unknown: LeftAlone[]
}

/**
 * The weights of any tfjs layers model: Dense, Conv1D to Conv3D and their transposes, DepthwiseConv2D, SeparableConv2D, Embedding, recurrent
 * layers and cells, also inside TimeDistributed, Bidirectional, RNN and nested models. Layers of other classes are no error: they are
 * named in `unknown`, and their weights are never among the kernels.
 *
 * @param match patterns of weight names with `*` and `?`; default `*`
 */
export function modelWeights(model: LayersModel, match: string | readonly string[] = '*'): ModelWeights {
  const root = model as unknown as Layer
  if (!Array.isArray(root?.layers)) {
    throw new DeepCompressionError('TYPE', 'model must be a tfjs LayersModel (it has no layers)')
  }
  const patterns = typeof match === 'string' ? [match] : match
  const trainable = new Set(root.trainableWeights)
  const names = namesOf(root.weights)
  const compressible = new Set<LayerWeight>()
  const unknown: LeftAlone[] = []
  for (const layer of leaves(root)) {
    const className = layer.getClassName()
    const kernels = Object.hasOwn(KERNELS, className) ? KERNELS[className]! : null
    for (const weight of layer.weights) if (kernels?.includes(lastPart(weight.originalName))) compressible.add(weight)
    if (kernels === null && layer.weights.length > 0) {
      unknown.push({ layer: layer.name, className, weights: layer.weights.map((weight) => names.get(weight)!) })
    }
  }
  const result: ModelWeights = { variables: {}, kernels: [], fixed: {}, unknown }
  for (const [weight, name] of names) {
    const variable = weight.read() as Variable
    if (!trainable.has(weight)) result.fixed[name] = variable
    else {
      result.variables[name] = variable
      if (compressible.has(weight) && patterns.some((pattern) => matches(pattern, name))) result.kernels.push(name)
    }
  }
  return result
}

/** Layers that hold weights themselves, those inside wrappers, recurrent cells and nested models included; a shared one once. */
function leaves(layer: Layer, seen = new Set<Layer>()): Layer[] {
  if (seen.has(layer)) return []
  seen.add(layer)
  const wrapped = layer.getClassName() === 'RNN' ? (layer.cell?.cells ?? [layer.cell!]) : undefined
  const both = layer.forwardLayer && layer.backwardLayer ? [layer.forwardLayer, layer.backwardLayer] : undefined
  const inner = layer.layers ?? both ?? (layer.layer ? [layer.layer] : wrapped)
  return inner ? inner.flatMap((one) => leaves(one, seen)) : [layer]
}

const lastPart = (name: string) => name.slice(name.lastIndexOf('/') + 1)

/** Names as in the model; a second weight of the same name (two nested models) gets a number. */
function namesOf(weights: readonly LayerWeight[]): Map<LayerWeight, string> {
  const names = new Map<LayerWeight, string>()
  const taken = new Set<string>()
  for (const weight of weights) {
    let name = weight.originalName
    for (let n = 2; taken.has(name); n++) name = `${weight.originalName}_${n}`
    taken.add(name)
    names.set(weight, name)
  }
  return names
}

/** Variables that change beside the training, such as moving means, as a part of its checkpoints. */
export class VariablesState implements Resumable {
  readonly #tf: TensorFlow
  readonly #variables: Readonly<Record<string, Variable>>

  constructor(tf: TensorFlow, variables: Readonly<Record<string, Variable>>) {
    this.#tf = tf
    this.#variables = variables
  }

  state(): State {
    return Object.fromEntries(Object.entries(this.#variables).map(([name, variable]) => [name, readValues(variable)]))
  }

  restore(state: State): void {
    const values = recordOf('the model', state, Object.keys(this.#variables))
    for (const [name, variable] of Object.entries(this.#variables)) writeValues(this.#tf, variable, values[name], name)
  }
}
