import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'
import { transformSync } from '@swc/core'
import { readCodebook } from '../../src/decode/plain/codebook'
import { readBlock, readModel } from '../../src/decode/plain/stream'
import { openArchive } from '../../src/web'
import { golden, oneTensor } from '../support/dcz'

/** The TypeScript decoder on bytes worked out by hand from docs/format-streams.md; no encoder of ours is asked. */

function decode(model: number[], block: number[], n: number): number[] {
  const bytes = Uint8Array.from([...model, ...block])
  const read = readModel(bytes, 0, model.length)
  expect(read.next).toBe(model.length)
  return [...readBlock(read.model, bytes, model.length, block.length, n)]
}

function code(run: () => unknown): string {
  try {
    run()
    return 'ok'
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

// Lengths 1, 2, 2 as a list: 111 1000 (1), 100 (p + 1), 0 (p): the bits 1111 0001 000, low first 8f 00. Codes: 0, 10, 11.
const HUFFMAN = [2, 2, 0x8f, 0x00]
// Two frequencies of 2048, class 12: 111 0011 (12), 0 (p), then two mantissas of 11 bits 0: 67 00 00 00.
const RANS = [3, 1, 0x67, 0, 0, 0]

describe('models and blocks by hand', () => {
  test('1. a constant model answers its symbol from no bytes', () => {
    expect(decode([0, 7], [], 3)).toEqual([7, 7, 7])
    expect(code(() => decode([0, 7], [0], 3))).toBe('ERR_DC_BITSTREAM')
  })

  test('2. raw symbols of 3 bits, low first: 5, 1, 7 are the bits 101 100 111', () => {
    expect(decode([1, 3], [0xcd, 0x01], 3)).toEqual([5, 1, 7])
    expect(code(() => decode([1, 3], [0xcd, 0x03], 3))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => decode([1, 3], [0xcd], 3))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => decode([1, 0], [], 0))).toBe('ERR_DC_HUFFMAN')
    expect(code(() => decode([1, 9], [], 0))).toBe('ERR_DC_HUFFMAN')
  })

  test('3. Huffman: the symbols 0, 1, 2, 0 are the bits 0 10 11 0 of the word 0x5800', () => {
    expect(decode(HUFFMAN, [0x00, 0x58], 4)).toEqual([0, 1, 2, 0])
  })

  test.each([
    ['a bit after the last code', [0x01, 0x58], 4],
    ['a word more', [0x00, 0x58, 0, 0], 4],
    ['half a word', [0x00], 4],
    ['codes that end early', [0x00, 0x58], 17],
  ])('4. Huffman refuses %s', (_, block, n) => {
    expect(code(() => decode(HUFFMAN, block, n))).toBe('ERR_DC_BITSTREAM')
  })

  test('5. Huffman: a second word is taken when fewer than two bits are left', () => {
    // 15 codes of one bit leave one; the next look needs two, so a word is taken and the 16th symbol is 11 across the words.
    expect(decode(HUFFMAN, [0x01, 0x00, 0x00, 0x80], 16)).toEqual([...new Array(15).fill(0), 2])
  })

  test('6. rANS: 1, 0, 1 from the state 534528 = ((65536 / 2048 * 4096 + 2048) * 2) * 2 + 2048', () => {
    expect(decode(RANS, [0x00, 0x28, 0x08, 0x00], 3)).toEqual([1, 0, 1])
  })

  test('7. rANS: sixteen times 0 takes one word, at the first symbol', () => {
    expect(decode(RANS, [0, 0, 1, 0, 0, 0], 16)).toEqual(new Array(16).fill(0))
    expect(code(() => decode(RANS, [0, 0, 1, 0], 16))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => decode(RANS, [0, 0, 1, 0, 1, 0], 16))).toBe('ERR_DC_BITSTREAM')
    expect(code(() => decode(RANS, [0xff, 0xff, 0, 0], 1))).toBe('ERR_DC_BITSTREAM')
  })

  test.each([
    ['a reserved mode', [4, 0]],
    ['a reserved bit', [0x40, 0]],
    ['lanes of a raw model', [0x09, 3]],
    ['128 lanes', [0x3a, 2, 0x8f, 0x00]],
    ['one symbol', [2, 0, 0x00]],
    ['a list that ends early', [2, 2, 0x8f]],
    ['a bit after the list', [2, 2, 0x8f, 0x80]],
    ['an incomplete code (lengths 2, 2)', [2, 1, 0x17]],
    ['frequencies past 4096', [3, 1, 0x67, 1, 0, 0]],
  ])('8. a model with %s is ERR_DC_HUFFMAN', (_, model) => {
    expect(code(() => decode(model, [], 0))).toBe('ERR_DC_HUFFMAN')
  })

  test('9. lanes: 2048 symbols of a model with lanesLog2 1 have two states, 2047 have one', () => {
    const two = [0x0b, 1, 0x67, 0, 0, 0]
    // 1024 zeros a lane: 64 rounds of 16, each with one word of 0.
    const states = [0, 0, 1, 0]
    expect(decode(two, [...states, ...states, ...new Array(2 * 64 * 2).fill(0)], 2048)).toEqual(new Array(2048).fill(0))
    // One lane: the 2047 zeros are 128 rounds but one, so the state begins one doubling lower: 2^31.
    expect(decode(two, [0, 0, 0, 0x80, ...new Array(127 * 2).fill(0)], 2047)).toEqual(new Array(2047).fill(0))
  })
})

