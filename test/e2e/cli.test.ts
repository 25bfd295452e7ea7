import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readModel, writeModel } from '../../src/models/files.js'
import type { TensorSource } from '../../src/models/model.js'

const CLI = path.resolve(__dirname, '../../dist/cli.js')

let folder: string
beforeAll(() => {
  if (!fs.existsSync(CLI)) throw new Error('dist/ is not built: run "npm run build" first')
})
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-cli-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

interface Ended {
  code: number | null
  out: string
  err: string
  bytes: Buffer
}

function run(args: string[], input?: Uint8Array): Ended {
  const done = spawnSync(process.execPath, [CLI, ...args], { cwd: folder, input, maxBuffer: 1 << 28 })
  return { code: done.status, out: done.stdout.toString(), err: done.stderr.toString(), bytes: done.stdout }
}

/** Weights of a generator that is the same everywhere. */
function weights(count: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    const a = (state >>> 8) / 2 ** 24
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return 0.05 * Math.sqrt(-2 * Math.log(1 - a)) * Math.cos((2 * Math.PI * (state >>> 8)) / 2 ** 24)
  })
}

const TENSORS: TensorSource[] = [
  { name: 'conv1.weight', shape: [16, 8, 3, 3], load: async () => weights(1152, 1) },
  { name: 'fc1.weight', shape: [100, 200], load: async () => weights(20_000, 2) },
  { name: 'fc1.bias', shape: [100], load: async () => weights(100, 3) },
  { name: '__proto__', shape: [64, 64], load: async () => weights(4096, 4) },
]

async function model(name = 'model.safetensors'): Promise<string> {
  const file = path.join(folder, name)
  await writeModel(file, name.endsWith('.npz') ? 'npz' : 'safetensors', TENSORS)
  return file
}

async function valuesOf(file: string): Promise<Map<string, Float32Array>> {
  const opened = await readModel(file)
  const values = new Map<string, Float32Array>()
  for await (const tensor of opened.tensors) values.set(tensor.name, tensor.values)
  await opened.close()
  return values
}

/** A compressed model, `m.dcz`. */
async function archive(...more: string[]): Promise<string> {
  await model()
  expect(run(['compress', 'model.safetensors', '-o', 'm.dcz', '--quiet', ...more])).toMatchObject({ code: 0 })
  return path.join(folder, 'm.dcz')
}

const leftovers = () => fs.readdirSync(folder).filter((name) => name.startsWith('.dcz-tmp-'))

