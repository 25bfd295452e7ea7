import util from 'node:util'
import { DeepCompressionError } from '../errors.js'
import type { TensorFlowJs } from './lenet.js'

/**
 * TensorFlow for the demo: tfjs-node, the only importer of it in this package. Quiet, and without oneDNN's reordering, so that
 * the same seed gives the same file on one machine; with `oneThread` it may reorder (1.4 times the speed of a thread), always in the
 * same way. What the environment says of these goes first.
 */
export function loadTensorFlow(oneThread = false): TensorFlowJs {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
  process.env.TF_ENABLE_ONEDNN_OPTS ??= oneThread ? '1' : '0'
  if (oneThread) {
    process.env.TF_NUM_INTRAOP_THREADS ??= '1'
    process.env.TF_NUM_INTEROP_THREADS ??= '1'
  }
  // tfjs-node 4.22 calls two helpers that Node 23 removed.
  const legacy = util as unknown as Record<string, unknown>
  legacy.isNullOrUndefined ??= (value: unknown) => value == null
  legacy.isArray ??= Array.isArray
  let tf: TensorFlowJs
  try {
    tf = require('@tensorflow/tfjs-node') as TensorFlowJs
  } catch (cause) {
    const how = 'npm install --no-save @tensorflow/tfjs-node@4.22.0 (in this repository: node scripts/setup-tfjs.mjs)'
    throw new DeepCompressionError('IO', `the demo trains with TensorFlow, which does not load: ${how}`, { cause })
  }
  tf.enableProdMode()
  return tf
}
