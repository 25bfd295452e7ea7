import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { modelChunks, readModel, readModelFrom, writeModel } from '../../src/models/files.js'
import { parseJson, writeJson } from '../../src/models/json.js'
import { packMetadata, unpackMetadata } from '../../src/models/metadata.js'
import {
  formatOf,
  type Model,
  type ModelFormat,
  type ModelMetadata,
  type TensorSource,
} from '../../src/models/model.js'
import { toFloat32 } from '../../src/models/numbers.js'
import { memoryBytes } from '../../src/models/source.js'

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-models-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

const tensor = (name: string, shape: number[], values: number[]): TensorSource => ({
  name,
  shape,
  load: async () => Float32Array.from(values),
})

const SMALL = [
  tensor('fc/kernel', [2, 3], [1, -2, 0.5, 3e38, 1e-45, -0.25]),
  tensor('fc/bias', [3], [0, 1, 2]),
  tensor('__proto__', [], [7]),
]
const SMALL_VALUES = [
  ['fc/kernel', [2, 3], [1, -2, 0.5, Math.fround(3e38), Math.fround(1e-45), -0.25]],
  ['fc/bias', [3], [0, 1, 2]],
  ['__proto__', [], [7]],
]

async function collect(model: Model): Promise<unknown[]> {
  const out: unknown[] = []
  for await (const { name, shape, values } of model.tensors) out.push([name, [...shape], [...values]])
  await model.close()
  return out
}

async function bytesOf(format: Exclude<ModelFormat, 'tfjs'>, tensors: TensorSource[], metadata?: ModelMetadata) {
  const parts: Uint8Array[] = []
  for await (const part of modelChunks(format, tensors, metadata)) parts.push(part.slice())
  return new Uint8Array(Buffer.concat(parts))
}

const open = (bytes: Uint8Array, format?: ModelFormat) =>
  readModelFrom(memoryBytes('input', new Uint8Array(bytes)), format)

/** The code of the error that opening and reading ends in. */
async function codeOf(bytes: Uint8Array, format?: ModelFormat): Promise<string> {
  try {
    await collect(await open(bytes, format))
    return 'accepted'
  } catch (error) {
    return String((error as { code?: string }).code ?? error)
  }
}

function safetensors(header: string | object, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}