describe('tensors by hand', () => {
  // Four positions, the codebook -1, 1 as halves (the worked example of docs/format.md).
  const book = [0x00, 0xbc, 0x00, 0x3c]
  const raw2 = [1, 2]
  const sparse = (gaps: number, codes: number) =>
    oneTensor([1, 4, 3, 5, 16, 1, 2, 3, 0, 4, 1, 1, 2, 2], [...book, ...raw2, ...raw2, gaps, codes], 4, 2)

  test('10. sparse: gaps 1, 0 and codes 0, 1 are the values 0, -1, 1, 0', () => {
    expect([...openArchive(sparse(0b0001, 0b0100)).decode('w')]).toEqual([0, -1, 1, 0])
  })

  test('11. dense and pruned: the symbols 0, 1, 2, 0 are the same values, and their count is checked', () => {
    const dense = (codes: number) => oneTensor([1, 4, 2, 5, 16, 1, 2, 2, 1, 6], [...book, ...raw2, codes], 4, 2)
    expect([...openArchive(dense(0b00100100)).decode('w')]).toEqual([0, -1, 1, 0])
    expect(code(() => openArchive(dense(0b01100100)).decode('w'))).toBe('ERR_DC_INDEX')
    expect(code(() => openArchive(dense(0b00110100)).decode('w'))).toBe('ERR_DC_VALUE')
  })

  test('refuses options it does not know', () => {
    const file = sparse(0b0001, 0b0100)
    for (const options of [{ limit: {} }, { allowNonFinite: 1 }, { limits: { most: 1 } }, null]) {
      expect(code(() => openArchive(file, options as never))).toBe('ERR_DC_ARG')
    }
    expect(openArchive(file, { allowNonFinite: true, limits: {} }).tensors.size).toBe(1)
  })

  test('12. relative: a filler of gap 3, then code 1 at once, is the value 1 at position 4', () => {
    // b = 2: gap symbols 3, 0 as 11 00; entry symbols 0, 2 as 00 10 low first.
    const relative = (gaps: number, codes: number) =>
      oneTensor([1, 5, 4, 5, 16, 1, 1, 2, 1, 4, 1, 1, 2, 2], [...book, ...raw2, ...raw2, gaps, codes], 5, 2)
    expect([...openArchive(relative(0b0011, 0b1000)).decode('w')]).toEqual([0, 0, 0, 0, 1])
    expect(code(() => openArchive(relative(0b0010, 0b1000)).decode('w'))).toBe('ERR_DC_INDEX')
    expect(code(() => openArchive(relative(0b0011, 0b0010)).decode('w'))).toBe('ERR_DC_INDEX')
    expect(code(() => openArchive(relative(0b0111, 0b1000)).decode('w'))).toBe('ERR_DC_INDEX')
  })

  test('13. a position past the block comes before a code past the codebook', () => {
    expect(code(() => openArchive(sparse(0b0001, 0b1000)).decode('w'))).toBe('ERR_DC_VALUE')
    expect(code(() => openArchive(sparse(0b1010, 0b0100)).decode('w'))).toBe('ERR_DC_INDEX')
    expect(code(() => openArchive(sparse(0b1010, 0b1000)).decode('w'))).toBe('ERR_DC_INDEX')
  })

  test('14. steps of 1 and the next two floats: shift 0 in 5 bits, key bf800000, then 0 and 0 in a bit each', () => {
    const tensor = { clusters: 3, codebookForm: 'float32Steps', codebookBytes: 5, sourceOrder: false } as never
    const values = readCodebook(tensor, Uint8Array.from([0, 0, 0, 0xf0, 0x17]), false)
    expect([...values]).toEqual([1, 1 + 2 ** -23, 1 + 2 ** -22])
  })
})