describe('deepcompress', () => {
  it('01 compresses a model, and its JSON says what is in the file', async () => {
    await model()
    const done = run([
      'compress',
      'model.safetensors',
      '-o',
      'm.dcz',
      '--density',
      'fc*=0.08',
      '--clusters',
      'fc*=32',
      '--json',
      '--quiet',
    ])
    expect([done.code, done.err]).toEqual([0, ''])
    const report = JSON.parse(done.out)
    expect(report).toMatchObject({
      schemaVersion: 1,
      output: 'm.dcz',
      originalBytes: 4 * (1152 + 20_000 + 100 + 4096),
      compressedBytes: fs.statSync(path.join(folder, 'm.dcz')).size,
    })
    expect(report.ratio).toBeCloseTo(report.originalBytes / report.compressedBytes, 10)
    const fc = report.layers.find((layer: { name: string }) => layer.name === 'fc1.weight')
    expect(fc).toMatchObject({ shape: [100, 200], weights: 20_000, kept: 1600, clusters: 32 })
    for (const key of [
      'codeBits',
      'indexBits',
      'entries',
      'fillers',
      'codeBytes',
      'indexBytes',
      'codebookBytes',
      'tableBytes',
      'storedBytes',
      'entropyBits',
    ]) {
      expect([key, typeof fc[key]]).toEqual([key, 'number'])
    }
    const bias = report.layers.find((layer: { name: string }) => layer.name === 'fc1.bias')
    expect(bias).toMatchObject({ kept: 100, clusters: 0 })
  })

  it('02 decompresses to what the archive holds: same names, shapes, exact biases, pruned weights zero', async () => {
    await archive('--density', 'fc*=0.08')
    for (const name of ['back.safetensors', 'back.npz']) {
      expect(run(['decompress', 'm.dcz', '-o', name, '--quiet'])).toMatchObject({ code: 0, err: '' })
      const back = await valuesOf(path.join(folder, name))
      expect([...back.keys()].sort()).toEqual(['__proto__', 'conv1.weight', 'fc1.bias', 'fc1.weight'])
      expect(back.get('fc1.bias')).toEqual(weights(100, 3))
      expect(back.get('fc1.weight')!.filter((value) => value !== 0).length).toBe(1600)
    }
    const [a, b] = await Promise.all(['back.safetensors', 'back.npz'].map((name) => valuesOf(path.join(folder, name))))
    for (const [name, values] of a!) expect(b!.get(name)).toEqual(values)
  })

  it('03 inspect prints a table or JSON', async () => {
    const file = await archive()
    const text = run(['inspect', 'm.dcz'])
    expect(text.code).toBe(0)
    expect(text.out).toMatch(/^layer +weights +kept/)
    expect(text.out).toContain('fc1.weight')
    const json = JSON.parse(run(['inspect', 'm.dcz', '--json']).out)
    expect(json).toMatchObject({ schemaVersion: 1, file: 'm.dcz', compressedBytes: fs.statSync(file).size })
    expect(json.layers.map((layer: { name: string }) => layer.name)).toEqual([
      '__proto__',
      'conv1.weight',
      'fc1.bias',
      'fc1.weight',
    ])
  })

  it('04 verify says ok, with exit 0', async () => {
    await archive()
    const text = run(['verify', 'm.dcz'])
    expect([text.code, text.out.split('\n')[0]]).toEqual([0, 'm.dcz: ok, 4 tensors'])
    expect(text.out.match(/^ {2}tensor "[^"]+", [0-9,]+ bytes: ok$/gm)!.length).toBe(4)
    const json = JSON.parse(run(['verify', 'm.dcz', '--json', '--quiet']).out)
    expect(json).toMatchObject({ schemaVersion: 1, file: 'm.dcz', ok: true, tensors: 4 })
    expect(json.sections.map((section: { ok: boolean }) => section.ok)).toEqual([true, true, true, true])
  })

  it('05 verify of a damaged file exits 3 and names the section', async () => {
    const good = fs.readFileSync(await archive())
    const places: [number, string][] = [
      [3, ''], // the magic
      [20, 'preamble'],
      [80, 'header'],
      [good.length - 5, 'footer'],
      [good.length - 40, 'tensor'],
    ]
    for (const [at, section] of places) {
      const bad = Buffer.from(good)
      bad[at]! ^= 0x10
      fs.writeFileSync(path.join(folder, 'bad.dcz'), bad)
      const done = run(['verify', 'bad.dcz', '--json', '--quiet'])
      expect([at, done.code, done.err]).toEqual([at, 3, ''])
      const { ok, error } = JSON.parse(done.out)
      expect([at, ok, error.code]).toEqual([at, false, expect.stringMatching(/^ERR_DC_/)])
      expect([at, `${error.section ?? ''}`]).toEqual([at, expect.stringContaining(section)])
      const text = run(['verify', 'bad.dcz'])
      expect([text.code, text.out]).toEqual([3, expect.stringContaining('bad.dcz: damaged: ')])
      expect(run(['decompress', 'bad.dcz', '-o', 'never.npz'])).toMatchObject({ code: 3 })
    }
    // Damage in two sections: both are named.
    const twice = Buffer.from(good)
    twice[good.length - 40]! ^= 1
    const [last] = JSON.parse(run(['verify', 'm.dcz', '--json', '--quiet']).out).sections.slice(-1)
    twice[good.length - 16 - last.storedBytes - 20]! ^= 1
    fs.writeFileSync(path.join(folder, 'bad.dcz'), twice)
    const both = JSON.parse(run(['verify', 'bad.dcz', '--json', '--quiet']).out)
    expect(both.sections.map((section: { ok: boolean }) => section.ok).filter((ok: boolean) => !ok).length).toBe(2)
    for (const length of [0, 7, 8, 63, 64, 100, good.length - 16, good.length - 1]) {
      fs.writeFileSync(path.join(folder, 'cut.dcz'), good.subarray(0, length))
      expect([length, run(['verify', 'cut.dcz']).code]).toEqual([length, 3])
    }
    expect(fs.existsSync(path.join(folder, 'never.npz'))).toBe(false)
  })

  it('06 never overwrites without --force', async () => {
    await archive()
    fs.writeFileSync(path.join(folder, 'mine'), 'precious')
    fs.copyFileSync(path.join(folder, 'mine'), path.join(folder, 'x.dcz'))
    fs.copyFileSync(path.join(folder, 'mine'), path.join(folder, 'x.npz'))
    for (const args of [
      ['compress', 'model.safetensors', '-o', 'x.dcz'],
      ['decompress', 'm.dcz', '-o', 'x.npz'],
    ]) {
      const file = path.join(folder, args[3]!)
      const done = run(args)
      expect([done.code, done.err]).toEqual([5, expect.stringContaining('--force')])
      expect(fs.readFileSync(file, 'utf8')).toBe('precious')
      expect(run([...args, '--force']).code).toBe(0)
      expect(fs.readFileSync(file, 'utf8')).not.toBe('precious')
    }
    expect(leftovers()).toEqual([])
  })

  it('07 goes through standard input and output', async () => {
    const file = await archive()
    const bytes = fs.readFileSync(path.join(folder, 'model.safetensors'))
    const packed = run(['compress', '-', '-o', '-', '--quiet'], bytes)
    expect(packed.code).toBe(0)
    expect(packed.bytes.equals(fs.readFileSync(file))).toBe(true)
    expect(run(['verify', '-'], packed.bytes)).toMatchObject({ code: 0 })
    expect(run(['inspect', '-', '--json'], packed.bytes)).toMatchObject({ code: 0 })
    const back = run(['decompress', '-', '-o', '-', '--format', 'npz', '--quiet'], packed.bytes)
    expect(back.code).toBe(0)
    fs.writeFileSync(path.join(folder, 'back.npz'), back.bytes)
    expect((await valuesOf(path.join(folder, 'back.npz'))).get('fc1.bias')).toEqual(weights(100, 3))
    expect(run(['decompress', '-', '-o', '-'], packed.bytes)).toMatchObject({ code: 2 })
  })

  it('08 wrong usage exits 2 and says what', async () => {
    await model()
    const cases = [
      [],
      ['compres'],
      ['compress'],
      ['compress', 'model.safetensors'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--nonsense'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--threads', '0'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--density', 'fc*=2'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--density', 'fc*=abc'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--clusters', 'fc*=0'],
      ['compress', 'model.safetensors', '-o', 'm.dcz', '--density', 'nothing-like-this=0.1'],
      ['compress', 'model.onnx', '-o', 'm.dcz'],
      ['decompress', 'm.dcz', '-o', 'out.xyz'],
      ['demo', '--net', 'resnet'],
    ]
    for (const args of cases) {
      const done = run(args)
      expect([args, done.code]).toEqual([args, 2])
      expect([args, done.err.length > 0, done.out]).toEqual([args, true, ''])
    }
    expect(fs.readdirSync(folder)).toEqual(['model.safetensors'])
  })

  it('09 a recipe file with an unknown key exits 2 and names it', async () => {
    await model()
    fs.writeFileSync(path.join(folder, 'r.json'), '{"rules":[{"match":"*","quantise":{"clusters":16}}]}')
    const done = run(['compress', 'model.safetensors', '-o', 'm.dcz', '--recipe', 'r.json'])
    expect([done.code, done.err]).toEqual([2, expect.stringContaining('quantise')])
    fs.writeFileSync(path.join(folder, 'r.json'), '{"rules":')
    expect(run(['compress', 'model.safetensors', '-o', 'm.dcz', '--recipe', 'r.json']).code).toBe(2)
    fs.writeFileSync(
      path.join(folder, 'r.json'),
      '{"rules":[{"match":"*","quantize":{"method":"kmeans","clusters":16}}]}',
    )
    const good = run(['compress', 'model.safetensors', '-o', 'm.dcz', '--recipe', 'r.json', '--json', '--quiet'])
    expect(good.code).toBe(0)
    expect(JSON.parse(good.out).layers.map((layer: { clusters: number }) => layer.clusters)).toEqual([16, 16, 16, 16])
  })

  it('10 files that are not there, folders and other files have their exit codes', async () => {
    fs.writeFileSync(
      path.join(folder, 'text.dcz'),
      'this is no archive, but it is long enough to have a preamble of 64 bytes',
    )
    fs.writeFileSync(path.join(folder, 'text.safetensors'), 'no')
    expect(run(['inspect', 'none.dcz'])).toMatchObject({ code: 5, out: '' })
    expect(run(['inspect', '.'])).toMatchObject({ code: 5, out: '' })
    expect(run(['inspect', 'text.dcz'])).toMatchObject({ code: 3, out: '' })
    expect(run(['compress', 'none.safetensors', '-o', 'm.dcz'])).toMatchObject({ code: 5, out: '' })
    expect(run(['compress', 'text.safetensors', '-o', 'm.dcz'])).toMatchObject({ code: 3, out: '' })
    await archive()
    expect(run(['decompress', 'm.dcz', '-o', 'no/such/folder/x.npz'])).toMatchObject({ code: 5, out: '' })
    const json = JSON.parse(run(['inspect', 'text.dcz', '--json']).out)
    expect(json).toMatchObject({ schemaVersion: 1, error: { code: 'ERR_DC_MAGIC' } })
  })

  it('11 names from a file cannot send control codes to the terminal', async () => {
    const header = JSON.stringify({ 'a\u001b]0;owned\u0007': { dtype: 'F32', shape: [1], data_offsets: [0, 4] } })
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    fs.writeFileSync(
      path.join(folder, 'evil.safetensors'),
      Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]),
    )
    const done = run(['compress', 'evil.safetensors', '-o', 'm.dcz'])
    expect(done.code).toBe(3)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(done.err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    expect(done.err).toContain('\\u001b')
  })

  it('12 a reader that goes away is no error', async () => {
    await archive()
    const child = spawn(process.execPath, [CLI, 'decompress', 'm.dcz', '-o', '-', '--format', 'safetensors'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let err = ''
    child.stderr.on('data', (data) => {
      err += data
    })
    child.stdout.destroy()
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect([code, err.split('\n').filter((line) => /error|EPIPE|at /i.test(line))]).toEqual([0, []])
  })

  it('13 a signal ends a run with 128 + its number, the old file and no temporary left', async () => {
    const values = Float32Array.from({ length: 1 << 22 }, (_, i) => (Math.imul(i, 0x9e3779b1) >> 8) / 2 ** 23)
    const big: TensorSource = { name: 'big', shape: [4096, 1024], load: async () => values }
    await writeModel(path.join(folder, 'big.safetensors'), 'safetensors', [big])
    fs.writeFileSync(path.join(folder, 'm.dcz'), 'old')
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      const child = spawn(process.execPath, [CLI, 'compress', 'big.safetensors', '-o', 'm.dcz', '--force'], {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      // The first line of progress: the job runs.
      await new Promise((resolve) => child.stderr.once('data', resolve))
      child.kill(signal)
      expect([
        signal,
        await new Promise((resolve) => child.on('close', (status, by) => resolve(by ?? status))),
      ]).toEqual([signal, code])
      expect(fs.readFileSync(path.join(folder, 'm.dcz'), 'utf8')).toBe('old')
      expect(leftovers()).toEqual([])
    }
  })

  it('14 the same input gives the same bytes for any number of threads, folder, time zone and locale', async () => {
    const first = fs.readFileSync(await archive())
    const environment = { ...process.env, TZ: 'Asia/Tokyo', LC_ALL: 'tr_TR.UTF-8', DEEP_COMPRESSION_THREADS: '3' }
    const done = spawnSync(
      process.execPath,
      [CLI, 'compress', path.join(folder, 'model.safetensors'), '-o', path.join(folder, 'again.dcz')],
      { cwd: '/', env: environment },
    )
    expect(done.status).toBe(0)
    expect(fs.readFileSync(path.join(folder, 'again.dcz')).equals(first)).toBe(true)
    expect(run(['compress', 'model.safetensors', '-o', 'one.dcz', '--threads', '1']).code).toBe(0)
    expect(fs.readFileSync(path.join(folder, 'one.dcz')).equals(first)).toBe(true)
  })

  it('15 a tfjs model goes through and loads again', async () => {
    const { tf } = require('../support/tfjs') as typeof import('../support/tfjs.js')
    const net = tf.sequential({
      layers: [
        tf.layers.dense({ units: 20, inputShape: [30], name: 'first' }),
        tf.layers.dense({ units: 3, name: 'second' }),
      ],
    })
    await net.save(`file://${path.join(folder, 'net')}`)
    expect(run(['compress', 'net/model.json', '-o', 'net.dcz', '--quiet'])).toMatchObject({ code: 0 })
    fs.mkdirSync(path.join(folder, 'back'))
    expect(run(['decompress', 'net.dcz', '-o', 'back/model.json', '--quiet'])).toMatchObject({ code: 0 })
    const again = await tf.loadLayersModel(`file://${path.join(folder, 'back/model.json')}`)
    const x = tf.ones([2, 30])
    const [expected, got] = [net, again].map((m) => (m.predict(x) as import('@tensorflow/tfjs').Tensor).dataSync())
    for (const [i, value] of expected!.entries()) expect(got![i]).toBeCloseTo(value, 1)
    expect(again.layers.map((layer) => layer.name)).toEqual(['first', 'second'])
  })

  it('16 progress is on stderr as plain lines, and --quiet has none', async () => {
    await model()
    const loud = run(['compress', 'model.safetensors', '-o', 'a.dcz'])
    expect([loud.code, loud.err.includes('\u001b'), loud.err.split('\n').length > 2]).toEqual([0, false, true])
    expect(run(['compress', 'model.safetensors', '-o', 'b.dcz', '--quiet']).err).toBe('')
  })

  it('17 --version and --help answer on stdout with exit 0', () => {
    expect(run(['--version'])).toMatchObject({ code: 0, out: `${require('../../package.json').version}\n` })
    for (const command of ['compress', 'decompress', 'inspect', 'verify', 'bench', 'demo']) {
      const help = run([command, '--help'])
      expect([command, help.code, help.out.startsWith(`Usage: deepcompress ${command}`)]).toEqual([command, 0, true])
    }
  })
})