describe('models', () => {
  it('01 the extension names the format', () => {
    expect(['a.safetensors', 'b.NPZ', 'c.npy', 'x/model.json'].map(formatOf)).toEqual([
      'safetensors',
      'npz',
      'npy',
      'tfjs',
    ])
    expect(() => formatOf('model.onnx')).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    expect(() => formatOf('x.tfjs')).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
  })

  for (const format of ['safetensors', 'npz'] as const) {
    it(`02 what ${format} writes it reads, names like __proto__ and scalars included`, async () => {
      const file = path.join(folder, `model.${format}`)
      await writeModel(file, format, SMALL)
      const model = await readModel(file)
      expect(model.entries.map((entry) => entry.name)).toEqual(['fc/kernel', 'fc/bias', '__proto__'])
      expect(await collect(model)).toEqual(SMALL_VALUES)
    })

    it(`03 a stream of ${format} is told by its first bytes`, async () => {
      expect(await collect(await open(await bytesOf(format, SMALL)))).toEqual(SMALL_VALUES)
    })

    it(`04 ${format} cut short or with bytes behind it is refused, at every length`, async () => {
      const bytes = await bytesOf(format, [tensor('w', [2, 2], [1, 2, 3, 4])])
      for (let length = 0; length < bytes.length; length++) {
        expect([length, await codeOf(bytes.slice(0, length), format)]).toEqual([
          length,
          expect.stringMatching(/^ERR_DC_/),
        ])
      }
      if (format === 'safetensors')
        expect(await codeOf(Buffer.concat([bytes, Buffer.alloc(1)]), format)).toBe('ERR_DC_TRAILING')
    })

    it(`05 damage of ${format} never ends in anything but our errors`, async () => {
      const bytes = await bytesOf(format, [tensor('w', [2, 2], [1, 2, 3, 4]), tensor('b', [2], [1, 2])])
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
          const damaged = bytes.slice()
          damaged[at]! ^= flip
          expect(await codeOf(damaged, format)).toMatch(/^(accepted|ERR_DC_[A-Z]+)$/)
        }),
        { numRuns: 2000 },
      )
    })
  }

  it('06 tensors without elements go through every format', async () => {
    for (const format of ['safetensors', 'npz', 'npy'] as const) {
      const model = await open(await bytesOf(format, [tensor('weights', [0, 3], [])]))
      expect([format, await collect(model)]).toEqual([format, [['weights', [0, 3], []]]])
    }
  })

  it('06 npz finds damage of the data by its CRC, which safetensors and npy do not have', async () => {
    const bytes = await bytesOf('npz', [tensor('w', [2, 2], [1, 2, 3, 4])])
    const at = Buffer.from(bytes).indexOf(Buffer.from(new Float32Array([3]).buffer))
    bytes[at] = 9
    expect(await codeOf(bytes)).toBe('ERR_DC_CHECKSUM')
  })

  it('07 npy holds one tensor', async () => {
    const file = path.join(folder, 'w.npy')
    await writeModel(file, 'npy', [SMALL[0]!])
    expect(await collect(await readModel(file))).toEqual([['weights', [2, 3], SMALL_VALUES[0]![2]]])
    await expect(writeModel(file, 'npy', SMALL)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    expect(fs.readFileSync(file).length).toBe(128 + 24)
    expect(fs.readdirSync(folder)).toEqual(['w.npy'])
  })

  it('08 the bytes of a safetensors file are these', async () => {
    const header = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    const bytes = await bytesOf('safetensors', [tensor('w', [1], [1])])
    expect(Buffer.from(bytes).toString('latin1')).toBe(`\x38\0\0\0\0\0\0\0${header.padEnd(56)}\0\0\x80\x3f`)
  })

  it('09 half, bfloat16 and double become the float32 they mean', () => {
    const f16 = Uint8Array.of(0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b, 0x00, 0x7c, 0x00, 0x80)
    expect([...toFloat32('h', 'F16', f16, 6)]).toEqual([1, -2, 2 ** -24, 65504, Infinity, -0])
    expect([...toFloat32('b', 'BF16', Uint8Array.of(0x80, 0x3f, 0x00, 0xc0), 2)]).toEqual([1, -2])
    const f64 = new Uint8Array(Float64Array.of(0.1, -3).buffer)
    expect([...toFloat32('d', 'F64', f64, 2)]).toEqual([Math.fround(0.1), -3])
  })

  it('10 whole numbers keep their type and value through a file, or are refused when no float32 can hold them', async () => {
    const metadata: ModelMetadata = { format: 'safetensors', pairs: [], dtypes: [['ids', 'I64']] }
    for (const format of ['safetensors', 'npz'] as const) {
      const model = await open(await bytesOf(format, [tensor('ids', [3], [0, -5, 16777216])], metadata))
      expect([model.entries[0]!.dtype, model.metadata.dtypes]).toEqual(['I64', [['ids', 'I64']]])
      expect(await collect(model)).toEqual([['ids', [3], [0, -5, 16777216]]])
    }
    const big = new Uint8Array(BigInt64Array.of(16777217n).buffer)
    const file = safetensors({ ids: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, big)
    expect(await codeOf(file)).toBe('ERR_DC_FEATURE')
  })

  it('11 hostile safetensors headers are refused, each with its code', async () => {
    const four = new Uint8Array(4)
    const w = (fields: object) => ({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...fields } })
    const cases: [string, Uint8Array, string][] = [
      ['empty file', new Uint8Array(), 'ERR_DC_TRUNCATED'],
      ['header longer than the file', Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 0x7b), 'ERR_DC_TRUNCATED'],
      ['header of 2^63 bytes', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x80, 0x7b), 'ERR_DC_LIMIT'],
      ['not JSON', safetensors('{"w":'), 'ERR_DC_STRUCTURE'],
      ['not an object', safetensors('[]'), 'ERR_DC_STRUCTURE'],
      [
        'a key twice',
        safetensors(
          '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
          four,
        ),
        'ERR_DC_STRUCTURE',
      ],
      [
        'not UTF-8',
        safetensors('{"\xff":1}'.replace('\xff', '\ufffd'), four).map((b, i) => (i === 10 ? 0xff : b)),
        'ERR_DC_STRUCTURE',
      ],
      ['unknown type', safetensors(w({ dtype: 'F8_E4M3', shape: [4] }), four), 'ERR_DC_FEATURE'],
      ['unknown field', safetensors(w({ more: 1 }), four), 'ERR_DC_STRUCTURE'],
      ['negative dimension', safetensors(w({ shape: [-1] }), four), 'ERR_DC_STRUCTURE'],
      ['dimension with a fraction', safetensors(w({ shape: [1.5] }), four), 'ERR_DC_STRUCTURE'],
      ['product overflows', safetensors(w({ shape: [2 ** 40, 2 ** 40, 0] }), four), 'ERR_DC_STRUCTURE'],
      ['offsets backwards', safetensors(w({ data_offsets: [4, 0] }), four), 'ERR_DC_STRUCTURE'],
      ['size and shape disagree', safetensors(w({ shape: [2] }), four), 'ERR_DC_STRUCTURE'],
      ['hole at the beginning', safetensors(w({ data_offsets: [4, 8] }), new Uint8Array(8)), 'ERR_DC_STRUCTURE'],
      [
        'overlap',
        safetensors({ ...w({}), v: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, four),
        'ERR_DC_STRUCTURE',
      ],
      ['data missing', safetensors(w({})), 'ERR_DC_TRUNCATED'],
      ['data left over', safetensors(w({}), new Uint8Array(5)), 'ERR_DC_TRAILING'],
      ['rank 9', safetensors(w({ shape: Array(9).fill(1) }), four), 'ERR_DC_LIMIT'],
      ['name of 300 bytes', safetensors({ ['n'.repeat(300)]: w({}).w }, four), 'ERR_DC_LIMIT'],
      ['name with a control character', safetensors({ 'a\u001b[2J': w({}).w }, four), 'ERR_DC_STRUCTURE'],
      ['metadata that is no text', safetensors({ __metadata__: { a: 1 }, ...w({}) }, four), 'ERR_DC_STRUCTURE'],
      ['nesting', safetensors(`{"w":${'['.repeat(100_000)}`), 'ERR_DC_STRUCTURE'],
    ]
    for (const [name, bytes, code] of cases) expect([name, await codeOf(bytes, 'safetensors')]).toEqual([name, code])
  })

  it('12 hostile array headers are refused, each with its code', async () => {
    const npy = (text: string, data = 4, version = 1) => {
      const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, text.length & 255, text.length >> 8])
      return Buffer.concat([head, Buffer.from(text), Buffer.alloc(data)])
    }
    const header = (descr: string, shape: string) =>
      `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }\n`
    const cases: [string, Uint8Array, string][] = [
      ['a good one', npy(header('<f4', '(1,)')), 'accepted'],
      ['version 4', npy(header('<f4', '(1,)'), 4, 4), 'ERR_DC_VERSION'],
      ['strings', npy(header('<U8', '(1,)')), 'ERR_DC_FEATURE'],
      ['objects', npy(header('|O', '(1,)')), 'ERR_DC_FEATURE'],
      ['code in the header', npy("{'descr': __import__('os'), }"), 'ERR_DC_STRUCTURE'],
      ['no shape', npy("{'descr': '<f4', 'fortran_order': False, }"), 'ERR_DC_STRUCTURE'],
      [
        'a key twice',
        npy("{'shape': (1,), 'shape': (2,), 'descr': '<f4', 'fortran_order': False, }"),
        'ERR_DC_STRUCTURE',
      ],
      ['shape too large', npy(header('<f4', '(2,)')), 'ERR_DC_TRUNCATED'],
      ['shape too small', npy(header('<f4', '()'), 8), 'ERR_DC_TRAILING'],
      ['product overflows', npy(header('<f4', '(1099511627776, 1099511627776)')), 'ERR_DC_STRUCTURE'],
    ]
    for (const [name, bytes, code] of cases) expect([name, await codeOf(bytes, 'npy')]).toEqual([name, code])
  })

  it('13 column-major and big-endian arrays become row-major', async () => {
    const text = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }"
    const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length, 0])
    const data = Buffer.alloc(24)
    // columns of [[1, 2, 3], [4, 5, 6]]
    for (const [i, value] of [1, 4, 2, 5, 3, 6].entries()) data.writeFloatBE(value, 4 * i)
    expect(await collect(await open(Buffer.concat([head, Buffer.from(text), data])))).toEqual([
      ['weights', [2, 3], [1, 2, 3, 4, 5, 6]],
    ])
  })

  it('14 deflated archives are read, bombs and lies about sizes refused', async () => {
    const plain = await bytesOf('npy', [tensor('w', [4000], Array(4000).fill(0.5))])
    const zip = (packed: Uint8Array, says: number, crc: number) => {
      const name = Buffer.from('w.npy')
      const local = Buffer.alloc(30)
      local.writeUInt32LE(0x04034b50)
      local.writeUInt16LE(8, 8)
      local.writeUInt16LE(name.length, 26)
      const central = Buffer.alloc(46)
      central.writeUInt32LE(0x02014b50)
      central.writeUInt16LE(8, 10)
      central.writeUInt32LE(crc, 16)
      central.writeUInt32LE(packed.length, 20)
      central.writeUInt32LE(says, 24)
      central.writeUInt16LE(name.length, 28)
      const end = Buffer.alloc(22)
      end.writeUInt32LE(0x06054b50)
      end.writeUInt16LE(1, 8)
      end.writeUInt16LE(1, 10)
      end.writeUInt32LE(46 + name.length, 12)
      end.writeUInt32LE(30 + name.length + packed.length, 16)
      return Buffer.concat([local, name, packed, central, name, end])
    }
    const packed = deflateRawSync(plain)
    const { crc32 } = require('node:zlib')
    const good = zip(packed, plain.length, crc32(plain))
    expect(await collect(await open(good))).toEqual([['w', [4000], Array(4000).fill(0.5)]])
    expect(await codeOf(zip(packed, plain.length, 1))).toBe('ERR_DC_CHECKSUM')
    expect(await codeOf(zip(packed, plain.length - 1, crc32(plain)))).toBe('ERR_DC_TRUNCATED')
    expect(await codeOf(zip(packed, 4_000_000_000, crc32(plain)))).toBe('ERR_DC_STRUCTURE')
    const cut = packed.subarray(0, packed.length - 5)
    expect(await codeOf(zip(cut, plain.length, crc32(plain)))).toMatch(/^ERR_DC_(BITSTREAM|STRUCTURE)$/)
  })
})

