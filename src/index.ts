export { DeepCompressionError, type ErrorCode, isDeepCompressionError } from './errors.js'
export { type NativeInfo, nativeInfo } from './native/binding.js'
export type { JobOptions, Progress, QuantizedTensor, WeightTensor } from './tensor.js'
