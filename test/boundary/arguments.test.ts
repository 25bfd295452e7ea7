import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  assign,
  assignSync,
  compress,
  ecsq,
  encodeRelativeIndex,
  encodeTensor,
  encodeTensorSync,
  expand,
  expandSync,
  huffmanEncodeSync,
  kmeans1d,
  kmeans1dGroupsSync,
  kmeans1dSync,
  openArchive,
  prune,
  pruneSync,
  saveFile,
} from '../../src/index'

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-arguments-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Something of the wrong type, as JavaScript passes it. */
const wrong = (value: unknown) => value as never

const VALUES = Float32Array.of(1, 2, 3, 4)

function refuses(call: () => unknown, code: string, message: RegExp) {
  return expect((async () => call())()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
}

describe('arguments that no type checker saw', () => {
  test('1. options are an object or left out; null, a number and a list are not', async () => {
    for (const options of [null, 5, []]) {
      const expected = /must be an options object/
      await refuses(() => assign(VALUES, VALUES, wrong(options)), 'ERR_DC_TYPE', expected)
      await refuses(() => assignSync(VALUES, VALUES, wrong(options)), 'ERR_DC_TYPE', expected)
      await refuses(() => expand(Uint8Array.of(0), VALUES, wrong(options)), 'ERR_DC_TYPE', expected)
      await refuses(() => expandSync(Uint8Array.of(0), VALUES, wrong(options)), 'ERR_DC_TYPE', expected)
      await refuses(() => huffmanEncodeSync(Uint8Array.of(0), wrong(options)), 'ERR_DC_TYPE', expected)
      await refuses(() => pruneSync(VALUES, { density: 1 }, wrong(options)), 'ERR_DC_TYPE', expected)
    }
  })

  test('2. force is true or false, and only of the synchronous calls', async () => {
    const job = { force: wrong(1) }
    await refuses(() => kmeans1dSync(VALUES, { clusters: 2 }, job), 'ERR_DC_TYPE', /job\.force must be true or false/)
    await refuses(() => assignSync(VALUES, VALUES, job), 'ERR_DC_TYPE', /job\.force must be true or false/)
    await refuses(() => kmeans1d(VALUES, { clusters: 2 }, wrong({ force: true })), 'ERR_DC_ARG', /unknown key "force"/)
    expect(kmeans1dGroupsSync(VALUES, { clusters: 1, groupSize: 2 }, { force: true }).groups).toBe(2)
  })

  test('3. views outside their shrunk buffer are not empty tensors, an empty view at its end is', async () => {
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer
    const buffer = new Resizable(64, { maxByteLength: 64 }) as ArrayBuffer & { resize(bytes: number): void }
    const fixed = new Float32Array(buffer, 16, 8)
    const tracking = new Float32Array(buffer, 16)
    buffer.resize(8)
    for (const values of [fixed, tracking]) {
      await refuses(() => prune(values, { density: 1 }), 'ERR_DC_DETACHED', /outside its resized buffer/)
      await refuses(() => pruneSync(values, { density: 1 }), 'ERR_DC_DETACHED', /outside its resized buffer/)
      const tensor = { name: 'a', shape: [0], values }
      await refuses(() => compress([tensor]), 'ERR_DC_DETACHED', /outside its resized buffer/)
    }
    buffer.resize(16)
    expect(pruneSync(tracking, { density: 1 }).kept).toBe(0)
  })

  test('4. compress says what is wrong with tensors that are none, and looks at an abort before the first', async () => {
    for (const tensors of [undefined, null, 5, {}]) {
      await refuses(() => compress(wrong(tensors)), 'ERR_DC_TYPE', /tensors must be iterable/)
    }
    await refuses(() => compress(wrong([null])), 'ERR_DC_TYPE', /a tensor must be an object, got null/)
    await refuses(
      () => compress([wrong({ name: 'a', shape: 4, values: VALUES })]),
      'ERR_DC_ARG',
      /shape of tensor "a" must be an array/,
    )
    await refuses(
      () => compress([{ name: 'a', shape: [-4], values: VALUES }]),
      'ERR_DC_ARG',
      /tensor "a": a dimension must be a whole number/,
    )
    await refuses(() => compress([], undefined, { signal: AbortSignal.abort() }), 'ERR_DC_ABORTED', /aborted/)
  })

  test('5. weights that are not finite are counted, in every way a tensor is stored', async () => {
    const values = () => Float32Array.of(1, Number.NaN, 3, -Infinity)
    const tensor = () => ({ name: 'w', shape: [4], values: values() })
    const expected = { code: 'ERR_DC_NONFINITE', section: 'w', offset: 1, declared: 2, allowed: 0 }
    const rules = [{}, { prune: { density: 0.5 } }, { quantize: { clusters: 2 } }]
    for (const rule of rules) {
      await expect(compress([tensor()], { rules: [{ match: '*', ...rule }] })).rejects.toMatchObject(expected)
      await expect(compress([tensor()], { rules: [{ match: '*', ...rule }] }, { consume: true })).rejects.toMatchObject(
        expected,
      )
    }
    await expect(encodeTensor(tensor())).rejects.toMatchObject(expected)
    expect(() => encodeTensorSync(tensor())).toThrow(expect.objectContaining(expected))
    await refuses(() => compress([tensor()]), 'ERR_DC_NONFINITE', /2 are not; the first is NaN at 1/)
  })

  test('6. what only the addon can refuse is said in words', async () => {
    const layout = { rules: [{ match: '*', quantize: { clusters: 256 }, encode: { layout: 'relative' as const } }] }
    const many = Float32Array.from({ length: 512 }, (_, i) => i + 1)
    await refuses(() => compress([{ name: 'w', shape: [512], values: many }], layout), 'ERR_DC_ARG', /at most 255/)
    await refuses(() => ecsq(many, { squaredError: 0, clusters: 2 }), 'ERR_DC_ARG', /cannot keep options\.squaredError/)
    const sparse = { mask: Uint32Array.of(3), length: 2, codes: Uint8Array.of(5) }
    await refuses(() => encodeRelativeIndex(sparse), 'ERR_DC_ARG', /another number of codes than the mask keeps/)
    await refuses(() => kmeans1d(Float32Array.of(Number.NaN), { clusters: 1 }), 'ERR_DC_NONFINITE', /kmeans1d/)
    await expect(kmeans1d(Float32Array.of(Number.NaN), { clusters: 1 })).rejects.toMatchObject({ section: 'kmeans1d' })
  })

  test('7. an archive is a path or bytes; wrong limits leave no file open', async () => {
    const file = path.join(folder, 'a.dcz')
    const archive = await compress([{ name: 'a', shape: [4], values: VALUES }])
    await archive.save(file)
    await refuses(() => openArchive(wrong(new ArrayBuffer(8))), 'ERR_DC_TYPE', /must be a path or a Uint8Array/)
    await refuses(() => archive.decodeAll(wrong({ out: new Float32Array(4) })), 'ERR_DC_ARG', /unknown key "out"/)
    if (process.platform !== 'linux') return
    const open = () =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`) === file
        } catch {
          return false
        }
      }).length
    for (const limits of [{ maxElements: -1 }, { maxWhatever: 1 }]) {
      await refuses(() => openArchive(file, { limits: limits as never }), 'ERR_DC_ARG', /limits/)
    }
    await refuses(() => openArchive(file, wrong({ limit: {} })), 'ERR_DC_ARG', /unknown key "limit"/)
    expect(open()).toBe(0)
    await refuses(() => openArchive('/proc/self/status'), 'ERR_DC_IO', /says that its size is 0/)
  })

  test('8. a save refuses unknown options, names that are none and chunks that are no bytes', async () => {
    const file = path.join(folder, 'b')
    const bytes = Uint8Array.of(1)
    await refuses(() => saveFile(file, bytes, wrong({ overwrit: false })), 'ERR_DC_ARG', /unknown key "overwrit"/)
    await refuses(() => saveFile(file, bytes, { overwrite: wrong('no') }), 'ERR_DC_TYPE', /true or false/)
    await refuses(() => saveFile(wrong(5), bytes), 'ERR_DC_TYPE', /path must be a string/)
    for (const name of ['', 'a\0b']) await refuses(() => saveFile(name, bytes), 'ERR_DC_ARG', /must name a file/)
    for (const chunks of [undefined, 'text', 7]) {
      await refuses(() => saveFile(file, wrong(chunks)), 'ERR_DC_TYPE', /chunks must be bytes/)
    }
    await refuses(() => saveFile(file, wrong(Float32Array.of(1))), 'ERR_DC_TYPE', /must be a Uint8Array/)
    await refuses(() => saveFile(file, wrong([bytes, 'x'])), 'ERR_DC_TYPE', /must be a Uint8Array/)
    expect(fs.readdirSync(folder)).toEqual([])
  })
})
