import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import {
  CentroidTraining,
  cosineRate,
  gradualDensity,
  MaskedTraining,
  Pruning,
  runTraining,
  setLearningRate,
} from '../../src/retrain/index.js'
import { chooseCodes, chooseCodesOrZero } from '../../src/retrain/latent.js'
import type { QuantizedTensor } from '../../src/tensor.js'
import {
  blobNet,
  everyThird,
  isPositiveZero,
  linearLoss,
  maskOf,
  quadraticLoss,
  stepTimes,
  valuesOf,
  variable,
} from '../support/small-nets.js'
import { tf } from '../support/tfjs.js'

afterEach(() => tf.disposeVariables())

describe('masked training', () => {
  test('pruned weights are exactly +0 after 200 steps, in spite of momentum from before the pruning and weight decay', () => {
    const net = blobNet()
    const decayed = () => tf.add(net.loss(), tf.mul(tf.sum(tf.square(net.w1)), 0.01)) as Scalar
    const training = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.momentum(0.05, 0.9, true) })
    stepTimes(training, 20, decayed)
    training.setMask('w1', everyThird(480))
    training.setMask('w2', everyThird(120))
    stepTimes(training, 200, decayed)
    for (const w of [net.w1, net.w2]) {
      const values = valuesOf(w)
      expect(values.filter((_, i) => i % 3 !== 0).every(isPositiveZero)).toBe(true)
      expect(values.filter((value, i) => i % 3 === 0 && value !== 0)).toHaveLength(values.length / 3)
    }
  })

  test('the loss falls although two weights in three are pruned', () => {
    const net = blobNet()
    const training = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.adam(0.01) })
    training.setMask('w1', everyThird(480))
    training.setMask('w2', everyThird(120))
    const before = net.loss().dataSync()[0]!
    stepTimes(training, 100, net.loss)
    expect(net.loss().dataSync()[0]!).toBeLessThan(before * 0.6)
  })

  test('a weight whose mask is lifted lives again', () => {
    const w = variable([1, 1])
    const training = new MaskedTraining(tf, { variables: { w }, optimizer: tf.train.sgd(1) })
    training.setMask('w', maskOf([1, 0]))
    stepTimes(training, 1, linearLoss(w, [2, 2]))
    expect(valuesOf(w)).toEqual([-1, 0])
    training.setMask('w', null)
    stepTimes(training, 1, linearLoss(w, [2, 2]))
    expect(valuesOf(w)).toEqual([-3, -2])
    expect(training.isMasked('w')).toBe(false)
  })

  test('a NaN gradient of a pruned weight leaves it zero', () => {
    const w = variable([4, 0.5])
    const training = new MaskedTraining(tf, { variables: { w }, optimizer: tf.train.sgd(1) })
    training.setMask('w', maskOf([1, 0]))
    stepTimes(training, 1, linearLoss(w, [1, Number.NaN]))
    expect(valuesOf(w)).toEqual([3, 0])
  })

  test('a mask of another length is refused and nothing is changed', () => {
    const w = variable([1, 2, 3])
    const training = new MaskedTraining(tf, { variables: { w }, optimizer: tf.train.sgd(1) })
    expect(() => training.setMask('w', new Uint32Array(2))).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    expect(() => training.setMask('x', new Uint32Array(1))).toThrow(/no variable "x"/)
    expect(valuesOf(w)).toEqual([1, 2, 3])
  })
})

