import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArchive, sectionBytes } from '../../src/container/reader'
import { ArchiveWriter } from '../../src/container/writer'
import { decodeQuantizedSync, decodeTensorSync, verifyBytes } from '../../src/decode/decode'
import { encodeTensorSync } from '../../src/encode/encode'
import { GOLDEN, golden } from '../support/dcz'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const files = readdirSync(GOLDEN).filter((name) => name.endsWith('.dcz'))
const expected = JSON.parse(readFileSync(path.join(GOLDEN, 'decoded.json'), 'utf8')) as Record<
  string,
  Record<string, string>
>

describe('golden files of version 1.0', () => {
  test('1. the files are those of the manifest, byte for byte', () => {
    const lines = files.map((name) => `${sha256(golden(name))}  ${name}`).sort()
    expect(readFileSync(path.join(GOLDEN, 'SHA256SUMS'), 'utf8').trim().split('\n').sort()).toEqual(lines)
    expect(lines.length).toBeGreaterThanOrEqual(16)
  })

  test.each(files)('2. %s verifies and decodes to the values it was made from', async (name) => {
    const file = golden(name)
    await verifyBytes(file)
    const archive = parseArchive(file)
    expect([...archive.tensors.keys()].sort()).toEqual(Object.keys(expected[name]!).sort())
    for (const tensor of archive.tensors.values()) {
      const payload = tensor.section ? sectionBytes(archive, tensor.section, file) : new Uint8Array(0)
      const values = decodeTensorSync(tensor, payload)
      expect(sha256(new Uint8Array(values.buffer))).toBe(expected[name]![tensor.name])
    }
  })

  test.each(files)('3. %s is written again byte for byte from what was decoded (one content, one file)', (name) => {
    const file = golden(name)
    const archive = parseArchive(file)
    const writer = new ArchiveWriter()
    for (const tensor of archive.tensors.values()) {
      const payload = tensor.section ? sectionBytes(archive, tensor.section, file) : new Uint8Array(0)
      writer.add({ descriptor: tensor, payload })
    }
    for (const [key, value] of archive.metadata) writer.setMetadata(key, value)
    const names = [...archive.tensors.keys()]
    for (const section of archive.sections.filter((s) => s.type < 128)) {
      writer.addOptionalSection(
        section.type,
        section.owner === 0 ? null : names[section.owner - 1]!,
        sectionBytes(archive, section, file),
      )
    }
    expect(Buffer.from(writer.toBytes()).equals(Buffer.from(file))).toBe(true)
  })

  test('4. decoding and encoding with the same options gives the same payload', () => {
    for (const [name, options] of [
      ['sparse-huffman.dcz', { layout: 'sparse', entropy: 'huffman' }],
      ['sparse-rans.dcz', { layout: 'sparse', entropy: 'rans' }],
      ['relative-two-blocks.dcz', { layout: 'relative', indexBits: 3 }],
      ['dense-two-blocks.dcz', { layout: 'dense' }],
      ['source-order.dcz', {}],
    ] as const) {
      const file = golden(name)
      const archive = parseArchive(file)
      const tensor = archive.tensors.get('w')!
      const payload = sectionBytes(archive, tensor.section!, file)
      // Golden files pin decoding, not encoding: what is encoded today is compared with itself.
      const now = encodeTensorSync(decodeQuantizedSync(tensor, payload), options)
      const again = encodeTensorSync(decodeQuantizedSync(now.descriptor, now.payload), options)
      expect(Buffer.from(again.payload).equals(Buffer.from(now.payload))).toBe(true)
      expect(again.descriptor).toEqual(now.descriptor)
    }
  })
})
