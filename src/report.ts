/** One line of the paper's tables (Tables 2 to 5), in bytes that were really written. */
export interface LayerReport {
  name: string
  shape: readonly number[]
  /** Weights of the tensor, and how many of them are not pruned. */
  weights: number
  kept: number
  /** Centroids in the codebook; 0 when the tensor is stored losslessly. */
  clusters: number
  /** Coded bits an entry: `8 * codeBytes / entries` and `8 * indexBytes / entries`. */
  codeBits: number
  indexBits: number
  /** Entries that were coded = kept weights + fillers (paper, section 2: padding zeros). */
  entries: number
  fillers: number
  codeBytes: number
  indexBytes: number
  codebookBytes: number
  tableBytes: number
  /** All bytes of this tensor in the file, its padding included. */
  storedBytes: number
  /** Order-0 entropy of codes and of gaps, in bits for the whole tensor: what no code without context can go below. */
  codeEntropyBits: number
  indexEntropyBits: number
  /** Their sum. */
  entropyBits: number
}

/** The paper's table for one file. `compressedBytes` is the size of the file: header, checksums and padding included. */
export interface Report {
  originalBytes: number
  compressedBytes: number
  ratio: number
  /** Preamble, header, section table, footer: what belongs to no tensor. */
  containerBytes: number
  layers: LayerReport[]
}

const COLUMNS: { title: string; of: (l: LayerReport) => string }[] = [
  { title: 'layer', of: (l) => l.name },
  { title: 'weights', of: (l) => count(l.weights) },
  { title: 'kept', of: (l) => `${percent(l.weights ? l.kept / l.weights : 0)}` },
  { title: 'clusters', of: (l) => (l.clusters ? String(l.clusters) : '-') },
  { title: 'code bits', of: (l) => bits(l.codeBits) },
  { title: 'bound', of: (l) => bits(l.entries && l.codeEntropyBits / l.entries) },
  { title: 'index bits', of: (l) => bits(l.indexBits) },
  { title: 'bound', of: (l) => bits(l.entries && l.indexEntropyBits / l.entries) },
  { title: 'entries', of: (l) => count(l.entries) },
  { title: 'fillers', of: (l) => count(l.fillers) },
  { title: 'codes B', of: (l) => count(l.codeBytes) },
  { title: 'index B', of: (l) => count(l.indexBytes) },
  { title: 'codebook B', of: (l) => count(l.codebookBytes) },
  { title: 'tables B', of: (l) => count(l.tableBytes) },
  { title: 'stored B', of: (l) => count(l.storedBytes) },
  { title: 'size', of: (l) => percent(l.weights ? l.storedBytes / (4 * l.weights) : 0) },
]

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

function bits(value: number): string {
  return value ? value.toFixed(2) : '-'
}

/** Columns of text, the first left-aligned, the others right-aligned. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/** The report as a text table with a total line. */
export function formatReport(report: Report): string {
  const rows = [COLUMNS.map((c) => c.title), ...report.layers.map((layer) => COLUMNS.map((c) => c.of(layer)))]
  const total = `total: ${count(report.originalBytes)} bytes as float32 -> ${count(report.compressedBytes)} bytes, ${report.ratio.toFixed(2)}x`
  return `${formatTable(rows)}\n${total} (of which container ${count(report.containerBytes)})`
}