describe('freezing', () => {
  test('a frozen layer does not move by a bit, and moves again when it is free', () => {
    const net = blobNet()
    const training = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.adam(0.01) })
    const start = valuesOf(net.w1)
    training.freeze(['w1', 'b1'])
    stepTimes(training, 30, net.loss)
    expect(valuesOf(net.w1)).toEqual(start)
    training.free(['w1'])
    training.freeze(['w2'])
    const second = valuesOf(net.w2)
    stepTimes(training, 30, net.loss)
    expect(valuesOf(net.w1)).not.toEqual(start)
    expect(valuesOf(net.w2)).toEqual(second)
  })

  test('momentum stays with its own variable when another one is frozen', () => {
    // By hand, rate 0.5, momentum 0.5, gradient = w: v = 0.5 v + w; w = w - 0.5 v.
    // b: w 8, v 8, w 4 (step 1); v 8, w 0 (step 2). a is frozen in step 2: w 4, v 4, w 2; step 3: v 4, w 0.
    const a = variable([4])
    const b = variable([8, 8])
    const training = new MaskedTraining(tf, { variables: { a, b }, optimizer: tf.train.momentum(0.5, 0.5) })
    stepTimes(training, 1, quadraticLoss(a, b))
    training.freeze(['a'])
    stepTimes(training, 1, quadraticLoss(a, b))
    expect([valuesOf(a), valuesOf(b)]).toEqual([[2], [0, 0]])
    training.free(['a'])
    stepTimes(training, 1, quadraticLoss(a, b))
    // b: v = 0.5 * 8 + 0 = 4, w = -2.
    expect([valuesOf(a), valuesOf(b)]).toEqual([[0], [-2, -2]])
  })

  test('the variables and the model object are the same before and after', () => {
    const model = tf.sequential({
      layers: [tf.layers.dense({ units: 2, inputShape: [3], useBias: false, kernelInitializer: 'ones' })],
    })
    const kernel = model.layers[0]!.trainableWeights[0]!.read() as unknown as Variable
    const x = tf.ones([1, 3])
    const training = new MaskedTraining(tf, { variables: { kernel }, optimizer: tf.train.sgd(0.5) })
    training.setMask('kernel', maskOf([1, 0, 1, 0, 1, 0]))
    stepTimes(training, 1, () => tf.sum(model.apply(x) as Tensor) as Scalar)
    // Column 0 keeps its three ones: 1 - 0.5 each, so 1.5; column 1 is pruned.
    expect(valuesOf(model.predict(x) as Tensor)).toEqual([1.5, 0])
    expect(model.layers[0]!.trainableWeights[0]!.read()).toBe(kernel)
  })

  test.each([
    [{ splice: true }, 'ERR_DC_ARG', /unknown key/],
    [{ splicing: 1 }, 'ERR_DC_TYPE', /splicing/],
    [{ optimizer: 'adam' }, 'ERR_DC_TYPE', /optimizer/],
    [{ reasign: { every: 1 } }, 'ERR_DC_ARG', /unknown key/],
  ])('options %j are refused', (options, code, message) => {
    const all = { variables: { w: variable([1]) }, optimizer: tf.train.sgd(1), ...options } as never
    for (const make of [() => new MaskedTraining(tf, all), () => new CentroidTraining(tf, all)]) {
      expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    }
  })

  test('training with everything frozen is an error', () => {
    const w = variable([1])
    const training = new MaskedTraining(tf, { variables: { w }, optimizer: tf.train.sgd(1) })
    training.freeze(['w'])
    expect(() => training.step(quadraticLoss(w))).toThrow(/every variable is frozen/)
  })
})

