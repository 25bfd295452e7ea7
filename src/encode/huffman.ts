import * as assert from '../assert.js'
import { binding } from '../native/binding.js'
import {
  ownedInput,
  ownedInputNow,
  refuseLargeSync,
  resolveJob,
  resolveSyncJob,
  runJob,
  runNow,
} from '../native/job.js'
import type { JobOptions } from '../tensor.js'

const MOST_SYMBOLS = 2 ** 32
const ENCODE = 'huffmanEncode'
const DECODE = 'huffmanDecode'

/**
 * Codes bytes by a canonical Huffman code of at most 12 bits a symbol (paper, section 4). The answer holds the table and the
 * coded blocks (docs/format-streams.md, S6), but not the number of symbols: keep `symbols.length` for `huffmanDecode`.
 *
 * @param symbols one symbol a byte; they are copied unless `job.consume` is set
 * @throws ERR_DC_TYPE, ERR_DC_ARG, ERR_DC_DETACHED, ERR_DC_SHARED, ERR_DC_NOMEM, ERR_DC_ABORTED
 */
export async function huffmanEncode(symbols: Uint8Array, job?: JobOptions): Promise<Uint8Array> {
  const resolved = resolveJob(job)
  const checked = assert.uint8('symbols', symbols, resolved.copyShared)
  const native = binding()
  const input = await ownedInput('symbols', checked, resolved)
  const out = new Uint8Array(native.streamBound(input.length))
  const summary = new Float64Array(1)
  await runJob({ stage: ENCODE, total: input.length }, resolved, (...run) =>
    native.huffmanEncode(input, out, summary, ...run),
  )
  return out.slice(0, summary[0])
}

/** `huffmanEncode`, run now. Inputs above 64 MiB block the event loop for long and need `{ force: true }`. */
export function huffmanEncodeSync(symbols: Uint8Array, job?: JobOptions & { force?: boolean }): Uint8Array {
  const { force, job: resolved } = resolveSyncJob(job)
  const checked = assert.uint8('symbols', symbols, resolved.copyShared)
  refuseLargeSync('symbols', checked, force)
  const native = binding()
  const input = ownedInputNow(checked)
  const out = new Uint8Array(native.streamBound(input.length))
  const summary = new Float64Array(1)
  runNow({ stage: ENCODE }, resolved, (...run) => native.huffmanEncode(input, out, summary, ...run))
  return out.slice(0, summary[0])
}

/**
 * The inverse of `huffmanEncode`: exactly `count` symbols, or an error. Bytes may come from anywhere: every length is checked
 * before it is used.
 *
 * @param count the number of symbols that were encoded; it is also the memory that is allocated
 * @throws ERR_DC_HUFFMAN (no valid table), ERR_DC_BITSTREAM (the blocks are not exactly `count` symbols), and as `huffmanEncode`
 */
export async function huffmanDecode(bytes: Uint8Array, count: number, job?: JobOptions): Promise<Uint8Array> {
  const resolved = resolveJob(job)
  const checked = assert.uint8('bytes', bytes, resolved.copyShared)
  assert.whole('count', count, 0, MOST_SYMBOLS)
  const native = binding()
  const input = await ownedInput('bytes', checked, resolved)
  const symbols = assert.allocate('count', count, (length) => new Uint8Array(length))
  await runJob({ stage: DECODE, total: count }, resolved, (...run) => native.huffmanDecode(input, symbols, ...run))
  return symbols
}

/** `huffmanDecode`, run now. */
export function huffmanDecodeSync(
  bytes: Uint8Array,
  count: number,
  job?: JobOptions & { force?: boolean },
): Uint8Array {
  const { force, job: resolved } = resolveSyncJob(job)
  const checked = assert.uint8('bytes', bytes, resolved.copyShared)
  assert.whole('count', count, 0, MOST_SYMBOLS)
  refuseLargeSync('bytes', checked, force)
  const native = binding()
  const symbols = assert.allocate('count', count, (length) => new Uint8Array(length))
  refuseLargeSync('the symbols', symbols, force)
  const input = ownedInputNow(checked)
  runNow({ stage: DECODE }, resolved, (...run) => native.huffmanDecode(input, symbols, ...run))
  return symbols
}
