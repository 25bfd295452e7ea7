import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArchive, sectionBytes } from '../../src/container/reader'
import { decodeTensorSync, verifyBytes } from '../../src/decode/decode'

test('the worked example of docs/format.md is a valid file with the values it says', async () => {
  const page = readFileSync(path.join(__dirname, '../../docs/format.md'), 'utf8')
  const dump = [...page.matchAll(/^ {4}00[0-9a-f]{2} {2}((?:[0-9a-f]{2} ?)+)$/gm)].map((line) => line[1]!.trim())
  const file = Uint8Array.from(dump.join(' ').split(' '), (byte) => Number.parseInt(byte, 16))
  expect(file.length).toBe(157)
  await verifyBytes(file)
  const archive = parseArchive(file)
  const tensor = archive.tensors.get('w')!
  const values = decodeTensorSync(tensor, sectionBytes(archive, tensor.section!, file))
  expect([...values]).toEqual([0, -1, 1, 0])
})