describe.each(['host', 'device'] as const)('centroid training, codes on the %s', (placement) => {
  const shared = (changes: Partial<QuantizedTensor> = {}): QuantizedTensor => ({
    name: 'w',
    shape: [2, 3],
    mask: maskOf([1, 1, 0, 1, 1, 1]),
    kept: 5,
    codes: Uint8Array.from([0, 1, 0, 1, 1]),
    codebook: Float32Array.from([-1, 2]),
    ...changes,
  })

  test('the weights take the shared values at once and the pruned ones become +0', () => {
    const w = variable([9, 9, 9, 9, 9, 9], [2, 3])
    new CentroidTraining(tf, { variables: { w }, shared: [shared()], optimizer: tf.train.sgd(1), placement })
    expect(valuesOf(w)).toEqual([-1, 2, 0, -1, 2, 2])
    expect(isPositiveZero(valuesOf(w)[2]!)).toBe(true)
  })

  test('the gradient of a centroid is the sum of the gradients of its weights', () => {
    const w = variable([0, 0, 0, 0, 0, 0], [2, 3])
    const training = new CentroidTraining(tf, {
      variables: { w },
      shared: [shared()],
      optimizer: tf.train.sgd(0.25),
      placement,
    })
    // Cluster 0 sums 1 + 3 = 4, cluster 1 sums 2 + 4 + 6 = 12; the 100 belongs to a pruned weight.
    stepTimes(training, 1, linearLoss(w, [1, 2, 100, 3, 4, 6]))
    expect(valuesOf(w)).toEqual([-2, -1, 0, -2, -1, -1])
    expect(Array.from(training.quantized('w').codebook)).toEqual([-2, -1])
  })

  test('with mean it is their mean', () => {
    const w = variable([0, 0, 0, 0, 0, 0], [2, 3])
    const training = new CentroidTraining(tf, {
      variables: { w },
      shared: [shared()],
      optimizer: tf.train.sgd(0.25),
      reduction: 'mean',
      placement,
    })
    stepTimes(training, 1, linearLoss(w, [1, 2, 100, 3, 4, 6]))
    expect(valuesOf(w)).toEqual([-1.5, 1, 0, -1.5, 1, 1])
  })

  test('what was read or cloned from the weights before a step does not change with it', () => {
    const w = variable([0, 0, 0, 0, 0, 0], [2, 3])
    const training = new CentroidTraining(tf, {
      variables: { w },
      shared: [shared()],
      optimizer: tf.train.sgd(1),
      placement,
    })
    stepTimes(training, 1, linearLoss(w, [1, 0, 0, 0, 0, 0]))
    const read = w.dataSync()
    const cloned = w.clone()
    stepTimes(training, 2, linearLoss(w, [1, 0, 0, 0, 0, 0]))
    expect(Array.from(read)).toEqual([-2, 2, 0, -2, 2, 2])
    expect(valuesOf(cloned)).toEqual([-2, 2, 0, -2, 2, 2])
    expect(valuesOf(w)).toEqual([-4, 2, 0, -4, 2, 2])
  })

  test('sums are right for every remainder of the lanes they are kept in', () => {
    for (let count = 1; count <= 9; count++) {
      const w = variable(new Array(count).fill(0))
      const all = shared({
        shape: [count],
        mask: null,
        kept: count,
        codes: new Uint8Array(count),
        codebook: Float32Array.from([8]),
      })
      const training = new CentroidTraining(tf, {
        variables: { w },
        shared: [all],
        optimizer: tf.train.sgd(1),
        placement,
      })
      stepTimes(
        training,
        1,
        linearLoss(
          w,
          Array.from({ length: count }, (_, i) => 2 ** i),
        ),
      )
      // 1 + 2 + 4 + ...
      expect(valuesOf(w)[count - 1]).toBe(8 - (2 ** count - 1))
    }
  })

  test('without a mask every weight is shared', () => {
    const w = variable([0, 0, 0], [3])
    const all = shared({ shape: [3], mask: null, kept: 3, codes: Uint8Array.from([1, 0, 1]) })
    const training = new CentroidTraining(tf, {
      variables: { w },
      shared: [all],
      optimizer: tf.train.sgd(1),
      placement,
    })
    stepTimes(training, 1, linearLoss(w, [1, 2, 4]))
    expect(valuesOf(w)).toEqual([-3, -3, -3])
  })

  test('an unshared variable beside it is trained as it is, and a frozen one not at all', () => {
    const w = variable([0, 0, 0, 0, 0, 0], [2, 3])
    const bias = variable([1, 1])
    const training = new CentroidTraining(tf, {
      variables: { w, bias },
      shared: [shared()],
      optimizer: tf.train.momentum(1, 0.9),
      placement,
    })
    training.freeze(['w'])
    stepTimes(training, 1, linearLoss(bias, [1, 2]))
    expect(valuesOf(bias)).toEqual([0, -1])
    expect(valuesOf(w)).toEqual([-1, 2, 0, -1, 2, 2])
    training.free(['w'])
    training.freeze(['bias'])
    stepTimes(training, 1, linearLoss(w, [1, 0, 0, 0, 0, 0]))
    expect(valuesOf(bias)).toEqual([0, -1])
    expect(valuesOf(w)).toEqual([-2, 2, 0, -2, 2, 2])
  })

  test('a step holds no tensor back', () => {
    const net = blobNet()
    const training = new CentroidTraining(tf, {
      variables: net.variables,
      shared: [sharedFromValues('w1', [12, 40], net.w1, 16)],
      optimizer: tf.train.adam(0.01),
      placement,
    })
    stepTimes(training, 3, net.loss)
    const before = tf.memory().numTensors
    stepTimes(training, 20, net.loss)
    expect(tf.memory().numTensors).toBe(before)
  })
})

