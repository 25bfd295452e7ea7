import { crc32c } from '../../src/container/crc32c'
import { parseArchive, sectionBytes } from '../../src/container/reader'
import { decodeTensorPlain, decodeTensorSync, verifyBytes } from '../../src/decode/decode'
import { openArchive } from '../../src/web'
import { golden, oneTensor, u32 } from '../support/dcz'

/** Whole files, damaged and sealed again, through the native reader and the one of the web door: the same answer from both. */

/** Each run of the suite is the same; DCZ_DAMAGE_SEED and DCZ_DAMAGE_RUNS ask for others and more. */
const SEED = Number(process.env.DCZ_DAMAGE_SEED ?? 0)
const RUNS = Number(process.env.DCZ_DAMAGE_RUNS ?? 1000)

/** A context takes a hundred times as long to decode, and nearly every damage of it decodes to something. */
const runsOf = (name: string) => (name.startsWith('context') ? RUNS / 20 : RUNS)

const LIMITS = { maxElements: 1 << 20, maxTotalElements: 1 << 21, maxDecodedBytes: 1 << 22 }
const NAMES = [
  'sparse-huffman.dcz',
  'sparse-rans.dcz',
  'relative.dcz',
  'dense-all-kept.dcz',
  'source-order.dcz',
  'planes.dcz',
  'context.dcz',
  'context-all-kept.dcz',
]

function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const codeOf = (error: unknown) => String((error as { code?: string }).code)

async function native(file: Uint8Array): Promise<string> {
  return verifyBytes(file, { limits: LIMITS }).then(() => 'ok', codeOf)
}

function web(file: Uint8Array): string {
  try {
    openArchive(file, { limits: LIMITS }).verify()
    return 'ok'
  } catch (error) {
    return codeOf(error)
  }
}

/** Where the checksum of each section is in the header: the files have one chunk a section, and the value occurs once. */
function sealer(good: Uint8Array): (file: Uint8Array) => void {
  const { sections } = parseArchive(good)
  const view = new DataView(good.buffer, good.byteOffset, good.length)
  const headerEnd = 64 + view.getUint32(12, true)
  const places = sections.map((section) => {
    for (let at = headerEnd - 8; at >= 64; at--) if (view.getUint32(at, true) === section.checksums[0]) return at
    throw new Error('no checksum in the header')
  })
  return (file) => {
    const out = new DataView(file.buffer, file.byteOffset, file.length)
    for (const [i, { offset, storedBytes }] of sections.entries()) {
      out.setUint32(places[i]!, crc32c(file.subarray(offset, offset + storedBytes)), true)
    }
    out.setUint32(headerEnd - 4, crc32c(file.subarray(64, headerEnd - 4)), true)
    out.setUint32(60, crc32c(file.subarray(0, 60)), true)
  }
}

describe('damaged files', () => {
  test.each(NAMES)('1. %s with one to three bytes changed, sealed again: the same answer each time', async (name) => {
    const good = golden(name)
    const seal = sealer(good)
    const random = generator(good.length + SEED)
    const headerEnd = 64 + new DataView(good.buffer, good.byteOffset).getUint32(12, true)
    const seen = new Set<string>()
    const still = good.slice()
    seal(still)
    expect(Buffer.from(still).equals(Buffer.from(good))).toBe(true)
    for (let run = 0; run < runsOf(name); run++) {
      const file = good.slice()
      const log: string[] = []
      for (let edits = 1 + random(3); edits > 0; edits--) {
        // The header, the first bytes of the payloads (codebook, models, directory) and anywhere, a third each.
        const kind = random(3)
        const at =
          kind === 0
            ? 64 + random(headerEnd - 64)
            : kind === 1
              ? headerEnd + random(Math.min(80, file.length - headerEnd))
              : random(file.length)
        const value = random(2) === 0 ? file[at]! ^ (1 << random(8)) : random(256)
        file[at] = value
        log.push(`${at}=${value}`)
      }
      seal(file)
      const [a, b] = [await native(file), web(file)]
      if (a !== b) throw new Error(`${name} ${log.join(' ')}: native ${a}, web ${b}`)
      seen.add(a)
    }
    expect(seen.size).toBeGreaterThan(name.startsWith('context') ? 1 : 3)
  })

  test.each(NAMES)('2. %s cut at any place, the length in the preamble as it was and as it is', async (name) => {
    const good = golden(name)
    const stride = Math.max(1, Math.floor(good.length / 300))
    for (let length = 0; length < good.length; length += length < 200 ? 1 : stride) {
      const file = good.slice(0, length)
      const answers = [await native(file), web(file)]
      expect(answers).toEqual(
        answers[0] === 'ERR_DC_MAGIC' ? ['ERR_DC_MAGIC', 'ERR_DC_MAGIC'] : ['ERR_DC_TRUNCATED', 'ERR_DC_TRUNCATED'],
      )
      if (length < 64) continue
      const view = new DataView(file.buffer)
      view.setUint32(16, length, true)
      view.setUint32(60, crc32c(file.subarray(0, 60)), true)
      const sealed = [await native(file), web(file)]
      if (sealed[0] !== sealed[1] || sealed[0] === 'ok')
        throw new Error(`${name} cut at ${length}: ${sealed.join(', ')}`)
    }
  })

  test('3. a payload of a signalling NaN, an infinity and a quiet NaN keeps its bits where the caller allows them', () => {
    const bits = [0x7f800001, 0xff800000, 0xffc12345]
    const file = oneTensor([1, 3, 1, 0], bits.flatMap(u32), 3, 0)
    const archive = parseArchive(file)
    const tensor = archive.tensors.get('w')!
    const payload = sectionBytes(archive, tensor.section!, file)
    for (const decode of [decodeTensorSync, decodeTensorPlain]) {
      const values = decode(tensor, payload, { allowNonFinite: true })
      expect([...new Uint32Array(values.buffer, values.byteOffset, 3)]).toEqual(bits)
      expect(() => decode(tensor, payload)).toThrow(expect.objectContaining({ code: 'ERR_DC_VALUE' }))
    }
  })
})
