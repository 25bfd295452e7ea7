import type { Optimizer, Scalar, Variable } from '@tensorflow/tfjs-core'
import {
  CentroidTraining,
  cosineRate,
  MaskedTraining,
  Pruning,
  packState,
  type ReassignOptions,
  type RunOptions,
  runTraining,
  StoppedRunError,
  unpackState,
} from '../../src/retrain/index.js'
import type { QuantizedTensor } from '../../src/tensor.js'
import {
  blobNet,
  everyThird,
  linearLoss,
  maskOf,
  quadraticLoss,
  stepTimes,
  valuesOf,
  variable,
} from '../support/small-nets.js'
import { tf } from '../support/tfjs.js'

// Seconds on a free machine; a busy one must not fail it.
jest.setTimeout(300_000)

afterEach(() => tf.disposeVariables())

const STEPS = 16
const OPTIMIZERS: Record<string, () => Optimizer> = {
  momentum: () => tf.train.momentum(0.05, 0.9, true),
  adam: () => tf.train.adam(0.01),
  sgd: () => tf.train.sgd(0.05),
  rmsprop: () => tf.train.rmsprop(0.01, 0.9, 0.5),
  adagrad: () => tf.train.adagrad(0.05),
  adadelta: () => tf.train.adadelta(0.5),
  adamax: () => tf.train.adamax(0.01),
}

/** Fresh everything, as a new process would have: only the checkpoint's bytes go from one to the next. */
function masked(optimizer: Optimizer, splicing: boolean, criterion: 'magnitude' | 'first-order') {
  const net = blobNet()
  const trainer = new MaskedTraining(tf, { variables: net.variables, optimizer, splicing })
  const pruning = new Pruning(tf, trainer, { density: 0.3, names: ['w1', 'w2'], every: 3, criterion })
  return { net, trainer, optimizer, pruning }
}

function sharedBlobs(w: Variable, name: string, mask: Uint32Array | null, clusters: number): QuantizedTensor {
  const values = valuesOf(w).filter((_, i) => !mask || (mask[i >>> 5]! >>> (i & 31)) & 1)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const codebook = Float32Array.from({ length: clusters }, (_, i) => low + ((high - low) * i) / (clusters - 1))
  const codes = Uint8Array.from(values, (value) => Math.round(((value - low) / (high - low)) * (clusters - 1)))
  return { name, shape: w.shape, mask, kept: codes.length, codes, codebook }
}

function centroids(optimizer: Optimizer, reassign?: Partial<ReassignOptions>) {
  const net = blobNet()
  const trainer = new CentroidTraining(tf, {
    variables: net.variables,
    shared: [sharedBlobs(net.w1, 'w1', everyThird(480), 8)],
    optimizer,
    reduction: 'mean',
    ...(reassign ? { reassign: { every: 4, rate: 0.05, ...reassign } } : {}),
  })
  // Layers change their kind on the way: the second is shared and frozen, and freed again.
  const beforeStep = (step: number) => {
    if (step === 3) trainer.share(sharedBlobs(net.w2, 'w2', null, 5))
    if (step === 6) trainer.freeze(['w2'])
    if (step === 9) trainer.free(['w2'])
    if (step === 12) trainer.unshare('w2')
  }
  return { net, trainer, optimizer, beforeStep }
}

type Setup = {
  net: ReturnType<typeof blobNet>
  trainer: MaskedTraining
  optimizer: Optimizer
  pruning?: Pruning
  beforeStep?: (step: number) => void
}

/** Runs to `stopAt` (or to the end) and answers the weights' bytes and the final checkpoint. */
async function run(setup: Setup, stopAt: number, resume?: Uint8Array) {
  const { net, trainer, optimizer, pruning, beforeStep } = setup
  // Every step has a loss of its own, as with batches.
  const loss = (step: number) => tf.mul(net.loss(), 1 + (step % 5) / 10) as Scalar
  const options: RunOptions = {
    budget: { steps: STEPS },
    loss,
    learningRate: { optimizer, schedule: cosineRate(0.05, 0.2) },
    beforeStep: (step, progress) => {
      beforeStep?.(step)
      pruning?.beforeStep(step, progress)
    },
    afterStep: (step) => step + 1 < stopAt,
    checkpoint: { every: 1000, parts: pruning ? { pruning } : {} },
    ...(resume ? { resume } : {}),
  }
  const result = await runTraining(trainer, options)
  const weights = Object.values(net.variables).map((w) =>
    Buffer.from(Float32Array.from(w.dataSync()).buffer).toString('hex'),
  )
  trainer.dispose()
  pruning?.dispose()
  tf.disposeVariables()
  return { weights, result }
}

