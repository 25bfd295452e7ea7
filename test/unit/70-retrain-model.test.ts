import type { LayersModel, Scalar, SymbolicTensor, Tensor } from '@tensorflow/tfjs'
import {
  CentroidTraining,
  type Logs,
  MaskedTraining,
  modelWeights,
  oneShotDensity,
  Pruning,
  type RetrainModelOptions,
  retrainModel,
} from '../../src/retrain/index.js'
import type { QuantizedTensor } from '../../src/tensor.js'
import { maskOf, valuesOf } from '../support/small-nets.js'
import { tf } from '../support/tfjs.js'

// Seconds on a free machine; a busy one must not fail it.
jest.setTimeout(300_000)

afterEach(() => tf.disposeVariables())

const { layers } = tf

/** A layer that no library knows: scales each feature. */
class Scale extends layers.Layer {
  static className = 'Scale'
  #scale: ReturnType<Scale['addWeight']> | undefined

  override build(shape: number[]): void {
    this.#scale = this.addWeight('scale', [shape.at(-1)!], 'float32', tf.initializers.ones())
    this.built = true
  }

  override computeOutputShape(shape: number[]): number[] {
    return shape
  }

  override call(inputs: Tensor | Tensor[]): Tensor {
    return tf.mul(Array.isArray(inputs) ? inputs[0]! : inputs, this.#scale!.read())
  }
}

const seeded = (seed: number) => tf.initializers.randomNormal({ mean: 0, stddev: 0.4, seed })

/** One small net for each kind of layer, ten examples of its input, and the kernels it has. */
const NETS: Record<string, { make: () => LayersModel; input: number[]; kernels: RegExp[] }> = {
  Dense: {
    make: () => tf.sequential({ layers: [layers.dense({ units: 5, inputShape: [6], kernelInitializer: seeded(1) })] }),
    input: [6],
    kernels: [/\/kernel$/],
  },
  Conv1D: {
    make: () =>
      tf.sequential({
        layers: [layers.conv1d({ filters: 4, kernelSize: 3, inputShape: [8, 3], kernelInitializer: seeded(1) })],
      }),
    input: [8, 3],
    kernels: [/\/kernel$/],
  },
  Conv2D: {
    make: () =>
      tf.sequential({
        layers: [layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [6, 6, 2], kernelInitializer: seeded(1) })],
      }),
    input: [6, 6, 2],
    kernels: [/\/kernel$/],
  },
  Conv3D: {
    make: () =>
      tf.sequential({
        layers: [layers.conv3d({ filters: 3, kernelSize: 2, inputShape: [3, 3, 3, 2], kernelInitializer: seeded(1) })],
      }),
    input: [3, 3, 3, 2],
    kernels: [/\/kernel$/],
  },
  Conv2DTranspose: {
    make: () =>
      tf.sequential({
        layers: [
          layers.conv2dTranspose({ filters: 3, kernelSize: 2, inputShape: [3, 3, 2], kernelInitializer: seeded(1) }),
        ],
      }),
    input: [3, 3, 2],
    kernels: [/\/kernel$/],
  },
  DepthwiseConv2D: {
    make: () =>
      tf.sequential({
        layers: [layers.depthwiseConv2d({ kernelSize: 3, inputShape: [6, 6, 3], depthwiseInitializer: seeded(1) })],
      }),
    input: [6, 6, 3],
    kernels: [/depthwise_kernel$/],
  },
  SeparableConv2D: {
    make: () =>
      tf.sequential({
        layers: [
          layers.separableConv2d({
            filters: 4,
            kernelSize: 3,
            inputShape: [6, 6, 3],
            depthwiseInitializer: seeded(1),
            pointwiseInitializer: seeded(2),
          }),
        ],
      }),
    input: [6, 6, 3],
    kernels: [/depthwise_kernel$/, /pointwise_kernel$/],
  },
  Embedding: {
    make: () =>
      tf.sequential({
        layers: [layers.embedding({ inputDim: 7, outputDim: 4, inputLength: 5, embeddingsInitializer: seeded(1) })],
      }),
    input: [5],
    kernels: [/embeddings$/],
  },
  LSTM: {
    make: () =>
      tf.sequential({
        layers: [
          layers.lstm({ units: 4, inputShape: [5, 3], kernelInitializer: seeded(1), recurrentInitializer: seeded(2) }),
        ],
      }),
    input: [5, 3],
    kernels: [/\/kernel$/, /recurrent_kernel$/],
  },
  GRU: {
    make: () =>
      tf.sequential({
        layers: [
          layers.gru({ units: 4, inputShape: [5, 3], kernelInitializer: seeded(1), recurrentInitializer: seeded(2) }),
        ],
      }),
    input: [5, 3],
    kernels: [/\/kernel$/, /recurrent_kernel$/],
  },
  SimpleRNN: {
    make: () =>
      tf.sequential({
        layers: [
          layers.simpleRNN({
            units: 4,
            inputShape: [5, 3],
            kernelInitializer: seeded(1),
            recurrentInitializer: seeded(2),
          }),
        ],
      }),
    input: [5, 3],
    kernels: [/\/kernel$/, /recurrent_kernel$/],
  },
  'RNN of two cells': {
    make: () =>
      tf.sequential({
        layers: [
          layers.rnn({
            cell: [
              layers.lstmCell({ units: 3, kernelInitializer: seeded(1), recurrentInitializer: seeded(2) }),
              layers.gruCell({ units: 2, kernelInitializer: seeded(1), recurrentInitializer: seeded(2) }),
            ] as never,
            inputShape: [5, 3],
          }),
        ],
      }),
    input: [5, 3],
    kernels: [/0\/kernel$/, /0\/recurrent_kernel$/, /1\/kernel$/, /1\/recurrent_kernel$/],
  },
  Bidirectional: {
    make: () =>
      tf.sequential({
        layers: [
          layers.bidirectional({
            layer: layers.gru({ units: 3, kernelInitializer: seeded(1), recurrentInitializer: seeded(2) }) as never,
            inputShape: [5, 3],
            mergeMode: 'concat',
          }),
        ],
      }),
    input: [5, 3],
    kernels: [/forward.*\/kernel$/, /forward.*recurrent_kernel$/, /backward.*\/kernel$/, /backward.*recurrent_kernel$/],
  },
  TimeDistributed: {
    make: () =>
      tf.sequential({
        layers: [
          layers.timeDistributed({
            layer: layers.dense({ units: 3, kernelInitializer: seeded(1) }),
            inputShape: [5, 3],
          }),
        ],
      }),
    input: [5, 3],
    kernels: [/\/kernel$/],
  },
  'nested model': {
    make: () =>
      tf.sequential({
        layers: [
          layers.dense({ units: 6, inputShape: [4], kernelInitializer: seeded(1) }),
          tf.sequential({ layers: [layers.dense({ units: 3, inputShape: [6], kernelInitializer: seeded(2) })] }),
        ],
      }),
    input: [4],
    kernels: [/\/kernel$/, /\/kernel$/],
  },
}

