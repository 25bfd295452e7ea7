import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Limits } from '../../src/container/limits'
import { parseArchive } from '../../src/container/reader'
import { verifyArchive, verifyBytes } from '../../src/decode/decode'
import { openArchive } from '../../src/web'
import {
  build,
  GOLDEN,
  golden,
  name,
  oneTensor,
  type Parts,
  section,
  text,
  u16,
  u32,
  u64,
  varint,
} from '../support/dcz'

/** One broken file for each rule of docs/format.md and each row of RELIABILITY 3.A to 3.E; all three readers must give the same code. */

/** The code, and the byte of the file that the error names. */
type Answer = [code: string, offset: number | undefined]

function answerOf(error: unknown): Answer {
  const { code, offset } = error as { code?: string; offset?: number }
  return [String(code).replace('ERR_DC_', ''), offset]
}

async function byTypeScript(file: Uint8Array, limits: Partial<Limits>): Promise<Answer> {
  try {
    const archive = parseArchive(file, limits)
    await verifyArchive(archive, { length: file.length, read: async (at, n) => file.slice(at, at + n) }, { limits })
    return ['ok', undefined]
  } catch (error) {
    return answerOf(error)
  }
}

async function byNative(file: Uint8Array, limits: Partial<Limits>): Promise<Answer> {
  return verifyBytes(file, { limits }).then((): Answer => ['ok', undefined], answerOf)
}

/** The third one: TypeScript from header to values, as in a browser. */
function byWeb(file: Uint8Array, limits: Partial<Limits>): Answer {
  try {
    openArchive(file, { limits }).verify()
    return ['ok', undefined]
  } catch (error) {
    return answerOf(error)
  }
}

const codeByTypeScript = async (file: Uint8Array, limits: Partial<Limits>) => (await byTypeScript(file, limits))[0]
const codeByNative = async (file: Uint8Array, limits: Partial<Limits>) => (await byNative(file, limits))[0]

type Case = [rule: string, title: string, file: Uint8Array, code: string, limits?: Partial<Limits>]

// A raw tensor of two floats, and a sparse one of four positions with codes 0, 1 at positions 1, 2 (the example of the specification).
const RAW = [1, 2, 1, 0]
const FLOATS = [...u32(0x3f800000), ...u32(0xc0000000)]
const raw = (more: Parts = {}) => oneTensor(RAW, FLOATS, 2, 0, more)
const SPARSE = [1, 4, 3, 5, 16, 1, 2, 3, 0, 4, 1, 1, 2, 2]
const PAYLOAD = [0x00, 0xbc, 0x00, 0x3c, 1, 1, 1, 2, 0x01, 0x02]
const sparse = (payload = PAYLOAD, entry = SPARSE, entries = 2) => oneTensor(entry, payload, 4, entries)
const put = (bytes: number[], at: number, ...values: number[]) => [
  ...bytes.slice(0, at),
  ...values,
  ...bytes.slice(at + values.length),
]
const entryOf = (label: number[], entry: number[]) => [...label, ...entry]
const zeros = (names: number[][]) => build({ tensors: names.map((n) => [...n, 1, 0, 0]) })
const preamble = (at: number, ...values: number[]) =>
  raw({ preamble: (bytes) => bytes.splice(at, values.length, ...values) })
const good = raw()
const changed = (file: Uint8Array, at: number, value: number) => {
  const copy = file.slice()
  copy[at < 0 ? file.length + at : at] = value
  return copy
}
const big = new Array(65536).fill(0).map((_, i) => (i % 4 === 3 ? 0x3f : i % 251))
const aligned = (padding: number[]) => {
  const parts = { tensors: [[...name('w'), 1, ...varint(16384), 1, 0]], sections: [section(0x81, 0, big)] }
  const totals = { stored: u64(65536), dense: u64(65536), entries: u64(0) }
  return build({ ...parts, totals, body: [...padding, ...big] })
}
const alignment = 64 - ((64 + 44 + name('w').length + 6 + 9) % 64)

const optional = (sections: number[][], body: number[]) =>
  build({
    tensors: [[...name('w'), ...RAW]],
    sections: [section(0x81, 0, FLOATS), ...sections],
    totals: { stored: u64(8 + body.length), dense: u64(8), entries: u64(0) },
    body: [...FLOATS, ...body],
  })

const relative = (gaps: number[], entries: number[], kept: number, extra: number) => {
  // 2-bit gaps and 2-bit entries, raw models; one centroid 1.0.
  const pack = (symbols: number[]) => {
    const out = new Array(Math.ceil(symbols.length / 4)).fill(0)
    for (const [i, s] of symbols.entries()) out[i >> 2] |= s << (2 * (i & 3))
    return out
  }
  const g = pack(gaps)
  const e = pack(entries)
  const entry = [1, 40, 4, 5, 16, 0, kept, 2, extra, 4, g.length, e.length, 9, 9]
  return oneTensor(entry, [0x00, 0x3c, 1, 2, 1, 2, ...g, ...e], 40, kept + extra)
}

// Layout context by hand (S7): the first bit of a stream whose contexts know nothing has probability 1/2, so that a first byte of 0x80 or
// more is a 0 and a lower one a 1. Two centroids, -1 and 1, in half precision.
const HALVES = [0x00, 0xbc, 0x00, 0x3c]
const contextAll = (codes: number[], entry = [1, 1, 5, 4, 1, 1, 1, codes.length, 0]) =>
  oneTensor(entry, [...HALVES, ...codes], 1, 1)
// Two positions, one of them kept; its code is 1, which takes no byte.
const contextPruned = (index: number[], entry = [1, 2, 5, 5, 1, 1, 2, 1, index.length, 0, 0, 2], payload = HALVES) =>
  oneTensor(entry, [...payload, ...index], 2, 1)
const manyCodes = (n: number, codes: number[]) =>
  oneTensor([1, ...varint(n), 5, 4, 1, 1, 1, codes.length, 0], [...HALVES, ...codes], n, n)
