// What a step costs (LeNet-300-100, momentum) beside the same net's plain step, the kinds of step taken in turn.
import type { Scalar, Variable } from '@tensorflow/tfjs-core'
import { loadTensorFlow } from '../src/demo/load-tfjs.js'
import { CentroidTraining, MaskedTraining } from '../src/retrain/index.js'
import type { QuantizedTensor } from '../src/tensor.js'
import { measure } from './support/report'

const tf = loadTensorFlow()
const SIZES = [784, 300, 100, 10]
const ROUNDS = 25
const STEPS = 6

function net(batch: number) {
  const x = tf.randomUniform([batch, 784], 0, 1, 'float32', 1) as ReturnType<typeof tf.tensor2d>
  const y = tf.oneHot(tf.range(0, batch, 1, 'int32').mod(10).toInt(), 10)
  const variables: Record<string, Variable> = {}
  for (let i = 0; i < 3; i++) {
    const [inputs, outputs] = [SIZES[i]!, SIZES[i + 1]!]
    variables[`w${i}`] = tf.variable(tf.randomNormal([inputs, outputs], 0, Math.sqrt(2 / inputs), 'float32', i))
    variables[`b${i}`] = tf.variable(tf.zeros([outputs]))
  }
  const loss = (): Scalar => {
    let h = x
    for (let i = 0; i < 3; i++) {
      const [b, bias] = [variables[`w${i}`] as unknown as typeof x, variables[`b${i}`]!]
      h = tf.fused.matMul({ a: h, b, bias, activation: i < 2 ? 'relu' : 'linear' }) as typeof x
    }
    return tf.losses.softmaxCrossEntropy(y, h) as Scalar
  }
  return { variables, loss }
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
  const codes = Uint8Array.from({ length: kept }, (_, i) => (i * 7919) % clusters)
  const codebook = Float32Array.from({ length: clusters }, (_, i) => (i - clusters / 2) / clusters / 10)
  return { name, shape: variable.shape, mask: density < 1 ? mask : null, kept, codes, codebook }
}

const optimizer = () => tf.train.momentum(0.001, 0.9, true)

function kinds(batch: number): Map<string, () => void> {
  const steps = new Map<string, () => void>()
  const plain = net(batch)
  const all = Object.values(plain.variables)
  const plainOptimizer = optimizer()
  steps.set('plain', () =>
    tf.tidy(() => plainOptimizer.applyGradients(tf.variableGrads(plain.loss, all as never).grads as never)),
  )
  const masked = net(batch)
  const training = new MaskedTraining(tf, { variables: masked.variables, optimizer: optimizer() })
  for (const name of ['w0', 'w1', 'w2']) training.setMask(name, maskOf(masked.variables[name]!.size, 0.08).mask)
  steps.set('masked, 8 %', () => training.step(masked.loss).dispose())
  for (const density of [0.08, 1]) {
    for (const clusters of [16, 64, 256]) {
      const { variables, loss } = net(batch)
      const shared = ['w0', 'w1', 'w2'].map((name) => sharedOf(name, variables[name]!, density, clusters))
      const centroids = new CentroidTraining(tf, { variables, shared, optimizer: optimizer() })
      steps.set(`centroids, ${100 * density} %, k = ${clusters}`, () => centroids.step(loss).dispose())
    }
  }
  return steps
}

async function main() {
  for (const batch of [128, 256]) {
    const cases = [...kinds(batch)].map(([name, step]) => ({
      name,
      run: () => {
        for (let i = 0; i < STEPS; i++) step()
      },
    }))
    await measure(`${STEPS} steps of LeNet-300-100, batch ${batch}`, cases, ROUNDS)
  }
}

main()
