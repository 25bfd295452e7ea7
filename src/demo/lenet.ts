import type * as tfjs from '@tensorflow/tfjs'
import { randomWord } from '../retrain/random.js'
import { CLASSES, IMAGE_PIXELS, IMAGE_SIDE } from './mnist.js'

export type TensorFlowJs = typeof tfjs
export type NetName = 'lenet-300-100' | 'lenet-5'

/** A live net: its variables by name (in the order of the layers) and the function from pixels to logits. */
export interface Net {
  name: NetName
  variables: Record<string, tfjs.Variable>
  /** @param pixels [batch, 784], ink from 0 to 1 @returns logits [batch, 10] */
  logits(pixels: tfjs.Tensor2D): tfjs.Tensor2D
}

type Layer = readonly [name: string, kernel: readonly number[]]

/** Kernels in tfjs order: dense [in, out], convolution [height, width, in, out]. */
const LAYERS: Readonly<Record<NetName, readonly Layer[]>> = {
  'lenet-300-100': [
    ['ip1', [IMAGE_PIXELS, 300]],
    ['ip2', [300, 100]],
    ['ip3', [100, CLASSES]],
  ],
  // Caffe's LeNet: 20 and 50 maps of 5 x 5 without padding, each followed by 2 x 2 pooling; 500 hidden units.
  'lenet-5': [
    ['conv1', [5, 5, 1, 20]],
    ['conv2', [5, 5, 20, 50]],
    ['ip1', [800, 500]],
    ['ip2', [500, CLASSES]],
  ],
}

/** A fresh net with He's initial weights. */
export function createNet(tf: TensorFlowJs, name: NetName, seed: number): Net {
  const variables: Record<string, tfjs.Variable> = {}
  LAYERS[name].forEach(([layer, kernel], index) => {
    const fanIn = kernel.slice(0, -1).reduce((product, size) => product * size, 1)
    const initial = tf.truncatedNormal([...kernel], 0, Math.sqrt(2 / fanIn), 'float32', randomWord(seed, 0, index))
    variables[`${layer}/kernel`] = tf.variable(initial)
    variables[`${layer}/bias`] = tf.variable(tf.zeros([kernel.at(-1)!]))
  })
  const forward = name === 'lenet-5' ? lenet5 : lenet300
  return { name, variables, logits: (pixels) => forward(tf, variables, pixels) }
}

function dense(
  tf: TensorFlowJs,
  net: Net['variables'],
  layer: string,
  x: tfjs.Tensor2D,
  activation?: 'relu',
): tfjs.Tensor2D {
  const [b, bias] = [net[`${layer}/kernel`] as tfjs.Tensor2D, net[`${layer}/bias`]!]
  return tf.fused.matMul({ a: x, b, bias, activation: activation ?? 'linear' }) as tfjs.Tensor2D
}

function lenet300(tf: TensorFlowJs, net: Net['variables'], pixels: tfjs.Tensor2D): tfjs.Tensor2D {
  return dense(tf, net, 'ip3', dense(tf, net, 'ip2', dense(tf, net, 'ip1', pixels, 'relu'), 'relu'))
}

/** Pooling comes before bias and ReLU: both are monotone and the same for a whole map, so the result is equal and a fourth the work. */
function convolution(tf: TensorFlowJs, net: Net['variables'], layer: string, x: tfjs.Tensor4D): tfjs.Tensor4D {
  const maps = tf.conv2d(x, net[`${layer}/kernel`] as tfjs.Tensor4D, 1, 'valid')
  return tf.relu(tf.add(tf.maxPool(maps, 2, 2, 'valid'), net[`${layer}/bias`]!))
}

function lenet5(tf: TensorFlowJs, net: Net['variables'], pixels: tfjs.Tensor2D): tfjs.Tensor2D {
  const image = tf.reshape(pixels, [-1, IMAGE_SIDE, IMAGE_SIDE, 1]) as tfjs.Tensor4D
  const maps = convolution(tf, net, 'conv2', convolution(tf, net, 'conv1', image))
  const flat = tf.reshape(maps, [-1, 800]) as tfjs.Tensor2D
  return dense(tf, net, 'ip2', dense(tf, net, 'ip1', flat, 'relu'))
}