describe('large files', () => {
  it('15 tensors beyond 2 and 4 GiB are read at their place', async () => {
    const file = path.join(folder, 'large.safetensors')
    const shape = [5, 2 ** 28] // 5 GiB, a hole on the disk
    const header = {
      hole: { dtype: 'F32', shape, data_offsets: [0, 5 * 2 ** 30] },
      last: { dtype: 'F32', shape: [2], data_offsets: [5 * 2 ** 30, 5 * 2 ** 30 + 8] },
    }
    const head = safetensors(header)
    const descriptor = fs.openSync(file, 'w')
    fs.writeSync(descriptor, head)
    fs.writeSync(descriptor, new Uint8Array(Float32Array.of(1, -2).buffer), 0, 8, head.length + 5 * 2 ** 30)
    fs.closeSync(descriptor)
    const model = await readModel(file)
    expect([...(await model.entries[1]!.load())]).toEqual([1, -2])
    await model.close()
  })
})

describe('tfjs models', () => {
  const MODEL = {
    format: 'layers-model',
    generatedBy: 'test',
    modelTopology: { class_name: 'Sequential', config: [1, 2.5, null, true, 'ü'] },
    weightsManifest: [
      {
        paths: ['a.bin', 'b.bin'],
        weights: [
          { name: 'plain', shape: [3], dtype: 'float32' },
          { name: 'q8', shape: [2, 2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
          { name: 'q16', shape: [2], dtype: 'float32', quantization: { dtype: 'uint16', scale: 2, min: 0 } },
          { name: 'half', shape: [1], dtype: 'float32', quantization: { dtype: 'float16', original_dtype: 'float32' } },
          { name: 'steps', shape: [], dtype: 'int32' },
        ],
      },
    ],
  }
  const DATA = Buffer.concat([
    Buffer.from(Float32Array.of(1, 2, 3).buffer),
    Buffer.from([0, 1, 2, 255]),
    Buffer.from([1, 0, 0, 1]),
    Buffer.from([0, 0x3c]),
    Buffer.from(Int32Array.of(-7).buffer),
  ])

  function put(model: unknown, split = 10): string {
    const file = path.join(folder, 'model.json')
    fs.writeFileSync(file, JSON.stringify(model))
    fs.writeFileSync(path.join(folder, 'a.bin'), DATA.subarray(0, split))
    fs.writeFileSync(path.join(folder, 'b.bin'), DATA.subarray(split))
    return file
  }

  const VALUES = [
    ['plain', [3], [1, 2, 3]],
    ['q8', [2, 2], [-1, -0.5, 0, 126.5]],
    ['q16', [2], [2, 512]],
    ['half', [1], [1]],
    ['steps', [], [-7]],
  ]

  it('20 weights are read across shards, quantized ones decoded', async () => {
    expect(await collect(await readModel(put(MODEL)))).toEqual(VALUES)
  })

  it('21 a model written from what was read has the same topology and values, in plain float32', async () => {
    const model = await readModel(put(MODEL))
    const loaded = await collect(await readModel(put(MODEL)))
    const sources = (loaded as [string, number[], number[]][]).map(([n, s, v]) => tensor(n, s, v)).reverse()
    const metadata = unpackMetadata(packMetadata(model.metadata))
    await model.close()
    const out = path.join(folder, 'out', 'model.json')
    fs.mkdirSync(path.dirname(out))
    const files = await writeModel(out, 'tfjs', sources, metadata)
    expect(files.length).toBe(2)
    expect(files.every((file) => fs.existsSync(file))).toBe(true)
    const { weightsManifest, ...rest } = JSON.parse(fs.readFileSync(out, 'utf8'))
    const { weightsManifest: _, ...expected } = MODEL
    expect(rest).toEqual(expected)
    expect(weightsManifest[0].weights.map((w: { name: string; dtype: string }) => [w.name, w.dtype])).toEqual([
      ['plain', 'float32'],
      ['q8', 'float32'],
      ['q16', 'float32'],
      ['half', 'float32'],
      ['steps', 'int32'],
    ])
    expect(await collect(await readModel(out))).toEqual(VALUES)
  })

  it('22 an archive without a topology makes no model.json', async () => {
    await expect(writeModel(path.join(folder, 'm.json'), 'tfjs', [])).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    expect(fs.readdirSync(folder)).toEqual([])
  })

  it('23 hostile manifests are refused, each with its code', async () => {
    const [group] = MODEL.weightsManifest
    const change = (weight: object) => ({
      ...MODEL,
      weightsManifest: [{ ...group, weights: [{ ...group!.weights[0], ...weight }] }],
    })
    const paths = (...names: string[]) => ({ ...MODEL, weightsManifest: [{ ...group, paths: names }] })
    const cases: [string, unknown, string][] = [
      ['no manifest', { format: 'x' }, 'ERR_DC_STRUCTURE'],
      ['a path upwards', paths('../a.bin'), 'ERR_DC_STRUCTURE'],
      ['an absolute path', paths('/etc/passwd'), 'ERR_DC_STRUCTURE'],
      ['an address', paths('https://example.com/a.bin'), 'ERR_DC_STRUCTURE'],
      ['a shard that is not there', paths('none.bin'), 'ERR_DC_IO'],
      ['too few bytes', paths('a.bin'), 'ERR_DC_TRUNCATED'],
      ['too many bytes', paths('a.bin', 'b.bin', 'b.bin'), 'ERR_DC_TRAILING'],
      ['strings', change({ dtype: 'string' }), 'ERR_DC_FEATURE'],
      ['a scale that is text', change({ quantization: { dtype: 'uint8', scale: '1', min: 0 } }), 'ERR_DC_STRUCTURE'],
      ['unknown quantization', change({ quantization: { dtype: 'int4', scale: 1, min: 0 } }), 'ERR_DC_FEATURE'],
      ['a shape that overflows', change({ shape: [2 ** 40, 2 ** 40] }), 'ERR_DC_STRUCTURE'],
    ]
    for (const [name, model, code] of cases) {
      const got = await readModel(put(model)).then(
        () => 'accepted',
        (error) => error.code,
      )
      expect([name, got]).toEqual([name, code])
    }
  })
})

describe('metadata', () => {
  it('30 survives the pairs of an archive, whatever its characters and length', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))), (pairs) => {
        const metadata: ModelMetadata = { format: 'safetensors', pairs, dtypes: [['__proto__', 'I64']] }
        expect(unpackMetadata(packMetadata(metadata))).toEqual(metadata)
      }),
      { numRuns: 300 },
    )
    const long: ModelMetadata = { format: 'tfjs', pairs: [], dtypes: [], topology: '"é€😀"'.repeat(20_000) }
    const packed = packMetadata(long)
    expect(packed.size).toBe(5) // 20,000 x 13 bytes and the frame, in pieces of at most 65,000
    for (const value of packed.values()) expect(Buffer.byteLength(value)).toBeLessThanOrEqual(65_535)
    expect(unpackMetadata(packed)).toEqual(long)
  })

  it('31 is not there when there is nothing to say, and refused when no header could hold it', () => {
    expect(packMetadata({ format: 'npz', pairs: [], dtypes: [] }).size).toBe(0)
    expect(unpackMetadata(new Map([['author', 'x']]))).toBeUndefined()
    const huge: ModelMetadata = { format: 'tfjs', pairs: [], dtypes: [], topology: 'x'.repeat(1_000_000) }
    expect(() => packMetadata(huge)).toThrow(expect.objectContaining({ code: 'ERR_DC_LIMIT' }))
  })
})

describe('strict JSON', () => {
  it('40 reads and writes what JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1)
        expect(JSON.parse(writeJson(parseJson(text, 'x')))).toEqual(JSON.parse(text))
      }),
      { numRuns: 1000 },
    )
  })

  it('41 refuses what is not JSON', () => {
    const wrong = [
      '',
      ' ',
      '{',
      '{"a"}',
      '{"a":}',
      '{,}',
      '[1,]',
      '[1 2]',
      '01',
      '1.',
      '.5',
      '+1',
      'tru',
      "'a'",
      '"\n"',
      '"\\x"',
      '{} {}',
      'NaN',
      '{"a":1,"a":2}',
    ]
    for (const text of wrong)
      expect(() => parseJson(text, 'x')).toThrow(expect.objectContaining({ code: 'ERR_DC_STRUCTURE' }))
  })
})
