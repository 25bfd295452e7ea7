import fc from 'fast-check'
import { chunkChecksums, crc32c } from '../../src/container/crc32c'
import { compareBytes, sectionPadding } from '../../src/container/layout'
import { DEFAULT_LIMITS, resolveLimits } from '../../src/container/limits'
import { parseArchive, readArchive, shapeElements } from '../../src/container/reader'
import { ArchiveWriter } from '../../src/container/writer'
import { fastCrc32c, verifyArchive } from '../../src/decode/decode'
import { encodeTensorSync } from '../../src/encode/encode'
import { golden } from '../support/dcz'

const vector = (name: string, ...values: number[]) =>
  encodeTensorSync({ name, shape: [values.length], values: Float32Array.from(values) })

describe('container', () => {
  test('1. CRC-32C of 123456789 is 0xE3069283, in TypeScript and in the addon', () => {
    const check = new TextEncoder().encode('123456789')
    expect(crc32c(check)).toBe(0xe3069283)
    expect(fastCrc32c(check)).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(0))).toBe(0)
    // RFC 3720, B.4: 32 bytes of zeros, of ones, ascending.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
  })

  test('2. both checksums agree on any bytes, also where three streams run side by side', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40000 }), fc.integer(), (length, seed) => {
        const bytes = Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24)
        expect(fastCrc32c(bytes)).toBe(crc32c(bytes))
        expect(crc32c(bytes.subarray(length >> 1), crc32c(bytes.subarray(0, length >> 1)))).toBe(crc32c(bytes))
      }),
      { numRuns: 100 },
    )
  })

  test('3. sections of 16 MiB and a byte have two checksums', () => {
    const bytes = new Uint8Array((16 << 20) + 1)
    expect([...chunkChecksums(bytes, fastCrc32c)]).toEqual([
      fastCrc32c(bytes.subarray(0, 16 << 20)),
      crc32c(bytes.subarray(16 << 20)),
    ])
  })

  test('4. only sections of 64 KiB and more are aligned', () => {
    expect(sectionPadding(101, 65535)).toBe(0)
    expect(sectionPadding(101, 65536)).toBe(27)
    expect(sectionPadding(128, 65536)).toBe(0)
  })

  test('5. the order of the calls does not change the file', () => {
    const names = ['b', 'a', 'ab', '\u{10000}', '\uffff', '__proto__']
    const forward = new ArchiveWriter()
    const backward = new ArchiveWriter()
    for (const name of names) forward.add(vector(name, 1, 2))
    for (const name of [...names].reverse()) backward.add(vector(name, 1, 2))
    forward.setMetadata('x', '1')
    forward.setMetadata('y', '2')
    backward.setMetadata('y', '2')
    backward.setMetadata('x', '1')
    expect(forward.toBytes()).toEqual(backward.toBytes())
    // By UTF-8 bytes U+FFFF comes before U+10000; by UTF-16 units it would not.
    expect([...parseArchive(forward.toBytes()).tensors.keys()]).toEqual([
      '__proto__',
      'a',
      'ab',
      'b',
      '\uffff',
      '\u{10000}',
    ])
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0)
  })

  test('6. a name that comes twice, is empty, too long, has controls or a lone surrogate is ERR_DC_ARG', () => {
    const writer = new ArchiveWriter()
    writer.add(vector('a', 1))
    expect(() => writer.add(vector('a', 1))).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    for (const name of ['', 'x'.repeat(256), 'ä'.repeat(128), 'a\nb', 'a\0', '\u0085', '\ud800']) {
      expect(() => vector(name, 1)).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    }
    expect(() => writer.setMetadata('k', 'a\0')).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    expect(() => writer.setMetadata('k', 'x'.repeat(65536))).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
  })

  test('7. limits: unknown keys, negative numbers, fractions, NaN, 2^53 and strings are ERR_DC_ARG', () => {
    expect(resolveLimits()).toBe(DEFAULT_LIMITS)
    expect(resolveLimits({ maxTensors: 3 }).maxTensors).toBe(3)
    expect(resolveLimits({ maxTensors: undefined } as never)).toEqual(DEFAULT_LIMITS)
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53, Infinity, '3']) {
      expect(() => resolveLimits({ maxTensors: value as number })).toThrow(
        expect.objectContaining({ code: 'ERR_DC_ARG' }),
      )
    }
    expect(() => resolveLimits({ maxTensor: 1 } as never)).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    expect(() => resolveLimits([] as never)).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
  })

  test('8. opening reads the preamble, the footer and the header and nothing else', async () => {
    const file = golden('substitution-4096.dcz')
    const reads: [number, number][] = []
    const source = {
      length: file.length,
      read: async (at: number, length: number) => {
        reads.push([at, length])
        return file.slice(at, at + length)
      },
    }
    const archive = await readArchive(source)
    expect(reads).toEqual([
      [0, 64],
      [4080, 16],
      [64, archive.headerBytes],
    ])
    await verifyArchive(archive, source)
  })

  test('9. an error of a damaged tensor names it', async () => {
    const file = golden('substitution-4096.dcz').slice()
    const fc1 = parseArchive(file).tensors.get('fc')!
    file[fc1.section!.offset + 5]! ^= 1
    await expect(
      verifyArchive(parseArchive(file), { length: file.length, read: async (at, n) => file.slice(at, at + n) }),
    ).rejects.toMatchObject({ code: 'ERR_DC_CHECKSUM', section: 'tensor "fc"', offset: fc1.section!.offset })
  })

  test('10. the product of a shape', () => {
    expect(shapeElements([])).toBe(1)
    expect(shapeElements([3, 0, 2 ** 40])).toBe(0)
    expect(shapeElements([2 ** 40, 2 ** 13])).toBe(-1)
    expect(shapeElements([2 ** 40, 2 ** 12])).toBe(2 ** 52)
  })
})