describe('a run stopped at any step and resumed is byte for byte one that was not', () => {
  const cases: [string, (optimizer: Optimizer) => Setup][] = [
    ['masked, magnitude', (optimizer) => masked(optimizer, false, 'magnitude')],
    ['masked, first-order, splicing', (optimizer) => masked(optimizer, true, 'first-order')],
    ['centroids', (optimizer) => centroids(optimizer)],
    ['centroids, re-assigned', (optimizer) => centroids(optimizer, {})],
    ['centroids, pruned by price', (optimizer) => centroids(optimizer, { bitPrice: 0.01, prune: true })],
  ]
  describe.each(cases)('%s', (_, make) => {
    const thorough = ['momentum', 'adam']
    test.each(Object.keys(OPTIMIZERS))('%s', async (name) => {
      const whole = await run(make(OPTIMIZERS[name]!()), STEPS)
      const every = thorough.includes(name) ? 1 : 6
      for (let stop = 1; stop < STEPS; stop += every) {
        const half = await run(make(OPTIMIZERS[name]!()), stop)
        expect(half.result).toMatchObject({ steps: stop, stoppedBy: 'callback' })
        const rest = await run(make(OPTIMIZERS[name]!()), STEPS, half.result.checkpoint)
        expect(rest.result.steps).toBe(STEPS)
        expect(rest.weights).toEqual(whole.weights)
        expect(Buffer.compare(rest.result.checkpoint!, whole.result.checkpoint!)).toBe(0)
        expect(rest.result.loss).toBe(whole.result.loss)
      }
    })
  })
})

describe('stopping', () => {
  const quadratic = () => {
    const w = variable([8])
    const optimizer = tf.train.sgd(0.5)
    return { w, optimizer, loss: quadraticLoss(w), training: new MaskedTraining(tf, { variables: { w }, optimizer }) }
  }

  test('an abort gives the checkpoint of the step it stopped after', async () => {
    const { w, loss, training } = quadratic()
    const controller = new AbortController()
    const afterStep = (step: number) => {
      if (step === 1) controller.abort()
    }
    const options = { budget: { steps: 5 }, loss, afterStep, checkpoint: {} }
    const error = await runTraining(training, options, { signal: controller.signal }).catch((e) => e)
    expect(error).toBeInstanceOf(StoppedRunError)
    expect(error).toMatchObject({ code: 'ERR_DC_ABORTED', step: 2 })
    expect(valuesOf(w)).toEqual([2])
    w.assign(tf.tensor([99]))
    const result = await runTraining(training, { budget: { steps: 5 }, loss, resume: error.checkpoint })
    expect(result).toMatchObject({ steps: 5, stoppedBy: 'steps' })
    expect(valuesOf(w)).toEqual([0.25])
  })

  test('a loss that is no number sets everything back to the last good checkpoint and gives it', async () => {
    const { w, loss, training } = quadratic()
    const saved: number[] = []
    const options: RunOptions = {
      budget: { steps: 9 },
      loss: (step) => (step === 5 ? (tf.mul(loss(), Number.NaN) as Scalar) : loss()),
      checkpoint: { every: 2, save: (_, step) => void saved.push(step) },
    }
    const error = await runTraining(training, options).catch((e) => e)
    expect(error).toBeInstanceOf(StoppedRunError)
    expect(error).toMatchObject({ code: 'ERR_DC_NONFINITE', offset: 5, step: 4 })
    expect(error.message).toMatch(/loss is NaN at step 5.*checkpoint of step 4/)
    expect(saved).toEqual([0, 2, 4])
    // 8, 4, 2, 1, 0.5: of step 4, although step 5 has made it NaN in between.
    expect(valuesOf(w)).toEqual([0.5])
    await runTraining(training, { budget: { steps: 6 }, loss, resume: error.checkpoint })
    expect(valuesOf(w)).toEqual([0.125])
  })

  test('weights that an update has spoilt are never taken for a good checkpoint', async () => {
    const { w, training } = quadratic()
    const afterStep = (step: number) => {
      if (step === 2) w.assign(tf.tensor([Number.NaN]))
    }
    const options = { budget: { steps: 9 }, loss: linearLoss(w, [1]), afterStep, checkpoint: { every: 1 } }
    const error = await runTraining(training, options).catch((e) => e)
    expect(error).toMatchObject({ code: 'ERR_DC_NONFINITE', step: 2 })
    expect(error.message).toMatch(/a weight is no finite number after 3 steps/)
    // Two steps of 0.5 from 8.
    expect(valuesOf(w)).toEqual([7])
  })

  test('afterStep sees every loss and ends the run with false', async () => {
    const { loss, training } = quadratic()
    const losses: number[] = []
    const afterStep = (_: number, value: number) => losses.push(value) < 3
    expect(await runTraining(training, { budget: { steps: 9 }, loss, afterStep })).toMatchObject({
      steps: 3,
      stoppedBy: 'callback',
    })
    expect(losses).toEqual([32, 8, 2])
  })

  test('a part without state and restore is refused', async () => {
    const { loss, training } = quadratic()
    const parts = { data: {} as never }
    await expect(runTraining(training, { budget: { steps: 1 }, loss, checkpoint: { parts } })).rejects.toThrow(
      /part "data"/,
    )
  })
})

