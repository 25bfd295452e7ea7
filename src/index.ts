export {
  huffmanDecode,
  huffmanDecodeSync,
  huffmanEncode,
  huffmanEncodeSync,
} from './encode/huffman.js'
export {
  decodeRelativeIndex,
  decodeRelativeIndexSync,
  encodeRelativeIndex,
  encodeRelativeIndexSync,
  type RelativeEntries,
  type RelativeIndex,
  type RelativeIndexOptions,
  type SparseCodes,
} from './encode/relative-index.js'
export { DeepCompressionError, type ErrorCode, isDeepCompressionError } from './errors.js'
export { type NativeInfo, nativeInfo } from './native/binding.js'
export type { JobOptions, Progress, QuantizedTensor, WeightTensor } from './tensor.js'