/** Sixteen evenly spaced centroids over the values' range and the nearest code of each weight. */
function sharedFromValues(name: string, shape: number[], w: Variable, clusters: number): QuantizedTensor {
  const values = valuesOf(w)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const codebook = Float32Array.from({ length: clusters }, (_, i) => low + ((high - low) * i) / (clusters - 1))
  const codes = Uint8Array.from(values, (value) => Math.round(((value - low) / (high - low)) * (clusters - 1)))
  return { name, shape, mask: null, kept: codes.length, codes, codebook }
}

describe('centroid training', () => {
  test('lowers the loss while each weight stays one of its centroids', () => {
    const net = blobNet()
    const training = new CentroidTraining(tf, {
      variables: net.variables,
      shared: [sharedFromValues('w1', [12, 40], net.w1, 8), sharedFromValues('w2', [40, 3], net.w2, 8)],
      optimizer: tf.train.adam(0.005),
    })
    const before = net.loss().dataSync()[0]!
    stepTimes(training, 200, net.loss)
    expect(net.loss().dataSync()[0]!).toBeLessThan(before / 2)
    expect(new Set(valuesOf(net.w1)).size).toBeLessThanOrEqual(8)
  })

  test('centroids that trade places come back ascending, equal ones merged, codes renumbered', () => {
    const w = variable([0, 0, 0, 0])
    const source = {
      name: 'w',
      shape: [4],
      mask: null,
      kept: 4,
      codes: Uint8Array.from([0, 1, 2, 0]),
      codebook: Float32Array.from([1, 2, 3]),
    }
    const training = new CentroidTraining(tf, { variables: { w }, shared: [source], optimizer: tf.train.sgd(1) })
    // Gradients 0+0, -4, 0: the second centroid moves from 2 to 6, past the third.
    stepTimes(training, 1, linearLoss(w, [0, -4, 0, 0]))
    let result = training.quantized('w')
    expect([Array.from(result.codebook), Array.from(result.codes)]).toEqual([
      [1, 3, 6],
      [0, 2, 1, 0],
    ])
    // Now the second one falls to 3, where the third already is.
    stepTimes(training, 1, linearLoss(w, [0, 3, 0, 0]))
    result = training.quantized('w')
    expect([Array.from(result.codebook), Array.from(result.codes)]).toEqual([
      [1, 3],
      [0, 1, 1, 0],
    ])
  })

  test.each([
    ['another shape', { shape: [5] }, /shape/],
    ['a code outside the codebook', { codes: Uint8Array.from([0, 1, 2]) }, /code 2/],
    ['too few codes', { codes: Uint8Array.from([0]) }, /1 codes for 3/],
    ['a mask of the wrong length', { mask: new Uint32Array(2) }, /mask has 2 words/],
    ['an unknown variable', { name: 'v' }, /no variable "v"/],
  ])('%s is refused', (_, changes, message) => {
    const w = variable([0, 0, 0])
    const source = {
      name: 'w',
      shape: [3],
      mask: null,
      kept: 3,
      codes: new Uint8Array(3),
      codebook: Float32Array.from([1, 2]),
    }
    const make = () =>
      new CentroidTraining(tf, { variables: { w }, shared: [{ ...source, ...changes }], optimizer: tf.train.sgd(1) })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG', message: expect.stringMatching(message) }))
    expect(valuesOf(w)).toEqual([0, 0, 0])
  })
})