const meanSquares = (labels: Tensor, answers: Tensor) => tf.mean(tf.square(tf.sub(labels, answers)))

function examplesFor(model: LayersModel, input: number[]) {
  const whole = model.layers[0]!.getClassName() === 'Embedding'
  const xs = whole
    ? tf.randomUniform([10, ...input], 0, 7, 'int32', 5)
    : tf.randomNormal([10, ...input], 0, 1, 'float32', 5)
  const shape = (model.outputs[0]!.shape as number[]).map((size) => size ?? 10)
  return { xs, ys: tf.randomNormal(shape, 0, 1, 'float32', 6) }
}

/** Four evenly spaced centroids for what is not zero. */
function fourValues(name: string, shape: number[], values: number[]): QuantizedTensor {
  const mask = maskOf(values.map((value) => (value === 0 ? 0 : 1)))
  const kept = values.filter((value) => value !== 0)
  const [low, high] = [Math.min(...kept), Math.max(...kept)]
  const codebook = Float32Array.from([0, 1, 2, 3], (i) => low + ((high - low) * i) / 3)
  const codes = Uint8Array.from(kept, (value) => (high > low ? Math.round((3 * (value - low)) / (high - low)) : 0))
  return { name, shape, mask, kept: kept.length, codes, codebook }
}

