import fc from 'fast-check'
import {
  formatSensitivity,
  iterativeDensity,
  MaskedTraining,
  oneShotDensity,
  Pruning,
  plotSensitivity,
  polynomialDensity,
  runTraining,
  sensitivityScan,
} from '../../src/retrain/index.js'
import { keepLargest } from '../../src/retrain/keep-largest.js'
import {
  blobNet,
  isPositiveZero,
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

const bits = (mask: Uint32Array, count: number) =>
  Array.from({ length: count }, (_, i) => (mask[i >>> 5]! >>> (i & 31)) & 1)
const kept = (values: number[]) => values.filter((value) => value !== 0).length

describe('keeping the largest', () => {
  test('the magnitudes count, not the signs; of equal ones the first is kept', () => {
    const [a, b] = keepLargest([Float32Array.from([1, -3, 2]), Float32Array.from([-2, 0, 4])], 3)
    expect([bits(a!, 3), bits(b!, 3)]).toEqual([
      [0, 1, 1],
      [0, 0, 1],
    ])
  })

  test('a NaN is pruned first and an infinity last; none and all are possible', () => {
    const scores = Float32Array.from([Number.NaN, 1e-40, -Infinity, 0])
    expect([0, 1, 2, 4].map((count) => bits(keepLargest([scores], count)[0]!, 4))).toEqual([
      [0, 0, 0, 0],
      [0, 0, 1, 0],
      [0, 1, 1, 0],
      [1, 1, 1, 1],
    ])
  })

  test('agrees with sorting, for any values with many ties', () => {
    const value = fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, 1, -1, 0.5, 2 ** -149))
    const property = fc.property(fc.array(value, { minLength: 1, maxLength: 70 }), fc.nat(70), (list, count) => {
      const wanted = Math.min(count, list.length)
      const scores = Float32Array.from(list)
      const order = [...scores.keys()].sort((i, j) => Math.abs(scores[j]!) - Math.abs(scores[i]!) || i - j)
      const chosen = new Set(order.slice(0, wanted))
      const split = list.length >> 1
      const [a, b] = keepLargest([scores.slice(0, split), scores.slice(split)], wanted)
      expect([...bits(a!, split), ...bits(b!, list.length - split)]).toEqual(
        [...scores.keys()].map((i) => Number(chosen.has(i))),
      )
    })
    fc.assert(property, { numRuns: 300 })
  })
})

describe('density schedules', () => {
  const at = (schedule: (p: number) => number, points: number[]) => points.map((p) => Number(schedule(p).toFixed(10)))

  test('one shot keeps everything until its moment', () => {
    expect(at(oneShotDensity(0.1, 0.25), [0, 0.24, 0.25, 1])).toEqual([1, 1, 0.1, 0.1])
  })

  test('iterative pruning keeps the same share at every cut', () => {
    // 0.125 in three cuts: a half each.
    expect(at(iterativeDensity(0.125, 3, 0.6), [0, 0.19, 0.21, 0.41, 0.6, 1])).toEqual([
      0.5, 0.5, 0.25, 0.125, 0.125, 0.125,
    ])
  })

  test('a polynomial falls from its beginning to its end', () => {
    const linear = polynomialDensity(0.2, { power: 1, from: 0.2, until: 0.6, initial: 0.8 })
    expect(at(linear, [0, 0.2, 0.4, 0.6, 1])).toEqual([0.8, 0.8, 0.5, 0.2, 0.2])
    // 0.5 ** 2 of the way is left.
    expect(at(polynomialDensity(0.2, { power: 2, until: 1 }), [0.5])).toEqual([0.4])
  })

  test('an end before the beginning is refused', () => {
    expect(() => polynomialDensity(0.2, { from: 0.5, until: 0.5 })).toThrow(/until 0.5 must be above/)
    expect(() => polynomialDensity(0.2, { degree: 3 } as never)).toThrow(/unknown key/)
  })
})

