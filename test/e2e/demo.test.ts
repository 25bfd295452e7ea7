import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { compress } from '../../src/compress.js'
import { runDemo } from '../../src/demo/demo.js'
import { createNet } from '../../src/demo/lenet.js'
import { type DigitSet, loadDigits } from '../../src/demo/mnist.js'
import { compareCoders } from '../../src/demo/other-coders.js'
import type { DemoRecipe } from '../../src/demo/recipe.js'
import { trainCompressed } from '../../src/demo/train.js'
import { tf } from '../support/tfjs.js'

/** 4,000 digits, 240 steps in all: enough to see every stage work, not to see it at its best. */
const SHORT: DemoRecipe = {
  batch: 100,
  shift: 0,
  dense: { epochs: 2, rate: 0.1 },
  retrain: { epochs: 3, rate: 0.1, until: 0.5 },
  centroids: { epochs: 1, rate: 0.0005 },
  density: { 'ip1/kernel': 0.1, 'ip2/kernel': 0.2, 'ip3/kernel': 0.5 },
  clusters: { 'ip1/kernel': 16, 'ip2/kernel': 16, 'ip3/kernel': 8 },
}

function firstOf(set: DigitSet, count: number): DigitSet {
  return { count, pixels: set.pixels.subarray(0, count * 784), labels: set.labels.subarray(0, count) }
}

async function shortRun(seed: number, recipe: DemoRecipe = SHORT) {
  const [train, test] = await Promise.all([loadDigits('train'), loadDigits('test')])
  const data = { train: firstOf(train, 4000), test: firstOf(test, 1000) }
  const net = createNet(tf, 'lenet-300-100', seed)
  const trained = await trainCompressed({ tf, net, recipe, data, seed, job: {}, log: () => {} })
  for (const variable of Object.values(net.variables)) variable.dispose()
  return trained
}

describe('the pipeline on real digits', () => {
  let trained: Awaited<ReturnType<typeof shortRun>>
  beforeAll(async () => {
    trained = await shortRun(5)
  }, 120000)

  test('every stage answers at least 85 of 100 test digits after 240 steps', () => {
    expect(trained.stages.map((stage) => stage.stage)).toEqual(['dense', 'prune', 'share', 'fine-tune'])
    for (const stage of trained.stages) expect(stage.testError).toBeLessThan(15)
  })

  test('the kernels have exactly the density and at most the clusters that were asked for', () => {
    const kept = trained.shared.map((tensor) => [tensor.name, tensor.kept, tensor.codebook.length <= 16])
    expect(kept).toEqual([
      ['ip1/kernel', 23520, true],
      ['ip2/kernel', 6000, true],
      ['ip3/kernel', 500, true],
    ])
    const kernel = trained.weights.find((tensor) => tensor.name === 'ip3/kernel')!
    expect(kernel.values.filter((value) => value !== 0)).toHaveLength(500)
    expect(new Set(kernel.values).size).toBeLessThanOrEqual(9)
  })

  test('the archive gives back the very weights, at least 15 times smaller and smaller than brotli', async () => {
    const rules = [
      { match: '*/kernel', quantize: { method: 'kmeans' as const, clusters: 16 } },
      { match: '*', quantize: null },
    ]
    const archive = await compress(trained.weights, { rules })
    for (const { name, values } of trained.weights) {
      expect(Buffer.from((await archive.decode(name)).buffer).equals(Buffer.from(values.buffer))).toBe(true)
    }
    const report = archive.report()
    archive.dispose()
    expect(report.ratio).toBeGreaterThan(15)
    const coders = await compareCoders(trained.denseWeights, trained.weights)
    for (const coder of coders) expect(report.compressedBytes).toBeLessThan(coder.sharedBytes)
  })

  test('one budget for several kernels, cut by first-order scores, is kept to the weight, a bias can have its own, and centroids are halves', async () => {
    const names = ['ip1/kernel', 'ip2/kernel', 'ip3/kernel']
    const { weights, stages } = await shortRun(5, {
      ...SHORT,
      retrain: { ...SHORT.retrain, initial: 0.4, criterion: 'first-order' },
      together: { names, density: 0.05 },
      density: { 'ip1/bias': 0.5 },
      clusters: { ...SHORT.clusters, 'ip1/bias': 8 },
      halfPrecision: true,
    })
    const kept = (name: string) => weights.find((tensor) => tensor.name === name)!.values.filter((value) => value !== 0)
    expect(names.reduce((sum, name) => sum + kept(name).length, 0)).toBe(13310)
    expect(kept('ip1/bias')).toHaveLength(150)
    expect(new Set(kept('ip1/bias')).size).toBeLessThanOrEqual(8)
    for (const value of kept('ip2/kernel'))
      expect((new Uint32Array(Float32Array.of(value).buffer)[0]! & 0x1fff) === 0).toBe(true)
    expect(stages.at(-1)!.testError).toBeLessThan(15)
  }, 120000)

  test('the same seed gives the same weights, another seed others', async () => {
    const [again, other] = [await shortRun(5), await shortRun(6)]
    expect(again.weights.map(({ values }) => values)).toEqual(trained.weights.map(({ values }) => values))
    expect(other.weights[0]!.values).not.toEqual(trained.weights[0]!.values)
  }, 120000)
})

describe('runDemo', () => {
  test('does not replace a file that is no archive, and says so before it trains', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'deep-compression-demo-'))
    const output = path.join(folder, 'thesis.tex')
    await writeFile(output, 'ten years of work')
    await expect(runDemo({ output })).rejects.toMatchObject({
      code: 'ERR_DC_IO',
      message: expect.stringContaining('not a .dcz'),
    })
    await rm(folder, { recursive: true })
  })

  test.each([
    [{ net: 'alexnet' }, 'ERR_DC_ARG'],
    [{ seed: -1 }, 'ERR_DC_ARG'],
    [{ sed: 1 }, 'ERR_DC_ARG'],
    [{ preset: 'tiny' }, 'ERR_DC_ARG'],
  ])('options %j are refused', async (options, code) => {
    await expect(runDemo(options as never)).rejects.toMatchObject({ code })
  })
})
