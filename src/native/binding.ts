import { DeepCompressionError } from '../errors.js'
import { type Located, locate, type NativeSelfDescription } from './locate.js'

/** `done(status)` is called when the job has settled; null: run now and answer the status. */
export type Done = ((status: number) => void) | null
/** The last three arguments of a raw function that runs as a job. */
export type Run = [threads: number, control: Int32Array, done: Done]

/**
 * The one interface of the addon. Raw functions take typed arrays and numbers by position, end with
 * `(threads, control, done)`, read inputs in place and write into arrays that the caller allocated.
 * `control` is an Int32Array(8): [0] cancel, [1] progress 0..10,000, [2], [3] offset of the failure (native/base/job.h).
 */
export interface NativeBinding {
  nativeInfo(): NativeSelfDescription
  memoryUsage(resetPeak: boolean): MemoryUsage
  kmeansGroups(
    values: Float32Array,
    mask: Uint32Array | null,
    weights: Float32Array | null,
    groupSize: number,
    clusters: number,
    maxIterations: number,
    centroids: Float32Array,
    counts: Uint32Array,
    used: Uint32Array,
    inertia: Float64Array,
    threads: number,
    control: Int32Array,
    done: Done,
  ): unknown
  kmeans1d(
    values: Float32Array,
    mask: Uint32Array | null,
    weights: Float32Array | null,
    initial: Float32Array | null,
    ignoreZeros: boolean,
    clusters: number,
    algorithm: number,
    start: number,
    maxIterations: number,
    tolerance: number,
    seed: number,
    centroids: Float32Array,
    counts: Uint32Array,
    summary: Float64Array,
    codes: Uint8Array | Uint16Array | null,
    ...run: Run
  ): number | undefined
  ecsq(
    values: Float32Array,
    mask: Uint32Array | null,
    clusters: number,
    lambda: number,
    budget: number,
    centroids: Float32Array,
    counts: Uint32Array,
    codes: Uint8Array,
    summary: Float64Array,
    ...run: Run
  ): number | undefined
  streamBound(symbols: number): number
  encodeQuantized(
    mask: Uint32Array | null,
    elements: number,
    codes: Uint8Array,
    codebook: Float32Array,
    layout: number,
    indexBits: number,
    entropy: number,
    width: number,
    out: Uint8Array,
    checksums: Uint32Array,
    fields: Float64Array,
    ...run: Run
  ): number | undefined
  encodeRaw(
    values: Float32Array,
    entropy: number,
    allowNonFinite: boolean,
    out: Uint8Array,
    checksums: Uint32Array,
    fields: Float64Array,
    ...run: Run
  ): number | undefined
  decodeValues(
    payload: Uint8Array,
    fields: Float64Array,
    checksums: Uint32Array | null,
    allowNonFinite: boolean,
    first: number,
    outIsZero: boolean,
    out: Float32Array,
    ...run: Run
  ): number | undefined
  decodeCodes(
    payload: Uint8Array,
    fields: Float64Array,
    checksums: Uint32Array | null,
    allowNonFinite: boolean,
    mask: Uint32Array,
    codes: Uint8Array,
    codebook: Float32Array,
    ...run: Run
  ): number | undefined
  chunkChecksums(bytes: Uint8Array, checksums: Uint32Array, ...run: Run): number | undefined
  verifyFile(file: Uint8Array, limits: Float64Array, ...run: Run): number | undefined
  huffmanEncode(symbols: Uint8Array, out: Uint8Array, summary: Float64Array, ...run: Run): number | undefined
  huffmanDecode(bytes: Uint8Array, symbols: Uint8Array, ...run: Run): number | undefined
  planRelativeIndex(
    mask: Uint32Array,
    weights: number,
    codes: Uint8Array,
    indexBits: number,
    summary: Float64Array,
    ...run: Run
  ): number | undefined
  encodeRelativeIndex(
    mask: Uint32Array,
    weights: number,
    codes: Uint8Array,
    indexBits: number,
    gaps: Uint8Array,
    entries: Uint8Array,
    ...run: Run
  ): number | undefined
  decodeRelativeIndex(
    gaps: Uint8Array,
    entries: Uint8Array,
    indexBits: number,
    mask: Uint32Array,
    weights: number,
    codes: Uint8Array,
    ...run: Run
  ): number | undefined
  /** How many of the first `count` weights the mask keeps. */
  countMask(mask: Uint32Array, count: number): number
  /** `result` gets [kept, threshold]. */
  pruneToCount(
    values: Float32Array,
    keep: number,
    mask: Uint32Array,
    result: Float64Array,
    ...run: Run
  ): number | undefined
  pruneBelow(
    values: Float32Array,
    threshold: number,
    mask: Uint32Array,
    result: Float64Array,
    ...run: Run
  ): number | undefined
  pruneBelowDeviations(
    values: Float32Array,
    factor: number,
    mask: Uint32Array,
    result: Float64Array,
    ...run: Run
  ): number | undefined
  assign(
    values: Float32Array,
    mask: Uint32Array | null,
    centroids: Float32Array,
    codes: Uint8Array | Uint16Array,
    ...run: Run
  ): number | undefined
  expand(
    codes: Uint8Array | Uint16Array,
    mask: Uint32Array | null,
    codebook: Float32Array,
    values: Float32Array,
    ...run: Run
  ): number | undefined
  /** `sums[c]` becomes the sum of the values whose code is c; `positions` says which value a code is of (null: its own index). */
  sumByCode(
    values: Float32Array,
    positions: Uint32Array | null,
    codes: Uint8Array,
    sums: Float64Array,
    ...run: Run
  ): number | undefined
  /** `result` gets the exclusive-or of all bits: a yardstick for benches. */
  readPass(values: Float32Array, result: Uint32Array, ...run: Run): number | undefined
}