describe('a checkpoint does not fit', () => {
  const take = (changes: Partial<{ splicing: boolean; names: string[]; optimizer: Optimizer }> = {}) => {
    const names = changes.names ?? ['a']
    const variables = Object.fromEntries(names.map((name) => [name, variable([1, 2])]))
    const optimizer = changes.optimizer ?? tf.train.sgd(0.5)
    const training = new MaskedTraining(tf, { variables, optimizer, splicing: changes.splicing ?? false })
    training.setMask(names[0]!, maskOf([1, 0]))
    return training
  }

  test.each([
    ['another optimizer', () => take({ optimizer: tf.train.momentum(0.5, 0.9) }), /of optimizer SGD, not Momentum/],
    ['another variable', () => take({ names: ['b'] }), /has no "b"/],
    ['splicing where there was none', () => take({ splicing: true }), /without splicing/],
    [
      'another size',
      () => new MaskedTraining(tf, { variables: { a: variable([1]) }, optimizer: tf.train.sgd(1) }),
      /no 1 values for "a"/,
    ],
  ])('%s', (_, make, message) => {
    const state = take().state()
    expect(() => make().restore(state)).toThrow(message)
  })
})

describe('checkpoint bytes', () => {
  const state = {
    step: 3,
    names: ['a', 'é'],
    none: null,
    w: Float32Array.from([1, -0]),
    d: Float64Array.of(0.1),
    c: Uint8Array.of(7),
  }

  test('come back as they were, arrays of any kind and alignment', () => {
    const bytes = packState(state)
    const view = new Uint8Array(bytes.length + 3).subarray(3)
    view.set(bytes)
    expect(unpackState(view)).toEqual(state)
    // As readFile gives it.
    expect(unpackState(Buffer.from(bytes))).toEqual(state)
    expect(Object.is((unpackState(bytes) as typeof state).w[1], -0)).toBe(true)
    expect(packState(unpackState(bytes))).toEqual(bytes)
  })

  test('every cut and every changed byte is noticed', () => {
    const bytes = packState(state)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => unpackState(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ name: 'DeepCompressionError' }),
      )
    }
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice()
      damaged[i]! ^= 0x40
      expect(() => unpackState(damaged)).toThrow(expect.objectContaining({ name: 'DeepCompressionError' }))
    }
  })

  test.each([
    [{ '@': 1 }, /"@"/],
    [{ x: Number.NaN }, /finite/],
    [{ x: new Int8Array(1) }, /Int8Array/],
  ])('%j cannot be held', (value, message) => {
    expect(() => packState(value as never)).toThrow(message)
  })
})

test('10,000 steps of masked, spliced, pruned and shared training hold no tensor back', () => {
  const [a, b] = [variable([1, 2, 3]), variable([1, 2])]
  const loss = quadraticLoss(a, b)
  const optimizer = tf.train.momentum(0.001, 0.9)
  const training = new CentroidTraining(tf, {
    variables: { a, b },
    shared: [
      {
        name: 'a',
        shape: [3],
        mask: maskOf([1, 0, 1]),
        kept: 2,
        codes: Uint8Array.of(0, 1),
        codebook: Float32Array.of(1, 3),
      },
    ],
    optimizer,
    splicing: true,
    reassign: { every: 7 },
  })
  const pruning = new Pruning(tf, training, { density: { b: 0.5 }, every: 10 })
  const go = (from: number, to: number) => {
    for (let step = from; step < to; step++) {
      pruning.beforeStep(step, 0.1 + (0.9 * step) / 10_000)
      stepTimes(training, 1, loss)
      if (step % 1000 === 0) training.restore(training.state())
    }
  }
  go(0, 45)
  const before = tf.memory().numTensors
  go(45, 10_045)
  expect(tf.memory().numTensors).toBe(before)
  expect(valuesOf(b).filter((value) => value === 0)).toHaveLength(1)
}, 300_000)
