import type { LayersModel, Scalar, Tensor } from '@tensorflow/tfjs'
import { type CompressModelOptions, type CurvePoint, compressModel } from '../../src/retrain/index.js'
import { tf } from '../support/tfjs.js'

// Seconds on a free machine; a busy one must not fail it.
jest.setTimeout(300_000)

afterEach(() => tf.disposeVariables())

const { layers } = tf
const seeded = (seed: number) => tf.initializers.randomNormal({ mean: 0, stddev: 0.3, seed })

/** Blobs of three kinds in twelve dimensions, some of them mixed up, and a net trained on them. */
function blobs(count: number, seed: number) {
  const labels = Array.from({ length: count }, (_, i) => i % 3)
  const ys = tf.oneHot(tf.tensor1d(labels, 'int32'), 3)
  const xs = tf.add(tf.randomNormal([count, 12], 0, 0.45, 'float32', seed), tf.oneHot(tf.tensor1d(labels, 'int32'), 12))
  return { xs, ys }
}

const crossEntropy = (labels: Tensor, logits: Tensor) => tf.losses.softmaxCrossEntropy(labels, logits) as Scalar

function trainedNet(): LayersModel {
  const model = tf.sequential({
    layers: [
      layers.dense({ name: 'hidden', units: 64, inputShape: [12], activation: 'relu', kernelInitializer: seeded(1) }),
      layers.batchNormalization({ name: 'norm', momentum: 0.8 }),
      layers.dense({ name: 'answer', units: 3, kernelInitializer: seeded(2) }),
    ],
  })
  const [optimizer, { xs, ys }] = [tf.train.adam(0.01), blobs(240, 3)]
  for (let i = 0; i < 60; i++) optimizer.minimize(() => crossEntropy(ys, model.apply(xs, { training: true }) as Tensor))
  return model
}

const bytesOf = (model: LayersModel) =>
  model.getWeights().map((w) => Buffer.from(Float32Array.from(w.dataSync()).buffer).toString('hex'))

function wrong(model: LayersModel, { xs, ys }: { xs: Tensor; ys: Tensor }): number {
  const [answers, labels] = [tf.argMax(model.predict(xs) as Tensor, 1).dataSync(), tf.argMax(ys, 1).dataSync()]
  return labels.filter((label, i) => label !== answers[i]).length / labels.length
}

describe('compressing a model under a contract', () => {
  const run = async (options: CompressModelOptions = {}) => {
    const model = trainedNet()
    const data = { train: blobs(240, 3), validation: blobs(150, 4) }
    const before = wrong(model, data.validation)
    const seen: CurvePoint[] = []
    const settings = {
      loss: crossEntropy,
      steps: 60,
      tries: 8,
      rate: 0.01,
      leastDensity: 0.05,
      clusters: 16,
      onTry: (p: CurvePoint) => void seen.push(p),
    }
    const result = await compressModel(tf, model, data, { ...settings, ...options })
    return { model, data, before, seen, result }
  }

  test('answers the smallest archive of its curve that holds, and the model is what the archive decodes to', async () => {
    const { model, data, before, seen, result } = await run({ maxErrorIncrease: 0.05 })
    const { archive, curve, errorBefore, errorAfter } = result
    expect(errorBefore).toBeCloseTo(before, 6)
    expect(seen).toEqual(curve)
    expect(curve[0]).toMatchObject({ density: 1, clusters: {}, error: errorBefore, holds: true })
    for (const point of curve) expect(point.holds).toBe(point.error <= errorBefore + 0.05)
    const holding = curve.filter((point) => point.holds)
    expect(archive.report().compressedBytes).toBe(Math.min(...holding.map((point) => point.bytes)))
    expect(archive.report().compressedBytes).toBeLessThan(curve[0]!.bytes / 2)
    expect(errorAfter).toBeLessThanOrEqual(errorBefore + 0.05)
    expect(wrong(model, data.validation)).toBeCloseTo(errorAfter, 6)
    // Every weight of the model, moving means too, decoded from the file.
    const names = [
      'hidden/kernel',
      'hidden/bias',
      'norm/gamma',
      'norm/beta',
      'answer/kernel',
      'answer/bias',
      'norm/moving_mean',
      'norm/moving_variance',
    ]
    expect([...archive.tensors.keys()].sort()).toEqual([...names].sort())
    const live = new Map(
      model.weights.map((weight) => [weight.originalName, Float32Array.from(weight.read().dataSync())]),
    )
    for (const name of names) expect(await archive.decode(name)).toEqual(live.get(name))
    archive.dispose()
  })

  test('a looser contract gives a smaller archive', async () => {
    const strict = (await run({ tries: 4 })).result
    const loose = (await run({ tries: 4, maxErrorIncrease: 1 })).result
    expect(loose.curve.every((point) => point.holds)).toBe(true)
    expect(loose.archive.report().compressedBytes).toBeLessThanOrEqual(strict.archive.report().compressedBytes)
  })

  test('an abort leaves the weights as they were, and nothing behind', async () => {
    const model = trainedNet()
    const data = { train: blobs(240, 3), validation: blobs(150, 4) }
    const before = bytesOf(model)
    const tensors = tf.memory().numTensors
    const controller = new AbortController()
    const onTry = () => controller.abort()
    const running = compressModel(
      tf,
      model,
      data,
      { loss: crossEntropy, steps: 20, onTry },
      { signal: controller.signal },
    )
    await expect(running).rejects.toMatchObject({ code: 'ERR_DC_ABORTED' })
    expect(bytesOf(model)).toEqual(before)
    expect(tf.memory().numTensors).toBe(tensors)
  })

  test('labels that are no classes need an error of their own, and a model without kernels is refused', async () => {
    const model = tf.sequential({
      layers: [layers.dense({ name: 'd', units: 1, inputShape: [2], kernelInitializer: seeded(1) })],
    })
    const xs = tf.randomNormal([20, 2], 0, 1, 'float32', 1)
    const data = { train: { xs, ys: tf.ones([20, 1]) }, validation: { xs, ys: tf.ones([20, 1]) } }
    const loss = (labels: Tensor, answers: Tensor) => tf.mean(tf.square(tf.sub(labels, answers)))
    await expect(compressModel(tf, model, data, { loss })).rejects.toThrow(/options.error/)
    await expect(compressModel(tf, model, data, { loss, match: 'x*' })).rejects.toThrow(/no kernel/)
    const error = (labels: Tensor, answers: Tensor) => tf.abs(tf.sub(labels, answers))
    const { curve, archive } = await compressModel(tf, model, data, { loss, error, tries: 2, steps: 5 })
    expect(curve.length).toBeGreaterThan(1)
    archive.dispose()
  })

  test.each([[{ maxErrorIncrease: -1 }], [{ tries: 0 }], [{ clusters: 1 }], [{ density: 0.5 }]])(
    'options %j are refused',
    async (options) => {
      await expect(run(options as never)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    },
  )
})