const manyMarks = (n: number, kept: number, index: number[]) =>
  oneTensor([1, ...varint(n), 5, 5, 1, ...varint(kept), 2, 1, index.length, 0, 0, 2], [...HALVES, ...index], n, kept)
const CONTEXT = [1, 2, 5, 5, 1, 1, 2, 1, 1, 0, 0, 2]
/** Four weights, layout dense, one centroid 1.0 in half precision: a code model and a payload. */
const dense = (model: number[], code: number[] = []) =>
  oneTensor([1, 4, 2, 4, 16, 0, model.length, code.length, 0], [0x00, 0x3c, ...model, ...code], 4, 4)
/** The same, pruned: `symbols` has four raw symbols of 2 bits. */
const pruned = (kept: number, symbols: number) =>
  oneTensor([1, 4, 2, 5, 16, 0, kept, 2, 1, 0], [0x00, 0x3c, 1, 2, symbols], 4, kept)
/** Two dense blocks of 1,024 weights without any code bytes. */
const blocks = (directory: number[]) =>
  oneTensor([1, ...varint(2048), 2, 4, 10, 0, 2, 0, 0], [0x00, 0x3c, 0, 0, ...directory], 2048, 2048)
/** Two sparse blocks, gaps and codes constant 0: `first` kept weights in block 0, 1,024 and `more` in all. */
const gapBlocks = (first: number, more: number) =>
  oneTensor(
    [1, ...varint(2048), 3, 5, 10, 0, ...varint(1024 + more), 3, 0, 4, 0, 0, 0, 0],
    [0x00, 0x3c, 0, 0, 0, 0, ...varint(first), 0, 0, 0],
    2048,
    1024 + more,
  )
const planes = (directory: number[]) =>
  oneTensor([1, ...varint(2048), 1, 1, 10, 8], [0, 1, 0, 1, 0, 1, 0, 1, ...directory], 2048, 0)
/** Bits of bytes, low first, from text: of a number of `bits` bits too. */
const packed = (bits: string) =>
  (bits.replaceAll(' ', '').match(/.{1,8}/g) ?? []).map((byte) => Number.parseInt([...byte].reverse().join(''), 2))
const low = (value: number, bits: number) => [...value.toString(2).padStart(bits, '0')].reverse().join('')
/** Four weights, four ascending centroids by the shift, the first key and the bits of the steps; float16: form 3. */
const steps = (form: 2 | 3, shift: number, first: number, more: string) => {
  const book = packed((form === 2 ? low(shift, 5) + low(first, 32) : low(shift, 4) + low(first, 16)) + more)
  return oneTensor([1, 4, 2, form << 2, 16, 3, book.length, 2, 0, 0], [...book, 0, 0], 4, 4)
}
const RANS = [3, 1, 0b0_1100_111, 0, 0, 0]