describe('choosing codes anew', () => {
  const training = (mask: Uint32Array | null, codes: number[]) => {
    const w = variable([0, 1, 4])
    const source = {
      name: 'w',
      shape: [3],
      mask,
      kept: codes.length,
      codes: Uint8Array.from(codes),
      codebook: Float32Array.from([0, 4]),
    }
    const reassign = { every: 2, rate: 1 }
    return {
      w,
      trainer: new CentroidTraining(tf, { variables: { w }, shared: [source], optimizer: tf.train.sgd(1), reassign }),
    }
  }

  test('a weight that its gradients carry nearer to another centroid moves there, at the given steps only', () => {
    const { w, trainer } = training(null, [0, 0, 1])
    expect(valuesOf(w)).toEqual([0, 0, 4])
    // Its own way: 1, 2.25, 3.5. The first centroid: 0, 1.25, 2.5.
    stepTimes(trainer, 1, linearLoss(w, [0, -1.25, 0]))
    expect(valuesOf(w)).toEqual([1.25, 1.25, 4])
    stepTimes(trainer, 1, linearLoss(w, [0, -1.25, 0]))
    expect(valuesOf(w)).toEqual([2.5, 4, 4])
    expect(Array.from(trainer.quantized('w').codes)).toEqual([0, 1, 1])
  })

  test('a pruned weight stays zero, and a centroid that nobody chose is not in the codebook', () => {
    const { w, trainer } = training(maskOf([0, 1, 1]), [0, 1])
    stepTimes(trainer, 2, linearLoss(w, [100, -8, 1]))
    // Their own ways: 1 + 16, 4 - 2. Centroids: 0 + 16, 4 - 2.
    expect(valuesOf(w)).toEqual([0, 16, 2])
    expect(Object.is(valuesOf(w)[0], 0)).toBe(true)
    stepTimes(trainer, 2, linearLoss(w, [100, 7.5, 0]))
    // 17 - 15 = 2 and 2; centroids 16 - 15 = 1 and 2: both choose 2.
    expect(valuesOf(w)).toEqual([0, 2, 2])
    expect(trainer.quantized('w')).toMatchObject({ codebook: Float32Array.of(2), codes: Uint8Array.of(0, 0) })
  })

  test('a frozen layer keeps its codes', () => {
    const { w, trainer } = training(null, [0, 0, 1])
    trainer.freeze(['w'])
    expect(() => trainer.step(linearLoss(w, [0, -9, 0]))).toThrow(/every variable is frozen/)
    expect(valuesOf(w)).toEqual([0, 0, 4])
  })

  test('the nearest is chosen, ties to the lower value whatever its code; a price for bits favours the common code', () => {
    const codebook = Float32Array.of(1, 0)
    expect(Array.from(chooseCodes(Float32Array.of(0.4, 0.5, 0.6), codebook, Uint8Array.of(0, 1, 1), 0))).toEqual([
      1, 1, 0,
    ])
    // Shares 3/4 and 1/4: 0.415 and 2 bits. 0.4: 0.36 + 0.083 = 0.443 against 0.16 + 0.4 = 0.56. 0.1: 0.893 against 0.41.
    expect(Array.from(chooseCodes(Float32Array.of(0.4, 0.1), codebook, Uint8Array.of(0, 0, 0, 1), 0.2))).toEqual([0, 1])
  })

  test('zero is a choice that pays for no place: its bits are those of the pruned, all others pay for the density too', () => {
    const codebook = Float32Array.of(1)
    // 2 of 8 kept: 2 bits for the code, 0.415 for zero. At price 0.2: 0.6 costs 0.16 + 0.4 = 0.56, or 0.36 + 0.083 = 0.443.
    const assignment = { codes: Uint8Array.of(0, 0), count: 8 }
    expect(Array.from(chooseCodesOrZero(Float32Array.of(0.6, 0.9), codebook, assignment, 0.2))).toEqual([1, 0])
    // Without a price the nearest; with nothing pruned yet, 0.4 stands for what would be: 1 bit each.
    expect(Array.from(chooseCodesOrZero(Float32Array.of(0.6, 0.4), codebook, assignment, 0))).toEqual([0, 1])
    const all = { codes: Uint8Array.of(0, 0), count: 2 }
    expect(Array.from(chooseCodesOrZero(Float32Array.of(0.6, 0.4), codebook, all, 0.2))).toEqual([0, 1])
  })

  test('a weight that chooses zero is pruned, goes on learning behind it, and comes back', () => {
    const w = variable([4, 4, 4, 9])
    const source = {
      name: 'w',
      shape: [4],
      mask: maskOf([1, 1, 1, 0]),
      kept: 3,
      codes: new Uint8Array(3),
      codebook: Float32Array.of(4),
    }
    const training = new CentroidTraining(tf, {
      variables: { w },
      shared: [source],
      optimizer: tf.train.sgd(0),
      reassign: { every: 1, rate: 1, prune: true },
    })
    stepTimes(training, 1, linearLoss(w, [3, 0, 0, 5]))
    // Their own ways: 1, 4, 4; nearer to zero than to 4: the first.
    expect(valuesOf(w)).toEqual([0, 4, 4, 0])
    expect(Array.from(training.mask('w')!)).toEqual([0b0110])
    expect(training.quantized('w')).toMatchObject({ kept: 2, mask: Uint32Array.of(0b0110), codes: new Uint8Array(2) })
    stepTimes(training, 1, linearLoss(w, [-2, 4, 4, 5]))
    // 3, 0, 0: the first is back, the others are gone.
    expect(valuesOf(w)).toEqual([4, 0, 0, 0])
    stepTimes(training, 1, linearLoss(w, [3, 0, 0, 0]))
    // Nothing is left.
    expect(valuesOf(w)).toEqual([0, 0, 0, 0])
    expect(training.quantized('w')).toMatchObject({ kept: 0, mask: Uint32Array.of(0), codes: new Uint8Array(0) })
    stepTimes(training, 1, linearLoss(w, [0, -4, 0, 0]))
    expect(valuesOf(w)).toEqual([0, 4, 0, 0])
    training.unshare('w')
    expect(Array.from(training.mask('w')!)).toEqual([0b0010])
  })

  test('a price for bits lowers the entropy of codes and places', () => {
    const bits = [0, 0.015].map((bitPrice) => {
      const net = blobNet()
      const training = new CentroidTraining(tf, {
        variables: net.variables,
        shared: [sharedFromValues('w1', [12, 40], net.w1, 8)],
        optimizer: tf.train.sgd(0.001),
        reassign: { every: 10, rate: 0.1, bitPrice, prune: true },
      })
      stepTimes(training, 60, net.loss)
      const { codes, codebook } = training.quantized('w1')
      const counts = [480 - codes.length, ...Array.from(codebook, (_, c) => codes.filter((code) => code === c).length)]
      return counts.reduce((sum, count) => sum + (count === 0 ? 0 : count * Math.log2(480 / count)), 0)
    })
    expect(bits[1]!).toBeLessThan(0.95 * bits[0]!)
  })

  test('re-assigned codes lower the loss at least as well as fixed ones', () => {
    const losses = [false, true].map((anew) => {
      const net = blobNet()
      const trainer = new CentroidTraining(tf, {
        variables: net.variables,
        shared: [sharedFromValues('w1', [12, 40], net.w1, 4), sharedFromValues('w2', [40, 3], net.w2, 4)],
        optimizer: tf.train.adam(0.002),
        ...(anew ? { reassign: { every: 10, rate: 0.3 } } : {}),
      })
      stepTimes(trainer, 150, net.loss)
      return net.loss().dataSync()[0]!
    })
    expect(losses[1]).toBeLessThanOrEqual(losses[0]!)
  })

  test.each([[{ every: 0 }], [{ every: 1, rate: -1 }], [{ every: 1, bitPrice: Number.NaN }], [{ each: 1 }]])(
    'reassign %j is refused',
    (reassign) => {
      const w = variable([1])
      const make = () =>
        new CentroidTraining(tf, { variables: { w }, optimizer: tf.train.sgd(1), reassign: reassign as never })
      expect(make).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    },
  )
})

