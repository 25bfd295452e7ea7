import fc from 'fast-check'
import {
  decodeRelativeIndex,
  decodeRelativeIndexSync,
  encodeRelativeIndex,
  encodeRelativeIndexSync,
  huffmanDecode,
  huffmanDecodeSync,
  huffmanEncode,
  huffmanEncodeSync,
} from '../../src/index.js'

const code = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'no error'
}
const rejection = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error) => error.code,
  )

/** Counter-based random numbers in [0, 1): the same in every run. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

describe('huffmanEncode', () => {
  test('1. codes a b c a a with lengths 1 2 2: a model of four bytes and one word, by hand', () => {
    // a three times: lengths 1 2 2, codes 0 10 11.
    const bytes = huffmanEncodeSync(Uint8Array.of(0, 1, 2, 0, 0))
    // model: 2 (Huffman, one lane), last symbol 2, list 1 2 2; one word: a b c a a = 0 10 11 0 0 -> 0101 1000 0000 0000
    expect([...bytes]).toEqual([2, 2, 0x8f, 0x00, 0x00, 0x58])
  })

  test('2. codes a stream of one symbol in two bytes, whatever its length', () => {
    expect([...huffmanEncodeSync(new Uint8Array(1_000_000).fill(7))]).toEqual([0, 7])
    expect(huffmanDecodeSync(Uint8Array.of(0, 7), 1_000_000).every((s) => s === 7)).toBe(true)
  })

  test('3. codes nothing in no bytes', async () => {
    expect(huffmanEncodeSync(new Uint8Array(0)).length).toBe(0)
    expect((await huffmanEncode(new Uint8Array(0))).length).toBe(0)
    expect(huffmanDecodeSync(new Uint8Array(0), 0).length).toBe(0)
    expect((await huffmanDecode(new Uint8Array(0), 0)).length).toBe(0)
  })

  test('4. comes back, whatever the symbols (fast-check)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 256 }), (raw, alphabet) => {
        const symbols = raw.map((s) => s % alphabet)
        expect(huffmanDecodeSync(huffmanEncodeSync(symbols), symbols.length)).toEqual(symbols)
      }),
      { numRuns: 500 },
    )
  })

  test('5. comes back over several blocks, with lanes and long codes, and is the same for any number of threads', async () => {
    const next = random(5)
    const symbols = Uint8Array.from({ length: 400_001 }, () => Math.min(255, Math.floor(-20 * Math.log(1 - next()))))
    const bytes = await huffmanEncode(symbols, { threads: 1 })
    expect(same(await huffmanEncode(symbols, { threads: 4 }), bytes)).toBe(true)
    expect(same(huffmanEncodeSync(symbols), bytes)).toBe(true)
    expect(same(await huffmanDecode(bytes, symbols.length), symbols)).toBe(true)
    const counts = new Array(256).fill(0)
    for (const s of symbols) counts[s]++
    const entropy = counts.reduce((bits, n) => (n ? bits - n * Math.log2(n / symbols.length) : bits), 0) / 8
    expect(bytes.length).toBeGreaterThan(entropy)
    expect(bytes.length).toBeLessThan(entropy * 1.02)
  })

  test('6. stays within 12 bits a symbol where Huffman lengths would be longer', () => {
    // Fibonacci counts ask for lengths up to 20.
    const parts: number[] = []
    for (let s = 0, a = 1, b = 1; s < 21; s++, [a, b] = [b, a + b]) for (let i = 0; i < a; i++) parts.push(s)
    const symbols = Uint8Array.from(parts)
    expect(same(huffmanDecodeSync(huffmanEncodeSync(symbols), symbols.length), symbols)).toBe(true)
  })

  test('7. reads a view with a byte offset, and leaves the caller his array', async () => {
    const buffer = Uint8Array.from({ length: 2001 }, (_, i) => i % 7)
    const view = buffer.subarray(1)
    const copy = view.slice()
    expect(await huffmanDecode(await huffmanEncode(view), 2000)).toEqual(copy)
    expect(view).toEqual(copy)
  })

  test('8. takes the array with { consume: true }', async () => {
    const symbols = Uint8Array.from({ length: 5000 }, (_, i) => i % 5)
    const bytes = await huffmanEncode(symbols, { consume: true })
    expect(symbols.length).toBe(0)
    expect((await huffmanDecode(bytes, 5000))[4999]).toBe(4)
  })
})

describe('huffmanDecode', () => {
  const symbols = Uint8Array.from({ length: 3000 }, (_, i) => (i * i) % 23)
  const bytes = huffmanEncodeSync(symbols)

  test('9. answers ERR_DC_BITSTREAM for every cut of a stream behind its table', () => {
    const table = 2 + 12
    for (let size = table; size < bytes.length; size++) {
      expect(code(() => huffmanDecodeSync(bytes.subarray(0, size), symbols.length))).toMatch(
        /ERR_DC_(BITSTREAM|HUFFMAN)/,
      )
    }
    expect(code(() => huffmanDecodeSync(bytes.subarray(0, bytes.length - 1), 3000))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => huffmanDecodeSync(bytes.subarray(0, 1), 3000))).toBe('ERR_DC_HUFFMAN')
  })

  test('10. answers ERR_DC_BITSTREAM for a byte too many and for a wrong count', () => {
    const longer = new Uint8Array(bytes.length + 1)
    longer.set(bytes)
    expect(code(() => huffmanDecodeSync(longer, 3000))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => huffmanDecodeSync(bytes, 3100))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => huffmanDecodeSync(bytes, 2000))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => huffmanDecodeSync(bytes, 0))).toBe('ERR_DC_BITSTREAM')
  })

  test('11. answers ERR_DC_HUFFMAN for a table that is no complete code, before any symbol is written', () => {
    expect(code(() => huffmanDecodeSync(Uint8Array.of(2, 2, 0x8f, 0x10, 0, 0x58), 5))).toBe('ERR_DC_HUFFMAN') // padding
    expect(code(() => huffmanDecodeSync(Uint8Array.of(2, 1, 0x00, 0, 0), 5))).toBe('ERR_DC_HUFFMAN') // 6 6: incomplete
    expect(code(() => huffmanDecodeSync(Uint8Array.of(7, 1, 0, 0), 5))).toBe('ERR_DC_HUFFMAN') // mode 7
    expect(code(() => huffmanDecodeSync(Uint8Array.of(1, 9, 0, 0), 1))).toBe('ERR_DC_HUFFMAN') // 9 bits raw
  })

  test('12. answers a code or the symbols, never anything else, for any bytes (fast-check)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 5000 }), (junk, count) => {
        expect(code(() => huffmanDecodeSync(junk, count))).toMatch(/^(no error|ERR_DC_HUFFMAN|ERR_DC_BITSTREAM)$/)
      }),
      { numRuns: 3000 },
    )
  })

  test('13. refuses what is no Uint8Array, no count, or detached', async () => {
    expect(code(() => huffmanDecodeSync([1, 2] as never, 1))).toBe('ERR_DC_TYPE')
    expect(code(() => huffmanDecodeSync(bytes, -1))).toBe('ERR_DC_ARG')
    expect(code(() => huffmanDecodeSync(bytes, 1.5))).toBe('ERR_DC_ARG')
    expect(code(() => huffmanDecodeSync(bytes, '3' as never))).toBe('ERR_DC_TYPE')
    expect(await rejection(huffmanEncode(new Float32Array(3) as never))).toBe('ERR_DC_TYPE')
    const gone = new Uint8Array(9)
    structuredClone(gone, { transfer: [gone.buffer] })
    expect(await rejection(huffmanEncode(gone))).toBe('ERR_DC_DETACHED')
    const shared = new Uint8Array(new SharedArrayBuffer(8))
    expect(await rejection(huffmanEncode(shared))).toBe('ERR_DC_SHARED')
    expect([...(await huffmanEncode(shared, { copyShared: true }))]).toEqual([0, 0])
    expect(await rejection(huffmanEncode(gone, { speed: 11 } as never))).toBe('ERR_DC_ARG')
  })

  test('14. rejects with ERR_DC_ABORTED when its signal has fired', async () => {
    expect(await rejection(huffmanEncode(symbols, { signal: AbortSignal.abort() }))).toBe('ERR_DC_ABORTED')
    expect(await rejection(huffmanDecode(bytes, 3000, { signal: AbortSignal.abort() }))).toBe('ERR_DC_ABORTED')
  })
})

/** For large arrays, where toEqual takes seconds. */
const same = (a: ArrayBufferView, b: ArrayBufferView) =>
  a.byteLength === b.byteLength && Buffer.compare(bytesOf(a), bytesOf(b)) === 0
