import type { Net, TensorFlowJs } from './lenet.js'
import { type DigitSet, IMAGE_PIXELS, plainBatch } from './mnist.js'

const BATCH = 1000

/** Images of the set that the net takes for another digit. */
export function countErrors(tf: TensorFlowJs, net: Net, set: DigitSet): number {
  let wrong = 0
  for (let start = 0; start < set.count; start += BATCH) {
    const batch = plainBatch(set, start, Math.min(BATCH, set.count - start))
    const answers = tf.tidy(() => {
      const logits = net.logits(tf.tensor2d(batch.pixels, [batch.size, IMAGE_PIXELS]))
      return tf.argMax(logits, 1).dataSync()
    })
    for (let i = 0; i < batch.size; i++) if (answers[i] !== batch.labels[i]) wrong++
  }
  return wrong
}

/** Test error in per cent. */
export function testError(tf: TensorFlowJs, net: Net, set: DigitSet): number {
  return (100 * countErrors(tf, net, set)) / set.count
}
