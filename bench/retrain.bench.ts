// What a step of masked and of centroid training costs beside the same net's plain step, the kinds of step taken in turn; and the
// peak memory of each, every kind in a process of its own. `--net NAME` measures one net, `--memory` the memory instead of the time.
import { execFileSync } from 'node:child_process'
import type { Scalar, Variable } from '@tensorflow/tfjs-core'
import { peakBytes } from '../src/bench/timing.js'
import { createNet } from '../src/demo/lenet.js'
import { loadTensorFlow } from '../src/demo/load-tfjs.js'
import { CentroidTraining, MaskedTraining } from '../src/retrain/index.js'
import type { QuantizedTensor } from '../src/tensor.js'
import { measure } from './support/report'

const tf = loadTensorFlow()

interface Shape {
  batch: number
  steps: number
  rounds: number
  make: (batch: number) => { variables: Record<string, Variable>; logits: (x: never) => unknown }
}

const NETS: Readonly<Record<string, Shape>> = {
  'LeNet-300-100': { batch: 256, steps: 5, rounds: 25, make: () => createNet(tf, 'lenet-300-100', 1) as never },
  '784-512-512-10': { batch: 128, steps: 4, rounds: 25, make: () => multilayer([784, 512, 512, 10]) },
  'LeNet-5': { batch: 128, steps: 1, rounds: 25, make: () => createNet(tf, 'lenet-5', 1) as never },
}

/** Plain fully connected layers with ReLU between them. */
function multilayer(sizes: readonly number[]) {
  const variables: Record<string, Variable> = {}
  for (let i = 0; i + 1 < sizes.length; i++) {
    const [inputs, outputs] = [sizes[i]!, sizes[i + 1]!]
    variables[`ip${i}/kernel`] = tf.variable(
      tf.randomNormal([inputs, outputs], 0, Math.sqrt(2 / inputs), 'float32', i + 1),
    )
    variables[`ip${i}/bias`] = tf.variable(tf.zeros([outputs]))
  }
  const logits = (x: never) => {
    let a = x
    for (let i = 0; i + 1 < sizes.length; i++) {
      const [b, bias] = [variables[`ip${i}/kernel`] as never, variables[`ip${i}/bias`]!]
      a = tf.fused.matMul({ a, b, bias, activation: i + 2 < sizes.length ? 'relu' : 'linear' }) as never
    }
    return a
  }
  return { variables, logits }
}

function build({ batch, make }: Shape) {
  const x = tf.randomUniform([batch, 784], 0, 1, 'float32', 1)
  const y = tf.oneHot(tf.range(0, batch, 1, 'int32').mod(10).toInt(), 10)
  const { variables, logits } = make(batch)
  const kernels = Object.keys(variables).filter((name) => name.endsWith('/kernel'))
  const loss = () => tf.losses.softmaxCrossEntropy(y, logits(x as never) as never) as Scalar
  return { variables, kernels, loss }
}

/** Keeps every (1 / density)th weight. */
function maskOf(count: number, density: number): { mask: Uint32Array; kept: number } {
  const mask = new Uint32Array(Math.ceil(count / 32))
  let kept = 0
  for (let i = 0; i < count; i++) {
    if (Math.floor((i + 1) * density) === Math.floor(i * density)) continue
    mask[i >>> 5]! |= 1 << (i & 31)
    kept++
  }
  return { mask, kept }
}

function sharedOf(name: string, variable: Variable, density: number, clusters: number): QuantizedTensor {
  const { mask, kept } = maskOf(variable.size, density)
  // Neighbouring codes as in a trained layer: mostly the middle clusters, in no order.
  const codes = Uint8Array.from({ length: kept }, (_, i) => {
    const [a, b] = [(Math.imul(i, 2654435761) >>> 8) & 0xffff, (Math.imul(i, 2246822519) >>> 9) & 0xffff]
    return Math.floor(((a + b) / 0x20000) * clusters)
  })
  const codebook = Float32Array.from({ length: clusters }, (_, i) => (i - clusters / 2) / clusters / 10)
  return { name, shape: variable.shape, mask: density < 1 ? mask : null, kept, codes, codebook }
}

const optimizer = () => tf.train.momentum(0.001, 0.9, true)

function plainStep(shape: Shape): () => void {
  const { variables, loss } = build(shape)
  const all = Object.values(variables)
  const momentum = optimizer()
  return () =>
    tf
      .tidy(() => {
        const { value, grads } = tf.variableGrads(loss, all)
        momentum.applyGradients(grads as never)
        return value
      })
      .dispose()
}

function maskedStep(shape: Shape): () => void {
  const { variables, kernels, loss } = build(shape)
  const training = new MaskedTraining(tf, { variables, optimizer: optimizer() })
  for (const name of kernels) training.setMask(name, maskOf(variables[name]!.size, 0.08).mask)
  return () => training.step(loss).dispose()
}

function centroidStep(shape: Shape, density: number, clusters: number): () => void {
  const { variables, kernels, loss } = build(shape)
  const shared = kernels.map((name) => sharedOf(name, variables[name]!, density, clusters))
  const training = new CentroidTraining(tf, { variables, shared, optimizer: optimizer() })
  return () => training.step(loss).dispose()
}

const KINDS: Readonly<Record<string, (shape: Shape) => () => void>> = {
  plain: plainStep,
  'masked, 8 %': maskedStep,
  ...Object.fromEntries(
    [0.08, 1].flatMap((density) =>
      [16, 32, 256].map((clusters) => [
        `centroids, ${100 * density} %, k = ${clusters}`,
        (shape: Shape) => centroidStep(shape, density, clusters),
      ]),
    ),
  ),
}

/** Peak resident memory of 20 steps above what the process holds with TensorFlow warm, in bytes. */
function peakOfSteps(shape: Shape, kind: string): number | null {
  tf.tidy(() => tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).dataSync())
  return peakBytes(() => {
    const step = KINDS[kind]!(shape)
    for (let i = 0; i < 20; i++) step()
  })
}

function argument(flag: string): string | undefined {
  const at = process.argv.indexOf(flag)
  return at < 0 ? undefined : process.argv[at + 1]
}

async function main() {
  const one = argument('--net')
  const kind = argument('--peak-of')
  if (kind) {
    console.log(peakOfSteps(NETS[one!]!, kind))
    return
  }
  for (const [name, shape] of Object.entries(NETS)) {
    if (one && one !== name) continue
    if (process.argv.includes('--memory')) {
      const script = [...process.execArgv, process.argv[1]!, '--net', name, '--peak-of']
      const peaks = Object.keys(KINDS).map((k) =>
        Number(execFileSync(process.execPath, [...script, k], { encoding: 'utf8' })),
      )
      console.log(`peak memory of 20 steps of ${name}, batch ${shape.batch}`)
      for (const [i, k] of Object.keys(KINDS).entries())
        console.log(
          `${(peaks[i]! / peaks[0]!).toFixed(2).padStart(8)}x ${(peaks[i]! / 2 ** 20).toFixed(1).padStart(8)} MiB  ${k}`,
        )
      continue
    }
    const cases = Object.entries(KINDS).map(([k, make]) => {
      const step = make(shape)
      const run = () => {
        for (let i = 0; i < shape.steps; i++) step()
      }
      return { name: k, run }
    })
    await measure(`${shape.steps} steps of ${name}, batch ${shape.batch}`, cases, shape.rounds)
  }
}

main()