const bytesOf = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength)

/** A mask with the given kept positions. */
const maskOf = (length: number, kept: number[]) => {
  const mask = new Uint32Array(Math.ceil(length / 32))
  for (const i of kept) mask[i >>> 5]! |= 1 << (i & 31)
  return mask
}

describe('encodeRelativeIndex', () => {
  test('15. encodes the example of the paper (figure 2): gaps 1, 3 and a filler at 8, then 3 more', () => {
    // Weights 3.4, 0.9 and 1.7 at 1, 4 and 15; 3-bit gaps. The paper stores 1, 3, a filler of gap 8 and 3; a gap symbol is
    // one less than the advance: 1 (to position 1), 2 (to 4), 7 (filler, to 12), 2 (to 15).
    const index = encodeRelativeIndexSync(
      { mask: maskOf(16, [1, 4, 15]), length: 16, codes: Uint8Array.of(2, 0, 1) },
      { indexBits: 3 },
    )
    expect([...index.gaps]).toEqual([1, 2, 7, 2])
    expect([...index.entries]).toEqual([3, 1, 0, 2])
    expect(index).toMatchObject({ indexBits: 3, length: 16, kept: 3, fillers: 1 })
  })

  test('16. uses no filler for a gap that just fits, one for the next', () => {
    const encode = (kept: number) =>
      encodeRelativeIndexSync({ mask: maskOf(40, [kept]), length: 40, codes: Uint8Array.of(0) }, { indexBits: 4 })
    expect([...encode(15).gaps]).toEqual([15])
    expect([...encode(15).entries]).toEqual([1])
    expect([...encode(16).gaps]).toEqual([15, 0])
    expect([...encode(16).entries]).toEqual([0, 1])
    expect([...encode(32).gaps]).toEqual([15, 15, 0])
  })

  test('17. encodes nothing kept, everything kept and no weights at all', async () => {
    for (const length of [0, 1, 31, 32, 33, 100]) {
      const none = { mask: new Uint32Array(Math.ceil(length / 32)), length, codes: new Uint8Array(0) }
      const empty = await encodeRelativeIndex(none, { indexBits: 5 })
      expect(empty.gaps.length).toBe(0)
      expect(await decodeRelativeIndex(empty)).toEqual(none)
      const all = {
        mask: maskOf(length, [...Array(length).keys()]),
        length,
        codes: Uint8Array.from({ length }, (_, i) => i % 255),
      }
      const full = await encodeRelativeIndex(all)
      expect(full.fillers).toBe(0)
      expect(full.gaps.every((g) => g === 0)).toBe(true)
      expect(await decodeRelativeIndex(full)).toEqual(all)
    }
  })

  test('18. comes back for every width, and auto takes the one with the fewest coded bytes (fast-check)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer(),
        (length, density, seed) => {
          const next = random(seed)
          const kept: number[] = []
          for (let i = 0; i < length; i++) if (next() < density * density) kept.push(i)
          const sparse = {
            mask: maskOf(length, kept),
            length,
            codes: Uint8Array.from(kept, () => Math.floor(next() * 32)),
          }
          const auto = encodeRelativeIndexSync(sparse)
          const bytes: number[] = []
          for (let indexBits = 2; indexBits <= 8; indexBits++) {
            const index = encodeRelativeIndexSync(sparse, { indexBits })
            expect(decodeRelativeIndexSync(index)).toEqual(sparse)
            expect(Math.max(0, ...index.gaps)).toBeLessThan(2 ** indexBits)
            expect(index.kept + index.fillers).toBe(index.gaps.length)
            bytes.push(huffmanEncodeSync(index.gaps).length + huffmanEncodeSync(index.entries).length)
            expect(index.codedBytes).toBeGreaterThanOrEqual(auto.codedBytes)
            if (indexBits === auto.indexBits) expect(index).toEqual(auto)
          }
          // What auto compares is what is really coded, but for the last words of a lane.
          expect(bytes[auto.indexBits - 2]! - Math.min(...bytes)).toBeLessThanOrEqual(12)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('19. is the same for any number of threads, over many blocks', async () => {
    const length = 3_000_001
    const next = random(19)
    const kept: number[] = []
    for (let i = 0; i < length; i++) if (next() < 0.06) kept.push(i)
    const sparse = { mask: maskOf(length, kept), length, codes: Uint8Array.from(kept, () => Math.floor(next() * 255)) }
    const one = await encodeRelativeIndex(sparse, { indexBits: 4 }, { threads: 1 })
    const three = await encodeRelativeIndex(sparse, { indexBits: 4 }, { threads: 3 })
    expect(same(three.gaps, one.gaps) && same(three.entries, one.entries)).toBe(true)
    for (const back of [await decodeRelativeIndex(one, { threads: 3 }), decodeRelativeIndexSync(one)]) {
      expect(same(back.mask, sparse.mask) && same(back.codes, sparse.codes)).toBe(true)
    }
  })

  test('20. refuses masks, codes and lengths that disagree', () => {
    const sparse = { mask: maskOf(40, [3, 5]), length: 40, codes: Uint8Array.of(1, 2) }
    const refusal = (change: object, options?: object) =>
      code(() => encodeRelativeIndexSync({ ...sparse, ...change } as never, options as never))
    expect(refusal({})).toBe('no error')
    expect(refusal({ codes: Uint8Array.of(1) })).toBe('ERR_DC_ARG')
    expect(refusal({ codes: Uint8Array.of(1, 2, 3) })).toBe('ERR_DC_ARG')
    expect(refusal({ length: 70 })).toBe('ERR_DC_ARG')
    expect(refusal({ length: 4 })).toBe('ERR_DC_ARG')
    expect(refusal({ mask: Uint32Array.of(8, 1 << 20) })).toBe('ERR_DC_ARG') // a bit past the last weight
    expect(refusal({ codes: Uint8Array.of(1, 255) })).toBe('ERR_DC_VALUE')
    expect(refusal({ mask: [1, 2] })).toBe('ERR_DC_TYPE')
    expect(refusal({ extra: 1 })).toBe('ERR_DC_ARG')
    expect(refusal({}, { indexBits: 1 })).toBe('ERR_DC_ARG')
    expect(refusal({}, { indexBits: 9 })).toBe('ERR_DC_ARG')
    expect(refusal({}, { bits: 4 })).toBe('ERR_DC_ARG')
  })
})

describe('decodeRelativeIndex', () => {
  const decode = (gaps: number[], entries: number[], length = 32, indexBits = 4) =>
    code(() =>
      decodeRelativeIndexSync({ indexBits, length, gaps: Uint8Array.from(gaps), entries: Uint8Array.from(entries) }),
    )

  test('21. answers ERR_DC_INDEX for each way to break the form', () => {
    expect(decode([15, 15], [0, 1])).toBe('no error')
    expect(decode([15, 15, 0], [0, 1, 1])).toBe('ERR_DC_INDEX') // past the end
    expect(decode([16], [1])).toBe('ERR_DC_INDEX') // more than 4 bits
    expect(decode([14, 1], [0, 1])).toBe('ERR_DC_INDEX') // a filler that does not fill
    expect(decode([3, 15], [1, 0])).toBe('ERR_DC_INDEX') // a filler at the end
    expect(decode([3], [1, 1])).toBe('ERR_DC_ARG')
    expect(decode([3], [1], 0)).toBe('ERR_DC_INDEX')
  })

  test('22. names the entry at fault', () => {
    expect.assertions(2)
    try {
      decodeRelativeIndexSync({
        indexBits: 4,
        length: 32,
        gaps: Uint8Array.of(1, 2, 14, 3),
        entries: Uint8Array.of(1, 2, 0, 3),
      })
    } catch (error) {
      expect((error as { code: string }).code).toBe('ERR_DC_INDEX')
      expect((error as { offset: number }).offset).toBe(2)
    }
  })

  test('23. answers a code or an index that encodes back to the same, for any entries (fast-check)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 3 })), { maxLength: 60 }),
        fc.integer({ min: 0, max: 200 }),
        (pairs, length) => {
          const index = {
            indexBits: 3,
            length,
            gaps: Uint8Array.from(pairs, ([g]) => g),
            entries: Uint8Array.from(pairs, ([, e]) => e),
          }
          let sparse: ReturnType<typeof decodeRelativeIndexSync>
          try {
            sparse = decodeRelativeIndexSync(index)
          } catch (error) {
            expect((error as { code: string }).code).toBe('ERR_DC_INDEX')
            return
          }
          expect(encodeRelativeIndexSync(sparse, { indexBits: 3 })).toMatchObject(index)
        },
      ),
      { numRuns: 3000 },
    )
  })
})
