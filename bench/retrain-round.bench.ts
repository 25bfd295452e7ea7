// The case this package began from: a 784-512-512-10 net on MNIST, its 512 x 512 layer pruned, shared and retrained. What that round
// costs beside the plain training before it, and what it does to the test error. `--seed N`; about a minute on two free cores.
// `--held-out` trains on the first 55,000 images and asks the last 5,000 instead of the test images: settings are chosen there.
import type { Scalar, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { machine } from '../src/bench/timing.js'
import { loadTensorFlow } from '../src/demo/load-tfjs.js'
import { CLASSES, type DigitSet, IMAGE_PIXELS, loadDigits, plainBatch, shuffledBatches } from '../src/demo/mnist.js'
import { prune } from '../src/prune/prune.js'
import { assign } from '../src/quantize/assign.js'
import { kmeans1d } from '../src/quantize/kmeans.js'
import { CentroidTraining, cosineRate, runTraining } from '../src/retrain/index.js'

const tf = loadTensorFlow()
const SIZES = [IMAGE_PIXELS, 512, 512, CLASSES]
const LAYER = 'w1'
const HELD_OUT = 5000
/** Chosen on held-out training images, never on the test images (docs/retraining.md tells how). */
const PLAIN = { batch: 128, epochs: 6, rate: 0.1, shift: 1 }
const ROUND = {
  density: 0.4,
  clusters: 64,
  // Twice the batch takes three quarters of the time for as many images: more of them for the same cost.
  retrain: { batch: 256, epochs: 3, rate: 0.1, shift: 1 },
  tune: { batch: 256, epochs: 0.2, rate: 0.002, shift: 1 },
  // Half of the loss asks for the answers of the net before the round, which are computed once, of the images as they are.
  distillation: { weight: 0.5, temperature: 2 },
}

function makeNet(seed: number) {
  const variables: Record<string, Variable> = {}
  for (let i = 0; i < 3; i++) {
    const [inputs, outputs] = [SIZES[i]!, SIZES[i + 1]!]
    const initial = tf.truncatedNormal([inputs, outputs], 0, Math.sqrt(2 / inputs), 'float32', 10 * seed + i + 1)
    variables[`w${i}`] = tf.variable(initial)
    variables[`b${i}`] = tf.variable(tf.zeros([outputs]))
  }
  const logits = (x: unknown) => {
    let a = x as never
    for (let i = 0; i < 3; i++) {
      const [b, bias] = [variables[`w${i}`] as never, variables[`b${i}`]!]
      a = tf.fused.matMul({ a, b, bias, activation: i < 2 ? 'relu' : 'linear' }) as never
    }
    return a
  }
  return { variables, logits }
}

/** Logits of every image as it is, [count, 10]. */
function answersOf(logits: (x: unknown) => never, set: DigitSet): Float32Array {
  const answers = new Float32Array(set.count * CLASSES)
  for (let from = 0; from < set.count; from += 1000) {
    const { pixels } = plainBatch(set, from, 1000)
    const some = tf.tidy(() => (logits(tf.tensor2d(pixels, [1000, IMAGE_PIXELS])) as Tensor2D).dataSync())
    answers.set(some, from * CLASSES)
  }
  return answers
}

function testError(logits: (x: unknown) => never, test: DigitSet): number {
  const answers = answersOf(logits, test)
  let wrong = 0
  for (let image = 0; image < test.count; image++) {
    const row = answers.subarray(image * CLASSES, (image + 1) * CLASSES)
    if (row.indexOf(Math.max(...row)) !== test.labels[image]) wrong++
  }
  return (100 * wrong) / test.count
}

/** Images `from` to `to - 1`. */
function between({ pixels, labels }: DigitSet, from: number, to: number): DigitSet {
  return {
    count: to - from,
    pixels: pixels.subarray(from * IMAGE_PIXELS, to * IMAGE_PIXELS),
    labels: labels.subarray(from, to),
  }
}

async function images(): Promise<{ train: DigitSet; test: DigitSet }> {
  const train = await loadDigits('train')
  if (!process.argv.includes('--held-out')) return { train, test: await loadDigits('test') }
  const kept = train.count - HELD_OUT
  return { train: between(train, 0, kept), test: between(train, kept, train.count) }
}

function rowsOf(matrix: Float32Array, rows: Int32Array): Float32Array {
  const chosen = new Float32Array(rows.length * CLASSES)
  for (const [i, row] of rows.entries()) {
    chosen.set(matrix.subarray(row * CLASSES, (row + 1) * CLASSES), i * CLASSES)
  }
  return chosen
}

/** Hinton, Vinyals, Dean 2015: part of the loss is the cross entropy to the teacher's answers, both softened. */
function distilled(loss: Scalar, answers: never, teacher: Tensor2D): Scalar {
  const { weight, temperature } = ROUND.distillation
  const wanted = tf.softmax(tf.div(teacher, temperature))
  const soft = tf.losses.softmaxCrossEntropy(wanted, tf.div(answers, temperature))
  return tf.add(tf.mul(loss, 1 - weight), tf.mul(soft, weight * temperature ** 2)) as Scalar
}

async function main() {
  const at = process.argv.indexOf('--seed')
  const seed = at < 0 ? 1 : Number(process.argv[at + 1])
  const { train, test } = await images()
  const { variables, logits } = makeNet(seed)
  // Processor time too: on a busy machine it is the fairer of the two.
  const timed = async (run: () => Promise<void>) => {
    const [start, cpu] = [performance.now(), process.cpuUsage()]
    await run()
    const { user, system } = process.cpuUsage(cpu)
    return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 }
  }
  let stream = 0
  const phase = async (
    trainer: CentroidTraining,
    optimizer: ReturnType<typeof tf.train.momentum>,
    { batch: size, epochs, rate, shift }: typeof PLAIN,
    teacher: Float32Array | null = null,
  ) => {
    const batches = shuffledBatches(train, { size, shift, seed, stream: stream++ })
    const loss = (step: number) => {
      const { images, pixels, labels } = batches.at(step)
      const truth = tf.oneHot(tf.tensor1d(labels, 'int32'), CLASSES)
      const answers = logits(tf.tensor2d(pixels, [size, IMAGE_PIXELS]))
      const wrong = tf.losses.softmaxCrossEntropy(truth, answers) as Scalar
      return teacher ? distilled(wrong, answers, tf.tensor2d(rowsOf(teacher, images), [size, CLASSES])) : wrong
    }
    const budget = { steps: Math.round(epochs * batches.perEpoch) }
    await runTraining(trainer, { budget, loss, learningRate: { optimizer, schedule: cosineRate(rate, 0.05) } })
  }

  const optimizer = tf.train.momentum(PLAIN.rate, 0.9, true)
  const training = new CentroidTraining(tf, { variables, optimizer, reduction: 'mean' })
  const plain = await timed(() => phase(training, optimizer, PLAIN))
  const plainError = testError(logits, test)

  // The same live model and optimizer go on: nothing is saved, cleared or rebuilt.
  const w = variables[LAYER]!
  const values = () => Float32Array.from(w.dataSync())
  const share = async (mask: Uint32Array) => {
    const { centroids } = await kmeans1d(values(), { clusters: ROUND.clusters, mask })
    const codes = Uint8Array.from(await assign(values(), centroids, { mask }))
    training.share({ name: LAYER, shape: w.shape, mask, kept: codes.length, codes, codebook: centroids })
  }
  let sharedError = 0
  const round = await timed(async () => {
    const teacher = answersOf(logits, train)
    const { mask } = await prune(values(), { density: ROUND.density })
    training.setMask(LAYER, mask)
    await phase(training, optimizer, ROUND.retrain, teacher)
    await share(mask)
    sharedError = testError(logits, test)
    await phase(training, optimizer, ROUND.tune, teacher)
  })
  const result = {
    machine: machine(),
    seed,
    plain: { ...plain, testError: plainError },
    round: { ...round, testErrorShared: sharedError, testError: testError(logits, test) },
    ratio: round.seconds / plain.seconds,
    cpuRatio: round.cpuSeconds / plain.cpuSeconds,
    distinctValues: new Set(values()).size,
  }
  if (process.argv.includes('--json')) console.log(JSON.stringify(result))
  else {
    console.log(
      `784-512-512-10 on MNIST, seed ${seed}, its 512 x 512 layer at ${100 * ROUND.density} % in ${ROUND.clusters} values`,
    )
    const cost = (of: typeof plain) => `${of.seconds.toFixed(1)} s (${of.cpuSeconds.toFixed(1)} s of processor)`
    const ratios = `${result.ratio.toFixed(2)}x (${result.cpuRatio.toFixed(2)}x)`
    console.log(`plain training ${cost(plain)}, test error ${plainError.toFixed(2)} %`)
    console.log(
      `prune, retrain, share, tune ${cost(round)} = ${ratios}, test error ${result.round.testError.toFixed(2)} %`,
    )
  }
}

main()
