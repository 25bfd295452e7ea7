export { Archive, type OpenOptions, openArchive, type TensorInfo } from './archive.js'
export { compress } from './compress.js'
export type { TensorDescriptor } from './container/layout.js'
export type { Limits } from './container/limits.js'
export { type Saved, type SaveOptions, saveFile, saveFileSync } from './container/save.js'
export { cleanup } from './container/temporaries.js'
export { decodeQuantized, decodeQuantizedSync, decodeTensor, decodeTensorSync } from './decode/decode.js'
export { type EncodedTensor, type EncodeOptions, encodeTensor, encodeTensorSync } from './encode/encode.js'
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
export {
  type NetLayer,
  type NetRecord,
  netQuantized,
  netRecord,
  netRecordOf,
  netShared,
  netValues,
  parseNetLayers,
  readNet,
  writeNet,
} from './models/net.js'
export { netLayerNames, netLayersOfPrototxt } from './models/prototxt.js'
export { type MemoryUsage, memoryUsage, type NativeInfo, nativeInfo } from './native/binding.js'
export { type PruneOptions, type PruneResult, prune, pruneSync } from './prune/prune.js'
export {
  type AssignOptions,
  assign,
  assignSync,
  type Codes,
  type ExpandOptions,
  expand,
  expandSync,
} from './quantize/assign.js'
export { type EcsqOptions, type EcsqResult, ecsq, ecsqSync } from './quantize/ecsq.js'
export {
  type KmeansGroupsOptions,
  type KmeansGroupsResult,
  kmeans1dGroups,
  kmeans1dGroupsSync,
} from './quantize/groups.js'
export {
  type KmeansAlgorithm,
  type KmeansOptions,
  type KmeansResult,
  type KmeansStart,
  kmeans1d,
  kmeans1dSync,
} from './quantize/kmeans.js'
export { type SharedWeights, sharedWeights, sharedWeightsSync } from './quantize/shared-weights.js'
export { DEFAULT_RECIPE, type QuantizeRule, type Recipe, type Rule } from './recipe.js'
export { formatReport, type LayerReport, type Report } from './report.js'
export type { JobOptions, Progress, QuantizedTensor, WeightTensor } from './tensor.js'