/** Memory of the addon's own, besides the arrays that JavaScript knows of (RELIABILITY 3.E, E5). */
export interface MemoryUsage {
  /** Held now: 0 while no job runs. */
  bytes: number
  /** The most that was held at once since the addon was loaded. */
  peakBytes: number
}

let located: Located | undefined

/** The addon and where it came from; looked for once. */
export function locatedBinding(): Located {
  located ??= locate()
  return located
}

/** The addon, or `ERR_DC_ADDON` saying why there is none and how to get one. */
export function binding(): NativeBinding {
  const found = locatedBinding()
  if (found.binding) return found.binding
  throw new DeepCompressionError(
    'ADDON',
    `this needs the native addon: ${found.reason}. Reading .dcz files works without it; "npm run build" in a checkout compiles it`,
  )
}

/** What the addon holds beside the arrays of JavaScript; zeros without an addon, or where the system does not tell. */
export function memoryUsage(): MemoryUsage {
  return locatedBinding().binding?.memoryUsage(false) ?? { bytes: 0, peakBytes: 0 }
}

/** What runs here, and why. */
export interface NativeInfo {
  loaded: boolean
  path: string | null
  /** scalar, avx2 or avx512; null without an addon. */
  isa: string | null
  reason: string
}

function whyThisLevel({ cpuLevel, detectedCpuLevel }: NativeSelfDescription): string {
  if (cpuLevel !== detectedCpuLevel) return `DEEP_COMPRESSION_CPU lowers ${detectedCpuLevel} to ${cpuLevel}`
  const wanted = process.env.DEEP_COMPRESSION_CPU
  const best = 'the best level of this processor'
  if (!wanted || wanted === cpuLevel) return best
  if (['scalar', 'avx2', 'avx512'].includes(wanted)) return `${best}; DEEP_COMPRESSION_CPU can only lower it`
  return `${best}; DEEP_COMPRESSION_CPU is none of scalar, avx2, avx512`
}

/** Says whether the native addon is in use, which instruction set it runs, and why. */
export function nativeInfo(): NativeInfo {
  const found = locatedBinding()
  if (!found.binding) return { loaded: false, path: null, isa: null, reason: found.reason }
  const self = found.binding.nativeInfo()
  return { loaded: true, path: found.path, isa: self.cpuLevel, reason: whyThisLevel(self) }
}