const CASES: Case[] = [
  ['A1', 'an empty file', new Uint8Array(0), 'TRUNCATED'],
  ['A1', 'one byte of the magic', good.slice(0, 1), 'TRUNCATED'],
  ['A1', 'seven bytes that are no magic', Uint8Array.from(text('notadcz')), 'MAGIC'],
  ['DCZ-10', 'another magic', changed(good, 0, 0x88), 'MAGIC'],
  [
    'A2',
    'CR LF of the magic turned to LF by a text-mode copy',
    Uint8Array.from([...good.slice(0, 4), ...good.slice(5)]),
    'MAGIC',
  ],
  ['A2', 'the high bit stripped', changed(good, 0, 0x09), 'MAGIC'],
  ['DCZ-11', 'a damaged preamble', changed(good, 60, good[60]! ^ 1), 'CHECKSUM'],
  ['DCZ-12', 'version 2.0', preamble(8, 2), 'VERSION'],
  ['DCZ-12', 'version 0.0', preamble(8, 0), 'VERSION'],
  ['DCZ-12', 'minor version 7 is read', preamble(10, 7), 'ok'],
  ['DCZ-04', 'a reserved byte of the preamble', preamble(40, 1), 'STRUCTURE'],
  ['DCZ-04', 'the last reserved byte of the preamble', preamble(59, 1), 'STRUCTURE'],
  ['DCZ-14', 'a required feature', preamble(24, 1), 'FEATURE'],
  ['DCZ-14', 'required feature 63', preamble(31, 128), 'FEATURE'],
  ['DCZ-14', 'an optional feature is ignored', preamble(39, 255), 'ok'],
  ['DCZ-13', 'a declared length of 2^53', raw({ fileBytes: 2 ** 53, footer: [] }), 'STRUCTURE'],
  ['DCZ-13', 'a file shorter than declared', raw({ fileBytes: 1000 }), 'TRUNCATED'],
  ['A3', 'a ZIP appended', Uint8Array.from([...good, ...text('PK\x03\x04')]), 'TRAILING'],
  ['DCZ-13', 'a header that reaches into the footer', raw({ headerBytes: good.length - 79 }), 'STRUCTURE'],
  ['DCZ-13', 'a header of 43 bytes', raw({ headerBytes: 43 }), 'STRUCTURE'],
  ['DCZ-13', 'a header of 4 GiB', preamble(12, 255, 255, 255, 255), 'STRUCTURE'],
  ['DCZ-15', 'a damaged end mark', changed(good, -1, 0x0b), 'CHECKSUM'],
  ['DCZ-15', 'another length in the footer', changed(good, -16, 0), 'CHECKSUM'],
  ['DCZ-20', 'a damaged header', changed(good, 64, 2), 'CHECKSUM'],
  ['DCZ-04', 'a reserved field of the header', raw({ counts: { reserved: 1 } }), 'STRUCTURE'],
  [
    'DCZ-01',
    'stored bytes of 2^64 - 1',
    raw({ totals: { stored: new Array(8).fill(255), dense: u64(8), entries: u64(0) } }),
    'STRUCTURE',
  ],
  ['DCZ-21', 'more tensors than there are', raw({ counts: { tensors: 2 } }), 'STRUCTURE'],
  ['DCZ-21', 'fewer tensors than there are', raw({ counts: { tensors: 0 } }), 'STRUCTURE'],
  [
    'DCZ-21',
    'stored bytes that are one too many',
    raw({ totals: { stored: u64(9), dense: u64(8), entries: u64(0) } }),
    'STRUCTURE',
  ],
  [
    'DCZ-21',
    'dense bytes that are too many',
    raw({ totals: { stored: u64(8), dense: u64(12), entries: u64(0) } }),
    'STRUCTURE',
  ],
  [
    'DCZ-21',
    'dense bytes that are too few',
    raw({ totals: { stored: u64(8), dense: u64(4), entries: u64(0) } }),
    'STRUCTURE',
  ],
  [
    'DCZ-21',
    'dense bytes that are no multiple of 4',
    raw({ totals: { stored: u64(8), dense: u64(9), entries: u64(0) } }),
    'STRUCTURE',
  ],
  [
    'DCZ-21',
    'entries that are not there',
    raw({ totals: { stored: u64(8), dense: u64(8), entries: u64(1) } }),
    'STRUCTURE',
  ],
  ['DCZ-21', 'a byte left over in the header', raw({ extraHeader: [0] }), 'STRUCTURE'],
  ['A11', 'more tensors than the limit', raw({ counts: { tensors: 65537 } }), 'LIMIT'],
  ['A11', 'four billion sections', raw({ counts: { sections: 0xffffffff } }), 'LIMIT'],
  ['A11', 'more metadata than the limit', raw({ counts: { metadata: 1025 } }), 'LIMIT'],
  ['A11', 'a header over the limit', good, 'LIMIT', { maxHeaderBytes: 56 }],
  [
    'E1',
    'more elements in the file than the limit',
    raw({ totals: { stored: u64(8), dense: u64(2 ** 36), entries: u64(0) } }),
    'LIMIT',
  ],
  ['E1', 'more elements in a tensor than the limit', good, 'LIMIT', { maxElements: 1 }],
  ['E1', 'more decoded bytes than the limit', good, 'LIMIT', { maxDecodedBytes: 7 }],
  ['E1', 'as many decoded bytes as the limit', good, 'ok', { maxDecodedBytes: 8 }],
  ['E1', 'more decoded bytes than the limit, sparse', sparse(), 'LIMIT', { maxDecodedBytes: 15 }],
  ['E1', 'as many decoded bytes as the limit, sparse', sparse(), 'ok', { maxDecodedBytes: 16 }],
  ['E1', 'more decoded bytes than the limit, context', contextPruned([0x80]), 'LIMIT', { maxDecodedBytes: 7 }],
  ['E1', 'as many decoded bytes as the limit, context', contextPruned([0x80]), 'ok', { maxDecodedBytes: 8 }],
  [
    'DCZ-22',
    'metadata is read',
    raw({
      metadata: [
        [...name('a'), ...u16(1), 66],
        [...name('b'), ...u16(0)],
      ],
    }),
    'ok',
  ],
  [
    'DCZ-22',
    'metadata keys out of order',
    raw({
      metadata: [
        [...name('b'), ...u16(0)],
        [...name('a'), ...u16(0)],
      ],
    }),
    'STRUCTURE',
  ],
  [
    'DCZ-22',
    'a metadata key twice',
    raw({
      metadata: [
        [...name('a'), ...u16(0)],
        [...name('a'), ...u16(0)],
      ],
    }),
    'STRUCTURE',
  ],
  ['DCZ-22', 'NUL in a metadata value', raw({ metadata: [[...name('a'), ...u16(1), 0]] }), 'STRUCTURE'],
  ['DCZ-22', 'a metadata value that is no UTF-8', raw({ metadata: [[...name('a'), ...u16(1), 0xff]] }), 'STRUCTURE'],
  [
    'DCZ-22',
    'a metadata value that runs past the header',
    raw({ metadata: [[...name('a'), ...u16(65535)]] }),
    'STRUCTURE',
  ],
  ['A12', 'a name twice', zeros([name('a'), name('a')]), 'STRUCTURE'],
  ['A12', 'names out of order', zeros([name('b'), name('a')]), 'STRUCTURE'],
  ['DCZ-23', 'a name before its beginning', zeros([name('ab'), name('a')]), 'STRUCTURE'],
  ['A12', 'an empty name', zeros([[0]]), 'STRUCTURE'],
  ['A12', 'NUL in a name', zeros([[3, 97, 0, 98]]), 'STRUCTURE'],
  ['A12', 'a C1 control in a name', zeros([[2, 0xc2, 0x85]]), 'STRUCTURE'],
  ['A12', 'DEL in a name', zeros([[1, 0x7f]]), 'STRUCTURE'],
  ['A12', 'an overlong form in a name', zeros([[2, 0xc1, 0xa1]]), 'STRUCTURE'],
  ['A12', 'a surrogate in a name', zeros([[3, 0xed, 0xa0, 0x80]]), 'STRUCTURE'],
  ['A12', 'past U+10FFFF in a name', zeros([[4, 0xf4, 0x90, 0x80, 0x80]]), 'STRUCTURE'],
  ['A12', 'a name cut in a character', zeros([[2, 0xe9, 0x87]]), 'STRUCTURE'],
  [
    'A12',
    'strange names that are legal',
    zeros([name('../x'), name('__proto__'), name('constructor'), name('ä')]),
    'ok',
  ],
  ['A12', 'a byte order mark is part of a name', zeros([[4, 0xef, 0xbb, 0xbf, 97]]), 'ok'],
  ['DCZ-24', 'a name that runs past the header', build({ tensors: [[255, 97]] }), 'STRUCTURE'],
  ['C3', 'rank 9', build({ tensors: [[...name('a'), 9, ...new Array(9).fill(1), 0]] }), 'STRUCTURE'],
  [
    'C3',
    'a product of 2^64',
    build({ tensors: [[...name('a'), 2, ...varint(2 ** 32), ...varint(2 ** 32), 0]] }),
    'STRUCTURE',
  ],
  [
    'C3',
    'a product of 2^80 hidden behind a zero',
    build({ tensors: [[...name('a'), 3, ...varint(2 ** 40), ...varint(2 ** 40), 0, 0]] }),
    'STRUCTURE',
  ],
  ['C3', 'a dimension of 2^41', build({ tensors: [[...name('a'), 2, ...varint(2 ** 41), 0, 0]] }), 'STRUCTURE'],
  ['C3', 'a zero dimension is legal', build({ tensors: [[...name('a'), 3, 5, 0, 7, 0]] }), 'ok'],
  ['C3', 'a zero dimension with a layout', build({ tensors: [[...name('a'), 1, 0, 1, 0]] }), 'STRUCTURE'],
  [
    'E1',
    'an all-zero tensor of 2^33 elements',
    build({ tensors: [[...name('a'), 1, ...varint(2 ** 33), 0]], totals: { dense: u64(2 ** 35) } }),
    'LIMIT',
  ],
  ['DCZ-02', 'a number in two bytes that fits one', oneTensor([1, 0x82, 0, 1, 0], FLOATS, 2, 0), 'STRUCTURE'],
  ['DCZ-02', 'a number of nine bytes', oneTensor([1, ...new Array(8).fill(0x80), 1, 1, 0], FLOATS, 2, 0), 'STRUCTURE'],
  ['DCZ-02', 'a number past 2^53', oneTensor([1, ...new Array(7).fill(0xff), 0x7f, 1, 0], FLOATS, 2, 0), 'STRUCTURE'],
  ['DCZ-31', 'layout 6', oneTensor([1, 2, 6, 0], FLOATS, 2, 0), 'STRUCTURE'],
  ['DCZ-33', 'raw form 2', oneTensor([1, 2, 1, 2], FLOATS, 2, 0), 'STRUCTURE'],
  ['DCZ-33', 'planes in blocks of 2^9', oneTensor([1, 2, 1, 1, 9, 8], FLOATS, 2, 0), 'STRUCTURE'],
  ['C4', 'stored floats that are too few', oneTensor([1, 3, 1, 0], FLOATS, 3, 0), 'STRUCTURE'],
  ['C4', 'stored floats that are too many', oneTensor([1, 1, 1, 0], FLOATS, 1, 0), 'STRUCTURE'],
  ['A10', 'a section of length 0', build({ sections: [[1, 0, 0]] }), 'STRUCTURE'],
  ['A5', 'an unknown critical section', optional([section(0x82, 0, [1])], [1]), 'FEATURE'],
  ['DCZ-26', 'section type 0', optional([section(0, 0, [1])], [1]), 'STRUCTURE'],
  ['DCZ-26', 'section type 0x80', optional([section(0x80, 0, [1])], [1]), 'STRUCTURE'],
  [
    'A6',
    'unknown optional sections are skipped',
    optional([section(1, 0, [1]), section(1, 1, [2]), section(9, 0, [3])], [1, 2, 3]),
    'ok',
  ],
  ['A6', 'a damaged optional section', changed(optional([section(1, 0, [1])], [1]), -17, 2), 'CHECKSUM'],
  ['DCZ-26', 'an optional section of a tensor that is not there', optional([section(1, 2, [1])], [1]), 'STRUCTURE'],
  ['DCZ-27', 'optional sections out of order', optional([section(2, 0, [1]), section(1, 0, [1])], [1, 1]), 'STRUCTURE'],
  ['DCZ-27', 'an optional section twice', optional([section(1, 0, [1]), section(1, 0, [1])], [1, 1]), 'STRUCTURE'],
  ['DCZ-27', 'a second payload of a tensor', optional([section(0x81, 0, [1])], [1]), 'STRUCTURE'],
  ['DCZ-27', 'a payload of another tensor', raw({ sections: [section(0x81, 1, FLOATS)] }), 'STRUCTURE'],
  [
    'DCZ-27',
    'an optional section before a payload',
    raw({ sections: [section(1, 0, FLOATS), section(0x81, 0, FLOATS)] }),
    'STRUCTURE',
  ],
  ['DCZ-27', 'no payload', raw({ sections: [], totals: { dense: u64(8) } }), 'STRUCTURE'],
  ['A9', 'a section that ends past the footer', raw({ body: FLOATS.slice(1) }), 'STRUCTURE'],
  ['A9', 'a hole before the footer', raw({ body: [...FLOATS, 0] }), 'STRUCTURE'],
  [
    'A10',
    'a section of 2^53 - 1 bytes',
    raw({ sections: [[0x81, 0, ...varint(2 ** 53 - 1), 0, 0, 0, 0]] }),
    'STRUCTURE',
  ],
  ['DCZ-36', 'a section of 64 KiB at a multiple of 64', aligned(new Array(alignment).fill(0)), 'ok'],
  ['A9', 'padding that is not 0', aligned([...new Array(alignment - 1).fill(0), 1]), 'STRUCTURE'],
  ['A9', 'padding that is missing', aligned([]), 'STRUCTURE'],
  ['A13', 'a damaged payload', changed(good, -17, good.at(-17)! ^ 4), 'CHECKSUM'],
  ['DCZ-47', 'NaN in a raw tensor', oneTensor(RAW, [...u32(0x7fc00000), ...u32(0)], 2, 0), 'VALUE'],
  ['DCZ-47', 'infinity in a raw tensor', oneTensor(RAW, [...u32(0xff800000), ...u32(0)], 2, 0), 'VALUE'],
  ['DCZ-46', 'planes whose models end early', oneTensor([1, 2, 1, 1, 16, 7], [1, 8, 1, 8, 1, 8, 1], 2, 0), 'HUFFMAN'],
  [
    'DCZ-46',
    'planes with table bytes left over',
    oneTensor([1, 2, 1, 1, 16, 9], [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0], 2, 0),
    'STRUCTURE',
  ],
  [
    'DCZ-46',
    'planes that end before the section',
    oneTensor([1, 2, 1, 1, 16, 8], [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0], 2, 0),
    'STRUCTURE',
  ],
  [
    'DCZ-46',
    'planes of one byte each',
    oneTensor([1, 2, 1, 1, 16, 8], [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0], 2, 0),
    'ok',
  ],
  ['DCZ-34', 'the example of the specification', sparse(), 'ok'],
  ['DCZ-34', 'a reserved flag', sparse(PAYLOAD, put(SPARSE, 3, 21)), 'STRUCTURE'],
  ['DCZ-34', 'a reserved flag', sparse(PAYLOAD, put(SPARSE, 3, 21)), 'STRUCTURE'],
  ['DCZ-34', 'blocks of 2^25', sparse(PAYLOAD, put(SPARSE, 4, 25)), 'STRUCTURE'],
  ['DCZ-34', 'nothing kept in a sparse layout', sparse(PAYLOAD, put(SPARSE, 6, 0), 0), 'STRUCTURE'],
  ['DCZ-34', 'all kept under the pruned flag', sparse(PAYLOAD, put(SPARSE, 6, 4), 4), 'STRUCTURE'],
  ['DCZ-34', 'escape 0', sparse(PAYLOAD, put(SPARSE, 7, 0)), 'STRUCTURE'],
  ['DCZ-34', 'more escapes than elements', sparse(PAYLOAD, put(SPARSE, 8, 5), 7), 'STRUCTURE'],
  ['DCZ-34', 'index bits 9', sparse(PAYLOAD, put(put(SPARSE, 2, 4), 7, 9)), 'STRUCTURE'],
  ['DCZ-34', '256 clusters in a relative layout', sparse(PAYLOAD, put(put(SPARSE, 2, 4), 5, 255)), 'STRUCTURE'],
  ['DCZ-35', 'streams longer than the section', sparse(PAYLOAD, put(SPARSE, 11, 2)), 'STRUCTURE'],
  ['DCZ-35', 'streams shorter than the section', sparse([...PAYLOAD, 0]), 'STRUCTURE'],
  ['DCZ-34', 'layout context', contextPruned([0x80]), 'ok'],
  ['DCZ-34', 'a width of 0', contextPruned([0x80], put(CONTEXT, 6, 0)), 'STRUCTURE'],
  ['DCZ-34', 'a width of more than the elements', contextPruned([0x80], put(CONTEXT, 6, 3)), 'STRUCTURE'],
  [
    'DCZ-34',
    'a width of 65,537',
    oneTensor([1, ...varint(70000), 5, 0, 0, ...varint(65537), 1, 0, 0], [0, 0, 0x80, 0x3f], 70000, 70000),
    'STRUCTURE',
  ],
  [
    'DCZ-34',
    'a width of 65,536, one centroid, no bits',
    oneTensor([1, ...varint(70000), 5, 4, 0, ...varint(65536), 1, 0, 0], [0, 0x3c], 70000, 70000),
    'ok',
  ],
  ['DCZ-34', 'a stride of 0', contextPruned([0x80], put(CONTEXT, 7, 0)), 'STRUCTURE'],
  [
    'DCZ-34',
    'a stride of 65,536',
    contextPruned([0x80], [1, 2, 5, 5, 1, 1, 2, ...varint(65536), 1, 0, 0, 2]),
    'STRUCTURE',
  ],
  [
    'DCZ-34',
    'layout context of 2^20 + 1 elements',
    oneTensor([1, ...varint(2 ** 20 + 1), 5, 4, 0, 1, 1, 0, 0], [0, 0x3c], 2 ** 20 + 1, 2 ** 20 + 1),
    'STRUCTURE',
  ],
  [
    'DCZ-34',
    'layout context of 2^20 elements, one centroid, no bits',
    oneTensor([1, ...varint(2 ** 20), 5, 4, 0, 1, 1, 0, 0], [0, 0x3c], 2 ** 20, 2 ** 20),
    'ok',
  ],
  ['DCZ-38', '16,384 bits of codes in no byte: they take more', manyCodes(16384, []), 'BITSTREAM'],
  ['DCZ-38', '16,385 bits of codes in no byte', manyCodes(16385, []), 'STRUCTURE'],
  ['DCZ-38', '17,408 bits of codes in a byte', manyCodes(17408, [0]), 'ok'],
  ['DCZ-38', '17,409 bits of codes in a byte', manyCodes(17409, [0]), 'STRUCTURE'],
  [
    'DCZ-38',
    '16,383 bits of a mask and one of a code in no byte: they take more',
    manyMarks(16383, 1, []),
    'BITSTREAM',
  ],
  ['DCZ-38', '16,384 bits of a mask and one of a code in no byte', manyMarks(16384, 1, []), 'STRUCTURE'],
  [
    'S7.2',
    'a mask that takes more bytes than it has and has too few positions',
    manyMarks(4000, 3999, [255, 255, 255, 255]),
    'BITSTREAM',
  ],
  ['DCZ-34', 'nothing kept in layout context', contextPruned([0x80], put(CONTEXT, 5, 0)), 'STRUCTURE'],
  [
    'DCZ-35',
    'layout context with a byte that nothing names',
    contextPruned([0x80], CONTEXT, [...HALVES, 0]),
    'STRUCTURE',
  ],
  ['DCZ-35', 'layout context with streams past its section', contextPruned([0x80], put(CONTEXT, 9, 1)), 'STRUCTURE'],
  ['DCZ-48', 'code 1 of two', contextAll([]), 'ok'],
  ['DCZ-48', 'code 0 of two', contextAll([0x80]), 'ok'],
  ['S7.2', 'a last byte that another one would do for', contextAll([0x81]), 'BITSTREAM'],
  ['S7.2', 'a byte that is not needed', contextAll([0x00]), 'BITSTREAM'],
  ['S7.2', 'a byte after the last one', contextAll([0x80, 0x00]), 'BITSTREAM'],
  ['DCZ-48', 'the first of two positions', contextPruned([]), 'ok'],
  ['S7.2', 'a mask with a byte that is not needed', contextPruned([0x00]), 'BITSTREAM'],
  ['S7.4', 'a mask with too few positions', contextPruned([0xff]), 'INDEX'],
  [
    'DCZ-47',
    'an infinite centroid in layout context',
    contextPruned([0x80], CONTEXT, [0x00, 0xbc, 0x00, 0x7c]),
    'VALUE',
  ],
  ['DCZ-51', 'a codebook of layout context that falls', contextPruned([0x80], CONTEXT, [0, 0x3c, 0, 0xbc]), 'VALUE'],
  [
    'DCZ-52',
    'a codebook of steps with source order',
    sparse(PAYLOAD, [1, 4, 3, 11, 16, 1, 2, 3, 0, 4, 4, 1, 1, 2, 2]),
    'STRUCTURE',
  ],
  ['DCZ-40', 'a code model that takes all table bytes', sparse(put(PAYLOAD, 4, 2, 3, 0, 0)), 'HUFFMAN'],
  ['B1', 'a reserved mode', sparse(put(PAYLOAD, 4, 4)), 'HUFFMAN'],
  ['DCZ-40', 'table bytes left over', sparse([0, 0xbc, 0, 0x3c, 1, 1, 1, 2, 0, 1, 2], put(SPARSE, 9, 5)), 'STRUCTURE'],
  ['DCZ-51', 'a codebook that decreases', sparse(put(PAYLOAD, 0, 0x00, 0x3c, 0x00, 0xbc)), 'VALUE'],
  ['DCZ-51', 'a codebook with a value twice', sparse(put(PAYLOAD, 0, 0x00, 0x3c, 0x00, 0x3c)), 'VALUE'],
  ['DCZ-51', 'source order for an increasing codebook', sparse(PAYLOAD, put(SPARSE, 3, 7)), 'VALUE'],
  [
    'DCZ-51',
    'source order for a decreasing one',
    sparse(put(PAYLOAD, 0, 0x00, 0x3c, 0x00, 0xbc), put(SPARSE, 3, 7)),
    'ok',
  ],
  ['D3', '-0.0 in a codebook', sparse(put(PAYLOAD, 0, 0x00, 0xbc, 0x00, 0x80)), 'VALUE'],
  ['D2', 'infinity in a codebook', sparse(put(PAYLOAD, 0, 0x00, 0xbc, 0x00, 0x7c)), 'VALUE'],
  ['D2', 'NaN in a codebook', sparse(put(PAYLOAD, 0, 0x00, 0xbc, 0x00, 0x7e)), 'VALUE'],
  [
    'DCZ-53',
    'float32 where float16 would do',
    sparse([...u32(0xbf800000), ...u32(0x3f800000), ...PAYLOAD.slice(4)], put(SPARSE, 3, 1)),
    'VALUE',
  ],
  ['D1', 'a code past the codebook', sparse([0, 0xbc, 1, 1, 1, 2, 0x01, 0x02], put(SPARSE, 5, 0)), 'VALUE'],
  ['C1', 'a position past the end', sparse(put(PAYLOAD, 8, 0x0b)), 'INDEX'],
  ['DCZ-44', 'an escape that was not declared', sparse(put(PAYLOAD, 8, 0x03)), 'INDEX'],
  ['C1', 'more kept weights than fit with their escapes', sparse(PAYLOAD, put(SPARSE, 8, 4), 6), 'INDEX'],
  ['B5', 'bits after the last gap', sparse(put(PAYLOAD, 8, 0x11)), 'BITSTREAM'],
  ['B5', 'bits after the last code', sparse(put(PAYLOAD, 9, 0x06)), 'BITSTREAM'],
  [
    'B4',
    'a gap stream that is too short',
    sparse([...PAYLOAD.slice(0, 8), 0x02, 0x00], put(SPARSE, 10, 0, 2)),
    'BITSTREAM',
  ],
  ['C2', 'a relative layout with a filler', relative([3, 0], [0, 1], 1, 1), 'ok'],
  ['C2', 'a trailing filler', relative([0, 3], [1, 0], 1, 1), 'INDEX'],
  ['C2', 'a filler with a short gap', relative([2, 0], [0, 1], 1, 1), 'INDEX'],
  ['C2', 'fillers that were not declared', relative([3, 0], [0, 1], 2, 0), 'INDEX'],
  ['D1', 'an entry past the codebook of a relative layout', relative([3, 0], [0, 2], 1, 1), 'VALUE'],
  ['DCZ-25', 'a section without its checksum', raw({ sections: [section(0x81, 0, FLOATS).slice(0, -4)] }), 'STRUCTURE'],
  ['DCZ-34', 'coded blocks of 2^9', sparse(PAYLOAD, put(SPARSE, 4, 9)), 'STRUCTURE'],
  ['DCZ-34', 'index bits 1', sparse(PAYLOAD, put(put(SPARSE, 2, 4), 7, 1)), 'STRUCTURE'],
  [
    'DCZ-35',
    'planes with more table bytes than the section',
    oneTensor([1, 2, 1, 1, 16, 9], FLOATS, 2, 0),
    'STRUCTURE',
  ],
  ['DCZ-42', 'dense: all weights of one code', dense([0, 0]), 'ok'],
  ['DCZ-42', 'dense: a symbol that is no code', dense([0, 1]), 'VALUE'],
  ['DCZ-42', 'dense, pruned: as many codes as are kept', pruned(3, 0x54), 'ok'],
  ['DCZ-42', 'dense, pruned: fewer codes than are kept', pruned(3, 0x14), 'INDEX'],
  ['DCZ-42', 'dense, pruned: a symbol past the codes', pruned(3, 0xa8), 'VALUE'],
  ['DCZ-43', 'a directory of one entry', blocks([0]), 'ok'],
  ['DCZ-43', 'a directory that is not there', blocks([]), 'STRUCTURE'],
  ['DCZ-43', 'a directory with a byte left over', blocks([0, 0]), 'STRUCTURE'],
  ['DCZ-43', 'a directory with more than its total', blocks([1]), 'STRUCTURE'],
  ['DCZ-43', 'a directory with a number that is too long', blocks([0x80, 0]), 'STRUCTURE'],
  ['DCZ-43', 'a directory whose number does not end', blocks([0x80]), 'STRUCTURE'],
  ['DCZ-43', 'more kept weights than a block has positions', gapBlocks(1025, 1), 'INDEX'],
  ['DCZ-43', 'more kept weights than the header says', gapBlocks(1500, 1), 'STRUCTURE'],
  ['DCZ-44', 'every weight of the first block kept', gapBlocks(1024, 0), 'ok'],
  ['DCZ-46', 'planes with a directory that is too short', planes([0, 0, 0, 0, 0, 0, 0]), 'STRUCTURE'],
  ['DCZ-46', 'planes in two blocks', planes([0, 0, 0, 0, 0, 0, 0, 0]), 'ok'],
  ['DCZ-46', 'planes with a stream past the section', planes([0, 0, 0, 0, 0, 0, 0, 1]), 'STRUCTURE'],
  ['S3.1', 'a constant block that has a byte', planes([0, 0, 0, 0, 0, 0, 0, 1, 0]), 'BITSTREAM'],
  // From 1 (key bf800000, of a half bc00): three steps of 3, 2 and 3 keys are 2, 1, 2 with nothing to shift.
  ['DCZ-52', 'float32 steps', steps(2, 0, 0xbf800000, '110 10 110'), 'ok'],
  ['DCZ-52', 'float16 steps', steps(3, 0, 0xbc00, '110 10 110'), 'ok'],
  ['DCZ-52', 'float16 steps, one of them whole', steps(3, 0, 0x1000, `0 11111111 ${low(30000, 16)} 0`), 'ok'],
  ['DCZ-52', 'a step that is whole and need not be', steps(3, 0, 0xbc00, `0 11111111 ${low(7, 16)} 0`), 'VALUE'],
  ['DCZ-52', 'a shift that is not the best', steps(2, 1, 0xbf800000, '100 01 100'), 'VALUE'],
  ['DCZ-52', 'steps with bits after the last', steps(2, 0, 0xbf800000, '110 10 110 001'), 'VALUE'],
  ['DCZ-52', 'steps with a byte after the last', steps(2, 0, 0xbf800000, '110 10 110 000 00000000'), 'VALUE'],
  ['DCZ-52', 'steps that end within the last', steps(2, 0, 0xbf800000, '0 11111111 1'), 'VALUE'],
  [
    'DCZ-52',
    'steps that end within the first key',
    oneTensor([1, 4, 2, 8, 16, 3, 4, 2, 0, 0], [0, 0, 0, 0, 0, 0], 4, 4),
    'VALUE',
  ],
  ['DCZ-52', 'steps that end before the shift', oneTensor([1, 4, 2, 8, 16, 3, 0, 2, 0, 0], [0, 0], 4, 4), 'VALUE'],
  ['DCZ-52', 'float32 steps past the greatest key', steps(2, 0, 0xffffffff, '110 10 110'), 'VALUE'],
  ['DCZ-52', 'float16 steps past the greatest key', steps(3, 0, 0xffff, '110 10 110'), 'VALUE'],
  [
    'DCZ-52',
    'a step past the greatest',
    steps(3, 15, 0, `110 ${low(0, 15)} 110 ${low(0, 15)} 0 ${low(0, 15)}`),
    'VALUE',
  ],
  ['D3', '-0.0 among steps', steps(3, 0, 0x7fff, '110 10 110'), 'VALUE'],
  ['D2', 'infinity among steps', steps(3, 0, 0xfbf8, '110 10 110'), 'VALUE'],
  [
    'DCZ-53',
    'float32 steps where float16 steps would do',
    steps(2, 12, 0xbf800000, `10${low(4095, 12)}`.repeat(3)),
    'VALUE',
  ],
  [
    'DCZ-53',
    'float16 where steps would do',
    oneTensor([1, 4, 2, 4, 16, 3, 2, 0, 0], [0, 60, 1, 60, 2, 60, 3, 60, 0, 0], 4, 4),
    'VALUE',
  ],
  ['S1.1', 'a model with bit 6 set', sparse(put(PAYLOAD, 4, 0x41)), 'HUFFMAN'],
  ['S1.1', 'a raw model with lanes', sparse(put(PAYLOAD, 4, 0x09)), 'HUFFMAN'],
  ['S1.1', '2^7 lanes', dense([0x3a, 1, 0b101, 0]), 'HUFFMAN'],
  ['S1.3', 'raw symbols of 0 bits', sparse(put(PAYLOAD, 5, 0)), 'HUFFMAN'],
  ['S1.3', 'raw symbols of 9 bits', sparse(put(PAYLOAD, 5, 9)), 'HUFFMAN'],
  ['S1.4', 'a Huffman code of one symbol', dense([2, 0, 0]), 'HUFFMAN'],
  // Lengths 1, 1: 111 and 1, then 0.
  ['S1.4', 'a Huffman code of two symbols', dense([2, 1, 0b0001_111], [0, 0]), 'ok'],
  ['S1.4', 'an incomplete code: lengths 2, 2', dense([2, 1, 0b0010_111], [0, 0]), 'HUFFMAN'],
  ['DCZ-40', 'a byte after the code model', dense([2, 1, 0b0001_111, 0], [0, 0]), 'STRUCTURE'],
  // Lengths 1, 2, 2: 111 and 1, 100, 0.
  ['S1.6', 'a code of three symbols', dense([2, 2, 0b1_0001_111, 0], [0, 0]), 'ok'],
  ['S1.6', 'a bit after the list that is not 0', dense([2, 2, 0b1_0001_111, 0b1000], [0, 0]), 'HUFFMAN'],
  ['S1.6', 'a number said in full that has a shorter form', dense([2, 1, 0b0101_111], [0, 0]), 'HUFFMAN'],
  ['S3.3', 'a word that is not taken', dense([2, 1, 0b0001_111], [0, 0, 0, 0]), 'BITSTREAM'],
  ['S3.3', 'a bit left over that is not 0', dense([2, 1, 0b0001_111], [1, 0]), 'BITSTREAM'],
  ['S3.3', 'half a word', dense([2, 1, 0b0001_111], [0]), 'BITSTREAM'],
  // Frequencies 2048, 2048: classes 12, 12 (111 and 12, then 0), then twice 11 bits 0. Four symbols 0: 65536 doubles four times.
  ['S1.5', 'an rANS model of two symbols', dense(RANS, [0, 0, 0x10, 0]), 'ok'],
  ['S3.4', 'a state that does not end at 65536', dense(RANS, [0, 0, 0x20, 0]), 'BITSTREAM'],
  ['S3.4', 'a block that ends before its symbols', dense(RANS, [0, 0, 1, 0]), 'BITSTREAM'],
  ['S1.5', 'frequencies that sum to 4097', dense([...RANS.slice(0, 3), 1, 0, 0], []), 'HUFFMAN'],
  ['S3.4', 'a block that is too short for its state', dense(RANS, [0, 0]), 'BITSTREAM'],
  ['S3.4', 'a starting state below 65536', dense(RANS, [255, 255, 0, 0]), 'BITSTREAM'],
]

