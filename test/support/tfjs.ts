import util from 'node:util'

// tfjs-node 4.22 calls two helpers that Node 23 removed.
const legacy = util as unknown as Record<string, unknown>
legacy.isNullOrUndefined ??= (value: unknown) => value == null
legacy.isArray ??= Array.isArray

/** TensorFlow as the tests use it; a `require`, because an `import` would be hoisted above the lines before. */
export const tf = require('@tensorflow/tfjs-node') as typeof import('@tensorflow/tfjs')
