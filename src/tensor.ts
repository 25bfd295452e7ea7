/** A named tensor of float32 weights; `values.length` is the product of `shape` (1 for rank 0), in C order. */
export interface WeightTensor {
  name: string
  shape: readonly number[]
  values: Float32Array
}

/**
 * Weights after sharing (paper, section 3).
 *
 * `mask` has one bit a weight (bit `i & 31` of word `i >>> 5`; 1 = kept; bits past the last weight are 0), or is null when
 * every weight is kept. `codes` has one code per *kept* weight, in position order. `codebook` holds the centroids, ascending.
 */
export interface QuantizedTensor {
  name: string
  shape: readonly number[]
  mask: Uint32Array | null
  kept: number
  codes: Uint8Array
  codebook: Float32Array
}

/** Called now and then while a job runs; `done` of `total` weights (or bytes) of this stage. */
export type Progress = (p: { stage: string; tensor: string; done: number; total: number }) => void

/** Options of every asynchronous call. */
export interface JobOptions {
  /** Rejects with `ERR_DC_ABORTED` (cause: `signal.reason`) within 50 ms of the abort. */
  signal?: AbortSignal
  onProgress?: Progress
  /** Threads at the most, 1 to 64; default: `DEEP_COMPRESSION_THREADS`, else the machine's cores. Never changes a result. */
  threads?: number
  /**
   * Takes the caller's arrays instead of copying them: their buffers are transferred and become zero-length for the caller.
   * For tensors whose copy would not fit in memory.
   */
  consume?: boolean
  /** Allows views on a SharedArrayBuffer; they are copied once, before anything is read. */
  copyShared?: boolean
}

/** Number of elements of a shape: the product of its dimensions, 1 for rank 0. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const dimension of shape) count *= dimension
  return count
}