/** Where fuzzing of whole files starts: these files and the golden ones (test/fuzz/README.md). */
const CORPUS = path.join(__dirname, '../fuzz/corpus/file')

function corpusFiles(): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (const [rule, title, file] of CASES) {
    if (file.length > 8192) continue
    const wanted = `rule-${rule}-${title}`.replace(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '')
    let own = wanted
    for (let again = 2; files.has(own); again++) own = `${wanted}-${again}`
    files.set(own, file)
  }
  for (const file of readdirSync(GOLDEN).filter((file) => file.endsWith('.dcz'))) {
    files.set(`golden-${path.basename(file, '.dcz')}`, golden(file))
  }
  return files
}

describe('format rules', () => {
  test.each(CASES.map((c) => [c[0], c[1], c] as const))(
    '%s: %s',
    async (_rule, _title, [, , file, code, limits = {}]) => {
      const answers = [await byTypeScript(file, limits), await byNative(file, limits), byWeb(file, limits)]
      expect(answers.map(([own]) => own)).toEqual([code, code, code])
      // DCZ-06. What may be decoded is the caller's to say: no byte of the file is at fault.
      if (limits.maxDecodedBytes === undefined) expect(answers[0]![1] ?? 0).toBe(answers[1]![1] ?? 0)
      if (limits.maxDecodedBytes === undefined) expect(answers[2]).toEqual(answers[0])
    },
  )

  test('DCZ-06: the byte that an error names, counted by hand', async () => {
    // The example of the specification: tensor entry at 0x68, section entry at 0x78, payload at 0x83.
    const broken: [Uint8Array, Answer][] = [
      [changed(good, 8, 2), ['CHECKSUM', 60]],
      [preamble(24, 1), ['FEATURE', 24]],
      [changed(sparse(), 0x79, 9), ['CHECKSUM', 64 + 67 - 4]],
      [raw({ counts: { metadata: 1025 } }), ['LIMIT', 68]],
      [sparse(PAYLOAD, put(SPARSE, 4, 25)), ['STRUCTURE', 0x68]],
      [sparse(PAYLOAD, put(SPARSE, 11, 2)), ['STRUCTURE', 0x78]],
      [sparse(put(PAYLOAD, 2, 0, 0x80)), ['VALUE', 0x83]],
      [sparse(put(PAYLOAD, 6, 4)), ['HUFFMAN', 0x83 + 6]],
      [sparse(put(PAYLOAD, 8, 0x11)), ['BITSTREAM', 0x83 + 8]],
      [sparse(put(PAYLOAD, 9, 0x06)), ['BITSTREAM', 0x83 + 9]],
      [sparse(put(PAYLOAD, 8, 0x0b)), ['INDEX', 0x83 + 8]],
    ]
    for (const [file, answer] of broken) {
      expect([await byTypeScript(file, {}), await byNative(file, {}), byWeb(file, {})]).toEqual([
        answer,
        answer,
        answer,
      ])
    }
    const second = oneTensor(RAW, [...u32(0x3f800000), ...u32(0x7f800000)], 2, 0)
    expect(await byNative(second, {})).toEqual(['VALUE', second.length - 16 - 4])
    expect(byWeb(second, {})).toEqual(['VALUE', second.length - 16 - 4])
  })

  test('A13: each single bit of a golden file is found by both readers, with the same code', async () => {
    const file = golden('half-codebook.dcz')
    for (let at = 0; at < file.length; at++) {
      const damaged = changed(file, at, file[at]! ^ (1 << (at % 8)))
      const [typescript, native] = [await codeByTypeScript(damaged, {}), await codeByNative(damaged, {})]
      expect([at, typescript]).toEqual([at, native])
      expect(typescript).not.toBe('ok')
    }
  })

  test('A14: two sections swapped, or one of another file, do not have the checksum of the header', async () => {
    const [a, b] = [[...u32(0x3f800000)], [...u32(0x40000000)]]
    const two = (body: number[]) =>
      build({
        tensors: ['a', 'b'].map((n) => entryOf(name(n), [1, 1, 1, 0])),
        sections: [section(0x81, 0, a), section(0x81, 1, b)],
        totals: { stored: u64(8), dense: u64(8), entries: u64(0) },
        body,
      })
    expect(await codeByNative(two([...a, ...b]), {})).toBe('ok')
    expect(await codeByTypeScript(two([...b, ...a]), {})).toBe('CHECKSUM')
    expect(await codeByNative(two([...b, ...a]), {})).toBe('CHECKSUM')
  })

  test('the corpus of the fuzz target file is these files (DC_WRITE_CORPUS=1 writes it anew)', () => {
    const files = corpusFiles()
    if (process.env.DC_WRITE_CORPUS) {
      rmSync(CORPUS, { recursive: true, force: true })
      mkdirSync(CORPUS)
      for (const [own, bytes] of files) writeFileSync(path.join(CORPUS, own), bytes)
    }
    expect(readdirSync(CORPUS).sort()).toEqual([...files.keys()].sort())
    const others = [...files].filter(([own, bytes]) => !readFileSync(path.join(CORPUS, own)).equals(bytes))
    expect(others.map(([own]) => own)).toEqual([])
  })
})