function decode({ shape, mask, codes, codebook }: QuantizedTensor): number[] {
  let at = 0
  const count = shape.reduce((product, size) => product * size, 1)
  return Array.from({ length: count }, (_, i) => ((mask![i >>> 5]! >>> (i & 31)) & 1 ? codebook[codes[at++]!]! : 0))
}

describe('the weights of a model', () => {
  test.each(Object.entries(NETS))('%s: pruned, retrained, shared and fine-tuned as one live model', async (_, net) => {
    const model = net.make()
    const { variables, kernels, unknown } = modelWeights(model)
    expect(unknown).toEqual([])
    expect(kernels).toHaveLength(net.kernels.length)
    for (const [i, pattern] of net.kernels.entries()) expect(kernels[i]).toMatch(pattern)
    const data = examplesFor(model, net.input)
    const first = meanSquares(data.ys, model.predict(data.xs) as Tensor).dataSync()[0]!
    const training = new CentroidTraining(tf, { variables, optimizer: tf.train.adam(0.02), reduction: 'mean' })
    const pruning = new Pruning(tf, training, { density: 0.5, names: kernels, every: 5 })
    await retrainModel(tf, model, { training, pruning, data, batchSize: 5, loss: meanSquares, budget: { steps: 30 } })
    const weights = kernels.reduce((sum, name) => sum + variables[name]!.size, 0)
    expect(pruning.density()).toBe(Math.round(weights / 2) / weights)
    const zeros = new Map(kernels.map((name) => [name, valuesOf(variables[name]!).map((value) => value === 0)]))
    for (const name of kernels) training.share(fourValues(name, variables[name]!.shape, valuesOf(variables[name]!)))
    await retrainModel(tf, model, { training, data, batchSize: 5, loss: meanSquares, budget: { steps: 30 } })
    for (const name of kernels) {
      const values = valuesOf(variables[name]!)
      expect(values.map((value) => value === 0)).toEqual(zeros.get(name))
      expect(decode(training.quantized(name))).toEqual(values)
    }
    expect(meanSquares(data.ys, model.predict(data.xs) as Tensor).dataSync()[0]!).toBeLessThan(first)
  })

  test('patterns choose the kernels; every trainable weight stays trainable', () => {
    const model = tf.sequential({
      layers: [layers.dense({ name: 'hidden', units: 4, inputShape: [3] }), layers.dense({ name: 'answer', units: 2 })],
    })
    expect(modelWeights(model, 'hid*').kernels).toEqual(['hidden/kernel'])
    expect(modelWeights(model, ['answer*', 'hid*/kernel']).kernels).toEqual(['hidden/kernel', 'answer/kernel'])
    expect(modelWeights(model, 'none').kernels).toEqual([])
    expect(Object.keys(modelWeights(model, 'none').variables)).toEqual([
      'hidden/kernel',
      'hidden/bias',
      'answer/kernel',
      'answer/bias',
    ])
  })

  test('an unknown layer is left alone and named, and is no error', async () => {
    const model = tf.sequential({
      layers: [
        layers.dense({ name: 'd', units: 3, inputShape: [4], kernelInitializer: seeded(1) }),
        new Scale({ name: 'mine' }) as never,
      ],
    })
    const { variables, kernels, unknown } = modelWeights(model)
    expect(kernels).toEqual(['d/kernel'])
    expect(unknown).toEqual([{ layer: 'mine', className: 'Scale', weights: ['mine/scale'] }])
    const before = valuesOf(variables['mine/scale']!)
    const training = new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(0.1) })
    await retrainModel(tf, model, { training, data: examplesFor(model, [4]), loss: meanSquares, budget: { steps: 3 } })
    expect(valuesOf(variables['mine/scale']!)).not.toEqual(before)
  })

  test('moving means and layers that are not trainable are fixed', async () => {
    const model = tf.sequential({
      layers: [
        layers.dense({ name: 'still', units: 4, inputShape: [3], trainable: false, kernelInitializer: seeded(1) }),
        layers.batchNormalization({ name: 'bn' }),
        layers.dense({ name: 'd', units: 2, kernelInitializer: seeded(2) }),
      ],
    })
    const { variables, kernels, fixed, unknown } = modelWeights(model)
    expect(kernels).toEqual(['d/kernel'])
    expect(Object.keys(variables)).toEqual(['bn/gamma', 'bn/beta', 'd/kernel', 'd/bias'])
    expect(Object.keys(fixed).sort()).toEqual(['bn/moving_mean', 'bn/moving_variance', 'still/bias', 'still/kernel'])
    expect(unknown).toEqual([])
    const still = valuesOf(fixed['still/kernel']!)
    const training = new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(0.1) })
    await retrainModel(tf, model, { training, data: examplesFor(model, [3]), loss: meanSquares, budget: { steps: 3 } })
    expect(valuesOf(fixed['still/kernel']!)).toEqual(still)
    // Batch normalization ran in training mode.
    expect(valuesOf(fixed['bn/moving_mean']!)).not.toEqual([0, 0, 0, 0])
  })

  test('anything but a model is refused', () => {
    expect(() => modelWeights({} as never)).toThrow(expect.objectContaining({ code: 'ERR_DC_TYPE' }))
  })
})

