import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { tf } from './tfjs.js'

export function variable(values: number[], shape: number[] = [values.length]): Variable {
  return tf.variable(tf.tensor(values, shape))
}

export function valuesOf(tensor: Tensor): number[] {
  return Array.from(tensor.dataSync())
}

/** sum(coefficients * w): its gradient is the coefficients, whatever w is. */
export function linearLoss(w: Variable, coefficients: number[]): () => Scalar {
  return () => tf.sum(tf.mul(w, tf.tensor(coefficients, w.shape))) as Scalar
}

/** sum(w^2) / 2 over all: its gradient is w. */
export function quadraticLoss(...variables: Variable[]): () => Scalar {
  return () => variables.map((w) => tf.mul(tf.sum(tf.square(w)), 0.5)).reduce((a, b) => tf.add(a, b)) as Scalar
}

export function maskOf(bits: number[]): Uint32Array {
  const mask = new Uint32Array(Math.ceil(bits.length / 32))
  bits.forEach((bit, i) => {
    if (bit) mask[i >>> 5]! |= 1 << (i & 31)
  })
  return mask
}

export function stepTimes(trainer: { step(loss: () => Scalar): Scalar }, count: number, loss: () => Scalar): void {
  for (let i = 0; i < count; i++) trainer.step(loss).dispose()
}

/** A small net on three blobs in twelve dimensions, every number of it fixed. */
export function blobNet() {
  const x = tf.add(
    tf.randomNormal([96, 12], 0, 0.5, 'float32', 1),
    tf.tile(tf.oneHot(tf.range(0, 3, 1, 'int32'), 12), [32, 1]),
  )
  const y = tf.tile(tf.oneHot(tf.range(0, 3, 1, 'int32'), 3), [32, 1])
  const w1 = tf.variable(tf.randomNormal([12, 40], 0, 0.4, 'float32', 2))
  const b1 = tf.variable(tf.zeros([40]))
  const w2 = tf.variable(tf.randomNormal([40, 3], 0, 0.3, 'float32', 3))
  const loss = () =>
    tf.losses.softmaxCrossEntropy(
      y,
      tf.matMul(tf.relu(tf.add(tf.matMul(x as never, w1 as never), b1)), w2 as never),
    ) as Scalar
  return { w1, b1, w2, loss, variables: { w1, b1, w2 } }
}

export const everyThird = (count: number) => maskOf(Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 1 : 0)))

export function isPositiveZero(value: number): boolean {
  return Object.is(value, 0)
}