describe('pruning while training', () => {
  const training = (values: Record<string, number[]>, splicing = false) => {
    const variables = Object.fromEntries(Object.entries(values).map(([name, list]) => [name, variable(list)]))
    return { variables, trainer: new MaskedTraining(tf, { variables, optimizer: tf.train.sgd(0.5), splicing }) }
  }

  test('each layer reaches its own density', () => {
    const { variables, trainer } = training({ a: [1, -4, 3, 2], b: [5, 6] })
    const pruning = new Pruning(tf, trainer, { density: { a: 0.5, b: 0.5 }, schedule: oneShotDensity })
    expect(pruning.beforeStep(0, 0)).toBe(true)
    expect([valuesOf(variables.a!), valuesOf(variables.b!)]).toEqual([
      [0, -4, 3, 0],
      [0, 6],
    ])
    expect(pruning.density()).toBe(0.5)
    expect(pruning.beforeStep(100, 0.5)).toBe(false)
  })

  test('one budget for all layers takes the smallest weights wherever they are', () => {
    const { variables, trainer } = training({ a: [1, -4, 3, 2], b: [5, 6] })
    new Pruning(tf, trainer, { density: 0.5, names: ['a', 'b'], schedule: oneShotDensity }).beforeStep(0, 0)
    expect([valuesOf(variables.a!), valuesOf(variables.b!)]).toEqual([
      [0, -4, 0, 0],
      [5, 6],
    ])
  })

  test('a least density protects a layer of small weights, within the same budget', () => {
    const { variables, trainer } = training({ a: [1, -4, 3, 2], b: [5, 6] })
    const options = { density: 0.5, names: ['a', 'b'], leastDensity: 0.5, schedule: oneShotDensity }
    new Pruning(tf, trainer, options).beforeStep(0, 0)
    expect([valuesOf(variables.a!), valuesOf(variables.b!)]).toEqual([
      [0, -4, 3, 0],
      [0, 6],
    ])
  })

  test('the first-order criterion keeps what the loss would miss, not what is large', () => {
    const { variables, trainer } = training({ w: [8, 1, 2, 4] })
    const pruning = new Pruning(tf, trainer, {
      density: { w: 0.5 },
      criterion: 'first-order',
      schedule: oneShotDensity,
      every: 1,
    })
    // Before any gradient there is nothing to judge by.
    expect(pruning.beforeStep(0, 0)).toBe(false)
    // |w x g| = 0.8, 10, 12, 0.4.
    stepTimes(trainer, 1, linearLoss(variables.w!, [0.1, 10, 6, 0.1]))
    expect(pruning.beforeStep(1, 0.5)).toBe(true)
    // w - g / 2, of the second and third: 1 - 5, 2 - 3.
    expect(valuesOf(variables.w!)).toEqual([0, -4, -1, 0])
  })

  test('a pruned weight stays pruned although living ones score 0', () => {
    const { variables, trainer } = training({ w: [1, 2, 3, 4] })
    const pruning = new Pruning(tf, trainer, {
      density: { w: 0.5 },
      criterion: 'first-order',
      every: 1,
      schedule: (t) => (p) => (p < 0.5 ? 0.75 : t),
    })
    stepTimes(trainer, 1, linearLoss(variables.w!, [0.5, 1, 1, 1]))
    pruning.beforeStep(1, 0)
    expect(bits(trainer.mask('w')!, 4)).toEqual([0, 1, 1, 1])
    stepTimes(trainer, 1, linearLoss(variables.w!, [9, 0, 0, 0]))
    pruning.beforeStep(2, 1)
    expect(bits(trainer.mask('w')!, 4)).toEqual([0, 1, 1, 0])
  })

  test('with splicing a weight goes on learning behind its mask and comes back', () => {
    const { variables, trainer } = training({ w: [3, 1] }, true)
    const pruning = new Pruning(tf, trainer, { density: { w: 0.5 }, schedule: oneShotDensity, every: 1 })
    pruning.beforeStep(0, 0)
    expect(valuesOf(variables.w!)).toEqual([3, 0])
    // The copy goes from (3, 1) to (3 - 0.5, 1 + 4); shown is the kept weight alone.
    stepTimes(trainer, 1, linearLoss(variables.w!, [1, -8]))
    expect(valuesOf(variables.w!)).toEqual([2.5, 0])
    pruning.beforeStep(1, 0.5)
    expect(valuesOf(variables.w!)).toEqual([0, 5])
    expect(isPositiveZero(valuesOf(variables.w!)[0]!)).toBe(true)
    trainer.setMask('w', null)
    expect(valuesOf(variables.w!)).toEqual([2.5, 5])
  })

  test('without splicing it starts again from 0', () => {
    const { variables, trainer } = training({ w: [3, 1] })
    trainer.setMask('w', maskOf([1, 0]))
    stepTimes(trainer, 1, linearLoss(variables.w!, [1, -8]))
    trainer.setMask('w', null)
    expect(valuesOf(variables.w!)).toEqual([2.5, 0])
  })

  test.each([
    ['momentum', () => tf.train.momentum(0.02, 0.9, true)],
    ['adam', () => tf.train.adam(0.01)],
    ['rmsprop', () => tf.train.rmsprop(0.01, 0.9, 0.5)],
    ['adagrad', () => tf.train.adagrad(0.05)],
    ['adadelta', () => tf.train.adadelta(0.5)],
    ['adamax', () => tf.train.adamax(0.01)],
    ['sgd', () => tf.train.sgd(0.05)],
  ])('under %s pruned weights are exactly zero after every step, with and without splicing', async (_, optimizer) => {
    for (const splicing of [false, true]) {
      const net = blobNet()
      const trainer = new MaskedTraining(tf, { variables: net.variables, optimizer: optimizer(), splicing })
      const pruning = new Pruning(tf, trainer, { density: 0.2, names: ['w1', 'w2'], every: 5 })
      const outside: number[] = []
      await runTraining(trainer, {
        budget: { steps: 60 },
        loss: net.loss,
        beforeStep: (step, progress) => {
          pruning.beforeStep(step, progress)
        },
        afterStep: () => {
          for (const name of ['w1', 'w2'] as const) {
            const alive = bits(trainer.mask(name) ?? maskOf(new Array(480).fill(1)), net[name].size)
            valuesOf(net[name]).forEach((value, i) => {
              if (!alive[i] && !isPositiveZero(value)) outside.push(value)
            })
          }
        },
      })
      expect(outside).toEqual([])
      // 20 % of 480 + 120.
      expect(kept([...valuesOf(net.w1), ...valuesOf(net.w2)])).toBe(120)
    }
  })

  test('gradual pruning to a tenth still learns the blobs', async () => {
    const net = blobNet()
    const trainer = new MaskedTraining(tf, { variables: net.variables, optimizer: tf.train.adam(0.01) })
    const pruning = new Pruning(tf, trainer, { density: 0.1, names: ['w1', 'w2'], every: 10 })
    const before = net.loss().dataSync()[0]!
    await runTraining(trainer, {
      budget: { steps: 200 },
      loss: net.loss,
      beforeStep: (step, progress) => {
        pruning.beforeStep(step, progress)
      },
    })
    expect(pruning.density()).toBe(0.1)
    expect(net.loss().dataSync()[0]!).toBeLessThan(before / 2)
  })

  test('pruning gives its tensors back', () => {
    const { variables, trainer } = training({ w: [3, 1] }, true)
    const before = tf.memory().numTensors
    const pruning = new Pruning(tf, trainer, {
      density: { w: 0.5 },
      criterion: 'first-order',
      schedule: oneShotDensity,
      every: 1,
    })
    for (let step = 0; step < 5; step++) {
      pruning.beforeStep(step, 0)
      stepTimes(trainer, 1, quadraticLoss(variables.w!))
    }
    expect(tf.memory().numTensors).toBeGreaterThan(before)
    pruning.dispose()
    trainer.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  test.each([
    [{ density: 0.5 }, /names/],
    [{ density: 1.5, names: ['w'] }, /density/],
    [{ density: { v: 0.5 } }, /no variable "v"/],
    [{ density: { w: 0.5 }, leastDensity: 0.1 }, /leastDensity/],
    [{ density: { w: 0.5 }, criterion: 'hessian' }, /criterion/],
    [{ density: { w: 0.5 }, every: 0 }, /every/],
    [{ densities: 1 }, /unknown key/],
  ])('options %j are refused', (options, message) => {
    const { trainer } = training({ w: [1] })
    expect(() => new Pruning(tf, trainer, options as never)).toThrow(message)
  })
})

describe('sensitivity', () => {
  test('each layer is pruned alone, and every weight is put back', async () => {
    const [a, b] = [variable([1, -2, 3, 4]), variable([10, 20])]
    const evaluate = () => valuesOf(a).reduce((s, v) => s + Math.abs(v), 0) + valuesOf(b).reduce((s, v) => s + v, 0)
    const scan = await sensitivityScan(tf, { variables: { a, b }, densities: [0.5, 0], evaluate })
    expect(scan).toEqual({
      error: 40,
      densities: [0.5, 0],
      layers: [
        { name: 'a', weights: 4, errors: [37, 30] },
        { name: 'b', weights: 2, errors: [30, 10] },
      ],
    })
    expect([valuesOf(a), valuesOf(b)]).toEqual([
      [1, -2, 3, 4],
      [10, 20],
    ])
    expect(
      formatSensitivity(scan)
        .split('\n')
        .map((line) => line.trim().split(/\s{2,}/)),
    ).toEqual([
      ['layer', 'weights', 'as it is', '50 %', '0 %'],
      ['a', '4', '40.00', '37.00', '30.00'],
      ['b', '2', '40.00', '30.00', '10.00'],
    ])
  })

  test('the picture has a line a layer, from the net as it is on, without the densities and errors it has no place for', () => {
    const svg = plotSensitivity(
      {
        error: 2,
        densities: [0.1, 0.01, 0, 0.5],
        layers: [
          { name: 'a<b', weights: 4, errors: [4, 8, 10, 3] },
          { name: 'c', weights: 2, errors: [2, Number.NaN, 10, 2] },
        ],
      },
      { title: 'a scan', yLabel: 'wrong, %' },
    )
    const lines = [...svg.matchAll(/<path d="(M[^"]*)" fill="none"/g)].map((match) => match[1])
    // x from 64 (100 %) to 364 (1 %), y from 292 (0) to 36 (8).
    expect(lines.sort()).toEqual([
      'M64.0 228.0L109.2 196.0L214.0 164.0L364.0 36.0',
      'M64.0 228.0L109.2 228.0L214.0 228.0',
    ])
    for (const text of ['a&lt;b', 'a scan', 'wrong, %', 'weights kept, %', '>100<']) expect(svg).toContain(text)
    expect(() => plotSensitivity({ error: 0, densities: [], layers: [] })).toThrow(/no layer/)
  })

  test('an evaluation that throws leaves the weights as they were', async () => {
    const a = variable([1, 2])
    let calls = 0
    const evaluate = () => {
      if (calls++ > 0) throw new Error('no data')
      return 0
    }
    await expect(sensitivityScan(tf, { variables: { a }, densities: [0], evaluate })).rejects.toThrow('no data')
    expect(valuesOf(a)).toEqual([1, 2])
  })
})
