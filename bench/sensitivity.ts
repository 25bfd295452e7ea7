// How far each kernel of a LeNet can be pruned alone, without retraining: the table on stdout, the picture into docs/. The net is trained
// on the first 55,000 training images, the errors are of the other 5,000.
//   node -r ./bench/support/register.cjs bench/sensitivity.ts [lenet-300-100 | lenet-5]
import { writeFileSync } from 'node:fs'
import type { Scalar, Tensor2D } from '@tensorflow/tfjs-core'
import { countErrors } from '../src/demo/evaluate.js'
import { createNet, type NetName } from '../src/demo/lenet.js'
import { loadTensorFlow } from '../src/demo/load-tfjs.js'
import { CLASSES, type DigitSet, IMAGE_PIXELS, loadDigits, shuffledBatches } from '../src/demo/mnist.js'
import {
  cosineRate,
  formatSensitivity,
  MaskedTraining,
  plotSensitivity,
  runTraining,
  sensitivityScan,
} from '../src/retrain/index.js'

const DENSITIES = [0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01]
const EPOCHS: Readonly<Record<NetName, number>> = { 'lenet-300-100': 5, 'lenet-5': 2 }
const HELD_OUT = 5000

function part({ pixels, labels }: DigitSet, from: number, to: number): DigitSet {
  const images = pixels.subarray(from * IMAGE_PIXELS, to * IMAGE_PIXELS)
  return { count: to - from, pixels: images, labels: labels.subarray(from, to) }
}

async function main() {
  const name = (process.argv[2] ?? 'lenet-300-100') as NetName
  const tf = loadTensorFlow()
  const all = await loadDigits('train')
  const [train, held] = [part(all, 0, all.count - HELD_OUT), part(all, all.count - HELD_OUT, all.count)]
  const net = createNet(tf, name, 1)
  const optimizer = tf.train.momentum(0.05, 0.9, true)
  const training = new MaskedTraining(tf, { variables: net.variables, optimizer })
  const size = 128
  const batches = shuffledBatches(train, { size, shift: 1, seed: 1, stream: 0 })
  const loss = (step: number) => {
    const { pixels, labels } = batches.at(step)
    const truth = tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES)
    return tf.losses.softmaxCrossEntropy(
      truth,
      net.logits(tf.tensor2d(pixels, [size, IMAGE_PIXELS]) as Tensor2D),
    ) as Scalar
  }
  const budget = { steps: EPOCHS[name] * batches.perEpoch }
  await runTraining(training, { budget, loss, learningRate: { optimizer, schedule: cosineRate(0.05, 0.05) } })
  const scan = await sensitivityScan(tf, {
    variables: net.variables,
    names: Object.keys(net.variables).filter((variable) => variable.endsWith('/kernel')),
    densities: DENSITIES,
    evaluate: () => (100 * countErrors(tf, net, held)) / held.count,
  })
  console.log(formatSensitivity(scan))
  const picture = plotSensitivity(scan, {
    title: `${name}: one kernel pruned at a time, not retrained`,
    yLabel: 'error, % of held-out images',
  })
  writeFileSync(`docs/sensitivity-${name}.svg`, picture)
}

main()