describe('sharing in a live model', () => {
  test('layers are shared one at a time and given back, pruned weights staying zero throughout', () => {
    const [a, b] = [variable([1, 2, 3, 4]), variable([1, 1])]
    const optimizer = tf.train.momentum(1, 0.5)
    const training = new CentroidTraining(tf, { variables: { a, b }, optimizer })
    training.setMask('a', maskOf([0, 1, 1, 1]))
    stepTimes(training, 1, linearLoss(a, [9, 1, 1, 1]))
    expect(valuesOf(a)).toEqual([0, 1, 2, 3])
    const source = {
      name: 'a',
      shape: [4],
      mask: maskOf([0, 1, 1, 1]),
      kept: 3,
      codes: Uint8Array.of(0, 0, 1),
      codebook: Float32Array.of(1.5, 3),
    }
    training.share(source)
    expect(valuesOf(a)).toEqual([0, 1.5, 1.5, 3])
    // The momentum of the weights is gone: 1.5 - 2, 3 - 1.
    stepTimes(training, 1, linearLoss(a, [9, 1, 1, 1]))
    expect(valuesOf(a)).toEqual([0, -0.5, -0.5, 2])
    expect(() => training.setMask('a', null)).toThrow(/shared weights/)
    training.unshare('a')
    expect(training.isShared('a')).toBe(false)
    // Each its own again, without momentum, and the first still pruned.
    stepTimes(training, 1, linearLoss(a, [9, 0.5, 1, 0]))
    expect(valuesOf(a)).toEqual([0, -1, -1.5, 2])
    expect(Object.is(valuesOf(a)[0], 0)).toBe(true)
    expect(() => training.quantized('a')).toThrow(/no shared weights/)
  })

  test('sharing a layer again with other codes gives the first codebook back', () => {
    const a = variable([1, 2])
    const training = new CentroidTraining(tf, { variables: { a }, optimizer: tf.train.adam(0.1) })
    const source = {
      name: 'a',
      shape: [2],
      mask: null,
      kept: 2,
      codes: Uint8Array.of(0, 0),
      codebook: Float32Array.of(5),
    }
    training.share(source)
    stepTimes(training, 2, quadraticLoss(a))
    const before = tf.memory().numTensors
    for (let i = 0; i < 5; i++) {
      training.share({ ...source, codes: Uint8Array.of(0, 1), codebook: Float32Array.of(1, 2) })
      stepTimes(training, 2, quadraticLoss(a))
    }
    expect(tf.memory().numTensors).toBe(before)
    training.dispose()
    // The codebook; the slots belong to the optimizer.
    expect(tf.memory().numTensors).toBe(before - 1)
  })
})