describe('the web door', () => {
  const src = path.join(__dirname, '../../src')
  const compiled = new Map<string, string>()

  /** Compiles a file of src/ and all that it loads; a module that is no file of src/ is kept under its name. */
  function reach(file: string): void {
    if (compiled.has(file)) return
    const { code: js } = transformSync(readFileSync(`${file}.ts`, 'utf8'), {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
    })
    compiled.set(file, js)
    for (const [, name] of js.matchAll(/require\("([^"]+)"\)/g)) {
      if (!name!.startsWith('.')) throw new Error(`${path.relative(src, file)} loads ${name}`)
      reach(path.join(path.dirname(file), name!.replace(/\.js$/, '')))
    }
    if (/\bimport\(/.test(js)) throw new Error(`${path.relative(src, file)} loads at run time`)
  }

  reach(path.join(src, 'web/index'))

  test('15. reaches no module of Node and no package', () => {
    const files = [...compiled.keys()].map((file) => path.relative(src, file))
    expect(files).toEqual(expect.arrayContaining(['container/reader', 'decode/plain/stream', 'errors']))
    // The check can fail: the main door's decoder loads node modules.
    expect(() => reach(path.join(src, 'decode/decode'))).toThrow(/loads node:/)
    expect(files.length).toBeLessThan(12)
  })

  test('16. decodes every golden file where there is no Buffer, no process, no require', () => {
    const context = vm.createContext({ TextDecoder, TextEncoder })
    expect(vm.runInContext('typeof Buffer + typeof process + typeof setImmediate', context)).toBe(
      'undefinedundefinedundefined',
    )
    const loaded = new Map<string, Record<string, unknown>>()
    const load = (file: string): Record<string, unknown> => {
      const known = loaded.get(file)
      if (known) return known
      const exports = {}
      loaded.set(file, exports)
      const run = vm.runInContext(`(function (exports, require) { ${compiled.get(file)}\n})`, context)
      run(exports, (name: string) => load(path.join(path.dirname(file), name.replace(/\.js$/, ''))))
      return exports
    }
    const open = load(path.join(src, 'web/index')).openArchive as typeof openArchive
    const names = readdirSync(path.join(__dirname, '../format/golden/1.0')).filter((name) => name.endsWith('.dcz'))
    expect(names.length).toBeGreaterThan(10)
    let tensors = 0
    for (const name of names) {
      const bytes = golden(name)
      const there = open(bytes).decodeAll()
      for (const [tensor, values] of openArchive(bytes).decodeAll()) {
        expect(Buffer.from(there.get(tensor)!.buffer).equals(Buffer.from(values.buffer))).toBe(true)
        tensors++
      }
    }
    expect(tensors).toBeGreaterThan(10)
  })

  test('17. takes an ArrayBuffer, refuses other things, and holds maxDecodedBytes for the sum', () => {
    const file = golden('sparse-rans.dcz')
    const archive = openArchive(file.slice().buffer)
    expect(() => archive.verify()).not.toThrow()
    const all = archive.decodeAll()
    expect([...all.keys()]).toEqual([...archive.tensors.keys()])
    const bytes = [...all.values()].reduce((sum, values) => sum + values.byteLength, 0)
    expect(code(() => openArchive(file, { limits: { maxDecodedBytes: bytes } }).decodeAll())).toBe('ok')
    expect(code(() => openArchive(file, { limits: { maxDecodedBytes: bytes - 1 } }).decodeAll())).toBe('ERR_DC_LIMIT')
    for (const other of ['a.dcz', [1, 2], null, new Float32Array(4)]) {
      expect(code(() => openArchive(other as never))).toBe('ERR_DC_TYPE')
    }
    for (const name of [undefined, 5, 'nothing']) expect(code(() => archive.decode(name as never))).toBe('ERR_DC_ARG')
    const gone = Uint8Array.from(file)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    for (const bytes of [gone, gone.buffer]) expect(code(() => openArchive(bytes))).toBe('ERR_DC_DETACHED')
  })
})
