import type { LayerReport } from '../report.js'
import type { TensorDescriptor } from './layout.js'

/** A tensor's line of the report, from the header alone. Padding is counted once the tensor is in an archive. */
export function layerReport(tensor: TensorDescriptor): LayerReport {
  const coded = tensor.clusters > 0
  const entries = coded ? tensor.kept + tensor.extraGaps : 0
  const fillers = tensor.layout === 'relative' ? tensor.extraGaps : 0
  // A dense layer codes every weight; an escape of the sparse layout is a gap without a code and so no entry.
  const codedEntries = tensor.layout === 'dense' ? tensor.elements : tensor.kept + fillers
  return {
    name: tensor.name,
    shape: tensor.shape,
    weights: tensor.elements,
    kept: tensor.kept,
    clusters: tensor.clusters,
    codeBits: codedEntries && coded ? (8 * tensor.codeBytes) / codedEntries : 0,
    indexBits: codedEntries && coded ? (8 * tensor.indexBytes) / codedEntries : 0,
    entries: entries && codedEntries,
    fillers,
    codeBytes: tensor.codeBytes,
    indexBytes: tensor.indexBytes,
    codebookBytes: tensor.codebookBytes,
    tableBytes: tensor.tableBytes,
    storedBytes: tensor.storedBytes + (tensor.section?.paddingBytes ?? 0),
    codeEntropyBits: tensor.codeEntropyBits,
    indexEntropyBits: tensor.indexEntropyBits,
    entropyBits: tensor.codeEntropyBits + tensor.indexEntropyBits,
  }
}