describe('running', () => {
  const quadratic = () => {
    const w = variable([8])
    const optimizer = tf.train.sgd(0.5)
    return { w, optimizer, loss: quadraticLoss(w), training: new MaskedTraining(tf, { variables: { w }, optimizer }) }
  }

  test('a masked step holds no tensor back', async () => {
    const net = blobNet()
    const training = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.adam(0.01) })
    training.setMask('w1', everyThird(480))
    await runTraining(training, { budget: { steps: 3 }, loss: net.loss })
    const before = tf.memory().numTensors
    await runTraining(training, { budget: { steps: 40 }, loss: net.loss })
    training.setMask('w1', everyThird(480))
    expect(tf.memory().numTensors).toBe(before)
    training.dispose()
    expect(tf.memory().numTensors).toBe(before - 2)
  })

  test('stops after the given steps', async () => {
    const { w, loss, training } = quadratic()
    const result = await runTraining(training, { budget: { steps: 3 }, loss })
    expect(result).toMatchObject({ steps: 3, stoppedBy: 'steps' })
    expect(valuesOf(w)).toEqual([1])
    // Losses 32, 8, 2.
    expect(result.loss).toBe(14)
  })

  test('stops when the time is used up', async () => {
    const { loss, training } = quadratic()
    const result = await runTraining(training, { budget: { seconds: 0.05 }, loss })
    expect(result.stoppedBy).toBe('seconds')
    expect(result.seconds).toBeGreaterThanOrEqual(0.05)
    expect(result.seconds).toBeLessThan(2)
  })

  test('stops when the error is low enough', async () => {
    const { w, loss, training } = quadratic()
    const result = await runTraining(training, {
      budget: { steps: 100, target: 0.5 },
      loss,
      evaluate: () => valuesOf(w)[0]!,
      evaluateEvery: 1,
    })
    expect(result).toMatchObject({ steps: 4, stoppedBy: 'target' })
  })

  test('an abort rejects with its code and leaves the model usable', async () => {
    const { w, loss, training } = quadratic()
    const controller = new AbortController()
    const beforeStep = (step: number) => {
      if (step === 2) controller.abort(new Error('enough'))
    }
    const running = runTraining(training, { budget: { steps: 1e6 }, loss, beforeStep }, { signal: controller.signal })
    await expect(running).rejects.toMatchObject({ code: 'ERR_DC_ABORTED', cause: { message: 'enough' } })
    expect(valuesOf(w)).toEqual([1])
    await runTraining(training, { budget: { steps: 1 }, loss })
    expect(valuesOf(w)).toEqual([0.5])
  })

  test('a loss that is not a number ends the run with its step', async () => {
    const { w, training } = quadratic()
    const loss = () => tf.mul(tf.sum(w), Number.NaN) as Scalar
    const running = runTraining(training, { budget: { steps: 5 }, loss })
    await expect(running).rejects.toMatchObject({ code: 'ERR_DC_NONFINITE', offset: 0 })
  })

  test('reports progress and lets the event loop turn', async () => {
    const net = blobNet()
    const training = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.adam(0.01) })
    const seen: number[] = []
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await runTraining(training, { budget: { steps: 200 }, loss: net.loss }, { onProgress: (p) => seen.push(p.done) })
    clearInterval(timer)
    expect(turns).toBeGreaterThan(2)
    expect(seen.length).toBeGreaterThan(2)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
  })

  test('the rate follows its schedule, also for optimizers that cache it', async () => {
    const { w, optimizer, training } = quadratic()
    const schedule = (progress: number) => 1 - progress
    await runTraining(training, {
      budget: { steps: 2 },
      loss: linearLoss(w, [1]),
      learningRate: { optimizer, schedule },
    })
    // 8 - 1 * 1 - 0.5 * 1
    expect(valuesOf(w)).toEqual([6.5])
    const adam = tf.train.adam(0.1)
    setLearningRate(adam, 0)
    const frozen = new MaskedTraining(tf, { variables: { w }, optimizer: adam })
    stepTimes(frozen, 3, linearLoss(w, [1]))
    expect(valuesOf(w)).toEqual([6.5])
  })

  test.each([
    [{}, /steps or seconds/],
    [{ steps: 0 }, /steps/],
    [{ steps: 1, target: 2 }, /evaluate/],
    [{ step: 1 }, /unknown key/],
  ])('budget %j is refused', async (budget, message) => {
    const { loss, training } = quadratic()
    await expect(runTraining(training, { budget: budget as never, loss })).rejects.toThrow(message)
  })
})