describe('retraining a model', () => {
  /** y = w x by one weight; examples 1, 2, 3, 4 with labels 0: the gradient of the mean of squares is 2 w mean(x^2). */
  const line = (settings: object = {}) => {
    const model = tf.sequential({
      layers: [
        layers.dense({ name: 'd', units: 1, inputShape: [1], useBias: false, kernelInitializer: 'ones', ...settings }),
      ],
    })
    const { variables } = modelWeights(model)
    const training = new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(0.0625) })
    const data = { xs: tf.tensor2d([[1], [1], [1], [1]]), ys: tf.zeros([4, 1]) }
    return { model, training, data, w: variables['d/kernel']! }
  }

  test('the loss the model was compiled with is the default, and its layers regularizers count', async () => {
    const { model, training, data, w } = line({ kernelRegularizer: tf.regularizers.l2({ l2: 3 }) })
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
    await retrainModel(tf, model, { training, data, batchSize: 4, budget: { steps: 1 } })
    // 1 - (2 + 6) / 16
    expect(valuesOf(w)).toEqual([0.5])
  })

  test('without a loss it is an error', async () => {
    const { model, training, data } = line()
    await expect(retrainModel(tf, model, { training, data, budget: { steps: 1 } })).rejects.toThrow(
      /neither given nor compiled/,
    )
  })

  test('several inputs and outputs, by name or in order, each output with a loss of its own', async () => {
    const [a, b] = [tf.input({ shape: [1], name: 'a' }), tf.input({ shape: [1], name: 'b' })]
    const ones = { units: 1, useBias: false, kernelInitializer: 'ones' as const }
    const first = layers.dense({ name: 'first', ...ones }).apply(a) as SymbolicTensor
    const second = layers.dense({ name: 'second', ...ones }).apply(b) as SymbolicTensor
    const model = tf.model({ inputs: [a, b], outputs: [first, second] })
    const { variables } = modelWeights(model)
    const training = new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(1) })
    const x = tf.ones([2, 1])
    const half: (l: Tensor, p: Tensor) => Tensor = (_, answers) => tf.mul(answers, 0.5)
    const loss = [half, (_: Tensor, answers: Tensor) => tf.mul(answers, 0.25)]
    const data = { xs: { b: tf.mul(x, 2), a: x }, ys: [x, x] }
    await retrainModel(tf, model, { training, data, loss, budget: { steps: 1 } })
    // Gradients 0.5 x 1 and 0.25 x 2.
    expect(Object.values(variables).map(valuesOf)).toEqual([[0.5], [0.5]])
    await expect(
      retrainModel(tf, model, { training, data: { xs: x, ys: [x, x] }, loss, budget: { steps: 1 } }),
    ).rejects.toThrow(/xs must be 2 tensors \(a, b\)/)
    await expect(retrainModel(tf, model, { training, data, loss: [half], budget: { steps: 1 } })).rejects.toThrow(
      /1 functions for 2 outputs/,
    )
  })

  test('every example is met once an epoch, in an order of its own', async () => {
    const { model, training } = line()
    const met: number[][] = []
    const loss = (labels: Tensor, answers: Tensor) => {
      met.push(valuesOf(labels))
      return tf.mul(answers, 0)
    }
    const data = { xs: tf.ones([7, 1]), ys: tf.tensor2d([0, 1, 2, 3, 4, 5, 6], [7, 1]) }
    await retrainModel(tf, model, { training, data, batchSize: 3, seed: 4, loss, budget: { steps: 4 } })
    const epochs = [met.slice(0, 2).flat(), met.slice(2).flat()]
    for (const epoch of epochs) expect(new Set(epoch).size).toBe(6)
    expect(epochs[0]).not.toEqual(epochs[1])
  })

  test('validation gives loss and metrics to the callback, and a target of any of them ends the run', async () => {
    const { model, training, data } = line()
    const seen: [number, Logs][] = []
    const options: RetrainModelOptions = {
      training,
      data,
      batchSize: 4,
      loss: meanSquares,
      validation: { xs: tf.ones([300, 1]), ys: tf.zeros([300, 1]) },
      metrics: { answer: (_, answers) => answers },
      evaluateEvery: 2,
      budget: { steps: 100, target: { metric: 'answer', atMost: 0.6 } },
      onEvaluate: (step, logs) => {
        seen.push([step, logs])
      },
    }
    // w falls by an eighth a step: 0.765625 after two, 0.586 after four.
    const result = await retrainModel(tf, model, options)
    expect(result).toMatchObject({ steps: 4, stoppedBy: 'target' })
    expect(seen.map(([step]) => step)).toEqual([2, 4])
    expect(seen[0]![1].answer).toBeCloseTo(0.765625, 6)
    expect(seen[0]![1].loss).toBeCloseTo(0.765625 ** 2, 6)
    expect(result.logs).toEqual(seen[1]![1])
    const ended = await retrainModel(tf, model, { ...options, budget: { steps: 100 }, onEvaluate: () => false })
    expect(ended).toMatchObject({ steps: 2, stoppedBy: 'callback' })
  })

  test.each([
    [{ budget: { steps: 1, target: { metric: 'f1', atLeast: 1 } } }, /metric/],
    [{ budget: { steps: 1, target: { metric: 'loss', atLeast: 1 } } }, /validation/],
    [{ batchSize: 0 }, /batchSize/],
    [{ epochs: 3 }, /unknown key/],
    [{ data: { xs: 1, ys: 2 } }, /xs must be 1 tensors/],
  ])('options %j are refused', async (changes, message) => {
    const { model, training, data } = line()
    const options = { training, data, loss: meanSquares, budget: { steps: 1 }, ...changes }
    await expect(retrainModel(tf, model, options as never)).rejects.toThrow(message)
  })

  /** Batch normalization, pruning, Adam: everything that has a state. */
  const everything = () => {
    const model = tf.sequential({
      layers: [
        layers.dense({ name: 'one', units: 8, inputShape: [3], kernelInitializer: seeded(1) }),
        layers.batchNormalization({ name: 'bn' }),
        layers.reLU(),
        layers.dense({ name: 'two', units: 2, kernelInitializer: seeded(2) }),
      ],
    })
    const { variables, kernels } = modelWeights(model)
    const training = new MaskedTraining(tf, { variables, optimizer: tf.train.adam(0.02) })
    const pruning = new Pruning(tf, training, { density: 0.3, names: kernels, every: 4 })
    return { model, training, pruning }
  }
  const bytes = (model: LayersModel) =>
    model.getWeights().map((w) => Buffer.from(Float32Array.from(w.dataSync()).buffer).toString('hex'))
  const tensors = () => ({
    xs: tf.randomNormal([20, 3], 0, 1, 'float32', 8),
    ys: tf.randomNormal([20, 2], 0, 1, 'float32', 9),
  })
  const sources: [string, () => RetrainModelOptions['data']][] = [
    ['tensors', tensors],
    [
      'a tf.data set',
      () => {
        const { xs, ys } = tensors()
        const pairs = tf.data.zip({
          xs: tf.data.array(xs.arraySync() as never),
          ys: tf.data.array(ys.arraySync() as never),
        })
        return pairs.shuffle(20, '7').batch(6) as never
      },
    ],
    [
      'a function',
      () => (step) => ({
        xs: tf.randomNormal([5, 3], 0, 1, 'float32', step + 1),
        ys: tf.randomNormal([5, 2], 0, 1, 'float32', 50 + step),
      }),
    ],
  ]

  test.each(sources)('resumed over %s it is byte for byte the run that did not stop', async (_, make) => {
    const go = async (stop: number, resume?: Uint8Array) => {
      const { model, training, pruning } = everything()
      const result = await retrainModel(tf, model, {
        training,
        pruning,
        data: make(),
        batchSize: 6,
        loss: meanSquares,
        budget: { steps: 18 },
        afterStep: (step) => step + 1 < stop,
        checkpoint: { every: 1000 },
        ...(resume ? { resume } : {}),
      })
      return { weights: bytes(model), result }
    }
    const whole = await go(18)
    for (const stop of [1, 4, 8, 13, 17]) {
      const half = await go(stop)
      const rest = await go(18, half.result.checkpoint)
      expect(rest.result.steps).toBe(18)
      expect(rest.weights).toEqual(whole.weights)
      expect(Buffer.compare(rest.result.checkpoint!, whole.result.checkpoint!)).toBe(0)
    }
  })

  test.each(sources)('over %s a run holds no tensor back', async (_, make) => {
    const { model, training, pruning } = everything()
    const data = make()
    const options = { training, pruning, data, batchSize: 6, loss: meanSquares }
    const validation = tensors()
    await retrainModel(tf, model, { ...options, validation, evaluateEvery: 5, budget: { steps: 20 } })
    const before = tf.memory().numTensors
    await retrainModel(tf, model, { ...options, validation, evaluateEvery: 5, budget: { steps: 20 } })
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('a residual net', () => {
  /** ResNet-20 (He et al. 2016, section 4.2): three stages of three blocks, here 4, 8 and 16 maps over 8 x 8 images. */
  const resnet20 = () => {
    let seed = 0
    const conv = (x: SymbolicTensor, filters: number, kernelSize: number, strides: number) => {
      const convolution = layers.conv2d({
        filters,
        kernelSize,
        strides,
        padding: 'same',
        useBias: false,
        kernelInitializer: tf.initializers.heNormal({ seed: ++seed }),
      })
      // Few steps: the moving means must follow fast.
      return layers.batchNormalization({ momentum: 0.7 }).apply(convolution.apply(x)) as SymbolicTensor
    }
    const relu = (x: SymbolicTensor | SymbolicTensor[]) => layers.reLU().apply(x) as SymbolicTensor
    const input = tf.input({ shape: [8, 8, 3] })
    let x = relu(conv(input, 4, 3, 1))
    for (const [stage, filters] of [4, 8, 16].entries()) {
      for (let block = 0; block < 3; block++) {
        const strides = stage > 0 && block === 0 ? 2 : 1
        const body = conv(relu(conv(x, filters, 3, strides)), filters, 3, 1)
        const shortcut = strides === 1 ? x : conv(x, filters, 1, strides)
        x = relu(layers.add().apply([body, shortcut]) as SymbolicTensor)
      }
    }
    const pooled = layers.globalAveragePooling2d({ dataFormat: 'channelsLast' }).apply(x) as SymbolicTensor
    const output = layers
      .dense({ units: 3, kernelInitializer: tf.initializers.heNormal({ seed: ++seed }) })
      .apply(pooled) as SymbolicTensor
    return tf.model({ inputs: input, outputs: output })
  }

  /** Three kinds of image: bright on the left, on the right, or in the middle, with noise. */
  const images = (count: number, seed: number) => {
    const labels = Array.from({ length: count }, (_, i) => i % 3)
    const xs = tf.tidy(() => {
      const patterns = tf.tensor4d(
        labels.flatMap((label) =>
          Array.from({ length: 8 * 8 * 3 }, (_, i) => (Math.floor((Math.floor(i / 3) % 8) / 3) === label ? 1 : 0)),
        ),
        [count, 8, 8, 3],
      )
      return tf.add(patterns, tf.randomNormal([count, 8, 8, 3], 0, 0.5, 'float32', seed))
    })
    return { xs, ys: tf.oneHot(tf.tensor1d(labels, 'int32'), 3) }
  }

  test('goes through the whole path: dense training, pruning, sharing, fine-tuning, resumed in the middle', async () => {
    const model = resnet20()
    const { variables, kernels, unknown } = modelWeights(model)
    // 1 + 18 convolutions, 2 shortcuts, 1 dense.
    expect(kernels).toHaveLength(22)
    expect(unknown).toEqual([])
    const loss = (labels: Tensor, logits: Tensor) => tf.losses.softmaxCrossEntropy(labels, logits) as Scalar
    const accuracy = (labels: Tensor, logits: Tensor) =>
      tf.cast(tf.equal(tf.argMax(labels, 1), tf.argMax(logits, 1)), 'float32')
    const common = { data: images(96, 1), batchSize: 32, loss, metrics: { accuracy }, validation: images(60, 2) }
    const training = new CentroidTraining(tf, { variables, optimizer: tf.train.adam(0.01), reduction: 'mean' })
    const dense = await retrainModel(tf, model, { ...common, training, budget: { steps: 30 }, evaluateEvery: 30 })
    expect(dense.logs!.accuracy).toBeGreaterThan(0.6)

    const pruning = new Pruning(tf, training, { density: 0.4, names: kernels, leastDensity: 0.1, every: 5 })
    const pruned = await retrainModel(tf, model, {
      ...common,
      training,
      pruning,
      budget: { steps: 30 },
      evaluateEvery: 30,
    })
    expect(pruning.density()).toBeCloseTo(0.4, 3)
    expect(pruned.logs!.accuracy).toBeGreaterThan(0.6)

    for (const name of kernels) training.share(fourValues(name, variables[name]!.shape, valuesOf(variables[name]!)))
    // The first layer is frozen: it stays as it is shared.
    training.freeze([kernels[0]!])
    const first = valuesOf(variables[kernels[0]!]!)
    const tune = { ...common, training, budget: { steps: 20 }, checkpoint: {}, evaluateEvery: 20 }
    const half = await retrainModel(tf, model, { ...tune, afterStep: (step) => step < 9 })
    const tuned = await retrainModel(tf, model, { ...tune, resume: half.checkpoint! })
    expect(tuned).toMatchObject({ steps: 20, stoppedBy: 'steps' })
    expect(valuesOf(variables[kernels[0]!]!)).toEqual(first)
    expect(tuned.logs!.accuracy).toBeGreaterThan(0.5)
    for (const name of kernels) {
      expect(training.quantized(name).codebook.length).toBeLessThanOrEqual(4)
      expect(decode(training.quantized(name))).toEqual(valuesOf(variables[name]!))
    }
  }, 300_000)
})

test('one shot of pruning is exact for a model whose weights are tied: a layer used twice is counted once', () => {
  const shared = layers.dense({ name: 'twice', units: 2, inputShape: [2], useBias: false })
  const input = tf.input({ shape: [2] })
  const model = tf.model({ inputs: input, outputs: shared.apply(shared.apply(input)) as SymbolicTensor })
  const { variables, kernels } = modelWeights(model)
  expect(kernels).toEqual(['twice/kernel'])
  const training = new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(1) })
  new Pruning(tf, training, { density: 0.5, names: kernels, schedule: oneShotDensity }).beforeStep(0, 0)
  expect(valuesOf(variables['twice/kernel']!).filter((value) => value === 0)).toHaveLength(2)
})