describe('schedules', () => {
  test('what is no list of names, no variables, no loss and no density is refused with a code', async () => {
    const ip1 = tf.variable(tf.zeros([2, 2]))
    const wrong = (value: unknown) => value as never
    const refused = (code: string) => expect.objectContaining({ code })
    expect(() => new MaskedTraining(tf, wrong({ optimizer: tf.train.sgd(1) }))).toThrow(refused('ERR_DC_ARG'))
    const training = new MaskedTraining(tf, { variables: { a: ip1, b: ip1 }, optimizer: tf.train.sgd(1) })
    expect(() => training.freeze(wrong('ab'))).toThrow(refused('ERR_DC_TYPE')) // a string is a list of its letters
    expect(() => training.free(wrong(undefined))).toThrow(refused('ERR_DC_TYPE'))
    expect(() => new Pruning(tf, training, wrong({}))).toThrow(refused('ERR_DC_ARG'))
    const budget = { steps: 1 }
    await expect(runTraining(training, wrong({ budget, loss: 5 }))).rejects.toThrow(refused('ERR_DC_TYPE'))
  })

  test('the cosine rate starts at 0, peaks after the warm-up and ends at 0', () => {
    const rate = cosineRate(0.2, 0.1)
    expect([0, 0.1, 1].map(rate)).toEqual([0, 0.2, 0])
    expect(rate(0.05)).toBeCloseTo(0.1, 12)
    expect(rate(0.55)).toBeCloseTo(0.1, 12)
  })

  test('the density falls along a cubic and then stays', () => {
    const density = gradualDensity(0.2, 0.5)
    expect([0, 0.25, 0.5, 1].map((p) => Number(density(p).toFixed(12)))).toEqual([1, 0.3, 0.2, 0.2])
  })
})
