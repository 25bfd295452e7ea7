import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { openArchive } from '../../src/index.js'
import { readModel, writeModel } from '../../src/models/files.js'
import type { TensorSource } from '../../src/models/model.js'
import { netValues, readNet, writeNet } from '../../src/models/net.js'
import { netLayersOfPrototxt } from '../../src/models/prototxt.js'

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
function weights(count: number, seed: number): Float32Array<ArrayBuffer> {
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
      'codeEntropyBits',
      'indexEntropyBits',
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

  it('03b inspect gives the order-0 entropy of codes and gaps beside the bits they take', async () => {
    const file = await archive('--density', 'fc*=0.08')
    expect(run(['inspect', 'm.dcz']).out).toMatch(/ code bits +bound +index bits +bound /)
    const layer = JSON.parse(run(['inspect', 'm.dcz', '--json']).out).layers.at(-1)
    const opened = await openArchive(file)
    const { codes } = await opened.decodeShared('fc1.weight')
    opened.dispose()
    const counts = new Map<number, number>()
    for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1)
    let bits = 0
    for (const n of counts.values()) bits -= n * Math.log2(n / codes.length)
    expect(codes.length).toBe(1600)
    expect(Math.abs(layer.codeEntropyBits - bits)).toBeLessThanOrEqual(1)
    expect(8 * layer.codeBytes).toBeGreaterThan(0.99 * bits)
    expect(layer.codeEntropyBits + layer.indexEntropyBits).toBe(layer.entropyBits)
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

  /** Codebooks in no order, with repeats and unused slots; fillers where none is needed; a layer that is nearly full, one without entries. */
  function netFile(): { bytes: Uint8Array; list: string } {
    const layer = (
      name: string,
      shape: number[],
      bits: 4 | 8,
      entries: [gap: number, code: number][],
      seed: number,
    ) => {
      const codebook = weights(2 ** bits, seed)
      codebook[0] = 0
      codebook[3] = codebook[1]!
      const bias = weights(shape[0]!, seed + 1)
      const [gaps, codes] = [0, 1].map((which) => Uint8Array.from(entries, (entry) => entry[which]!))
      return { name, shape, bits, codes: codes!, gaps: gaps!, codebook, bias }
    }
    const pseudo = (i: number, seed: number) => Math.imul(i + seed, 2654435761) >>> 8
    const some = (count: number, gap: number, code: number, seed: number) =>
      Array.from({ length: count }, (_, i): [number, number] => [pseudo(i, seed) % gap, pseudo(i, seed + 1) % code])
    const records = [
      layer('conv1', [8, 1, 8, 8], 8, some(480, 1, 256, 1), 11),
      layer('conv2', [16, 8, 5, 5], 8, some(400, 6, 256, 2), 12),
      layer('fc1', [64, 400], 4, some(1500, 16, 16, 3), 13),
      layer('fc2', [10, 64], 4, [], 14),
      layer(
        'fc3',
        [10, 640],
        4,
        [
          [15, 0],
          [15, 0],
          [2, 0],
          [0, 5],
          [15, 0],
        ],
        15,
      ),
    ]
    const layers = records.map(({ name, shape }) => ({ name, shape }))
    return { bytes: writeNet(records), list: JSON.stringify({ layers }) }
  }

  it('18 .net -> .dcz -> .net gives the same bytes, whatever the order of the codebooks', async () => {
    const { bytes, list } = netFile()
    fs.writeFileSync(path.join(folder, 'x.net'), bytes)
    fs.writeFileSync(path.join(folder, 'layers.json'), list)
    const made = run(['compress', 'x.net', '-o', 'x.dcz', '--layers', 'layers.json', '--json', '--quiet'])
    expect([made.code, made.err]).toEqual([0, ''])
    const { layers } = JSON.parse(made.out)
    expect(layers.map(({ name }: { name: string }) => name)).toEqual([
      ...['conv1', 'conv1.bias', 'conv2', 'conv2.bias', 'fc1', 'fc1.bias', 'fc2', 'fc2.bias', 'fc2.codebook'],
      ...['fc3', 'fc3.bias'],
    ])
    expect(run(['verify', 'x.dcz'])).toMatchObject({ code: 0 })
    const same = (name: string) => fs.readFileSync(path.join(folder, name)).equals(bytes)
    expect(run(['decompress', 'x.dcz', '-o', 'a.net', '--quiet'])).toMatchObject({ code: 0, err: '' })
    expect(same('a.net')).toBe(true)
    expect(run(['decompress', 'x.dcz', '-o', 'b.net', '--layers', 'layers.json', '--quiet'])).toMatchObject({ code: 0 })
    expect(same('b.net')).toBe(true)
    const piped = run(['compress', '-', '-o', '-', '--format', 'net', '--layers', 'layers.json', '--quiet'], bytes)
    expect(piped.bytes.equals(fs.readFileSync(path.join(folder, 'x.dcz')))).toBe(true)
    expect(run(['decompress', '-', '-o', '-', '--format', 'net', '--quiet'], piped.bytes).bytes.equals(bytes)).toBe(
      true,
    )
    // Its weights go into any other format too.
    expect(run(['decompress', 'x.dcz', '-o', 'x.safetensors', '--quiet'])).toMatchObject({ code: 0 })
    const values = await valuesOf(path.join(folder, 'x.safetensors'))
    for (const record of readNet(bytes, JSON.parse(list).layers)) {
      expect(values.get(record.name)).toEqual(netValues(record))
      expect(values.get(`${record.name}.bias`)).toEqual(record.bias)
    }
  })

  it('19 any shared model becomes a .net, with a prototxt for the layers, and comes back with the same weights', async () => {
    fs.writeFileSync(
      path.join(folder, 'deploy.prototxt'),
      `input: "data" input_dim: 1 input_dim: 8 input_dim: 3 input_dim: 3
       layer { name: "conv1" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 16 kernel_size: 3 } }
       layer { name: "fc1" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 200 } }`,
    )
    await writeModel(path.join(folder, 'm.npz'), 'npz', [
      { name: 'conv1', shape: [16, 8, 3, 3], load: async () => weights(1152, 1) },
      { name: 'fc1', shape: [200, 16], load: async () => weights(3200, 2) },
      { name: 'fc1.bias', shape: [200], load: async () => weights(200, 3) },
    ])
    const rules = [
      { match: '*bias*' },
      { match: 'conv*', prune: { density: 0.9 }, quantize: { clusters: 255 } },
      { match: '*', prune: { density: 0.1 }, quantize: { clusters: 15 } },
    ]
    fs.writeFileSync(path.join(folder, 'r.json'), JSON.stringify({ rules }))
    const steps = [
      ['compress', 'm.npz', '-o', 'm.dcz', '--recipe', 'r.json'],
      ['decompress', 'm.dcz', '-o', 'm.net', '--layers', 'deploy.prototxt'],
      ['compress', 'm.net', '-o', 'again.dcz', '--layers', 'deploy.prototxt'],
      ['decompress', 'm.dcz', '-o', 'a.npz'],
      ['decompress', 'again.dcz', '-o', 'b.npz'],
      ['decompress', 'again.dcz', '-o', 'again.net'],
      ['compress', 'm.net', '-o', 'fewer.dcz', '--layers', 'deploy.prototxt', '--clusters', 'fc*=3'],
      ['decompress', 'fewer.dcz', '-o', 'fewer.net'],
    ]
    for (const args of steps) expect([args, run([...args, '--quiet'])]).toMatchObject([args, { code: 0, err: '' }])
    const [a, b] = await Promise.all(['a.npz', 'b.npz'].map((name) => valuesOf(path.join(folder, name))))
    for (const [name, values] of a!) expect(b!.get(name)).toEqual(values)
    expect(b!.get('conv1.bias')).toEqual(new Float32Array(16))
    const bytesOf = (name: string) => fs.readFileSync(path.join(folder, name))
    expect(bytesOf('again.net').equals(bytesOf('m.net'))).toBe(true)
    const layers = netLayersOfPrototxt(fs.readFileSync(path.join(folder, 'deploy.prototxt'), 'utf8'))
    expect(new Set(netValues(readNet(bytesOf('fewer.net'), layers)[1]!)).size).toBe(4) // 3 and zero
  })

  it('20 what a .net cannot hold, and what its layers do not say, is refused with a code', async () => {
    const { bytes, list } = netFile()
    const put = (name: string, what: string | Uint8Array) => fs.writeFileSync(path.join(folder, name), what)
    put('x.net', bytes)
    put('short.net', bytes.subarray(0, -1))
    put('layers.json', list)
    put('fewer.json', JSON.stringify({ layers: JSON.parse(list).layers.slice(1) }))
    put('bits.json', '{"layers":[{"name":"a","shape":[1],"bits":5}]}')
    put('none.json', '{"layers":[{"name":"nowhere","shape":[1]}]}')
    put(
      'train.prototxt',
      'layer { name: "fc" type: "InnerProduct" bottom: "data" inner_product_param { num_output: 1 } }',
    )
    put('shape.json', '{"layers":[{"name":"fc1.weight","shape":[200,100]}]}')
    put('wide.json', '{"layers":[{"name":"fc1.weight","shape":[100,200]}]}')
    await archive()
    const refused = (code: number, error: string, args: string[]) => {
      const done = run([...args, '--json', '--quiet'])
      expect([args, done.code, JSON.parse(done.out).error.code]).toEqual([args, code, error])
      expect(leftovers()).toEqual([])
    }
    refused(2, 'ERR_DC_ARG', ['compress', 'x.net', '-o', 'o.dcz'])
    refused(2, 'ERR_DC_ARG', ['compress', 'model.safetensors', '-o', 'o.dcz', '--layers', 'layers.json'])
    for (const layers of ['bits.json', 'train.prototxt', 'x.net']) {
      refused(2, 'ERR_DC_ARG', ['compress', 'x.net', '-o', 'o.dcz', '--layers', layers])
    }
    refused(5, 'ERR_DC_IO', ['compress', 'x.net', '-o', 'o.dcz', '--layers', 'missing.json'])
    refused(3, 'ERR_DC_TRUNCATED', ['compress', 'short.net', '-o', 'o.dcz', '--layers', 'layers.json'])
    refused(3, 'ERR_DC_INDEX', ['compress', 'x.net', '-o', 'o.dcz', '--layers', 'none.json'])
    refused(2, 'ERR_DC_ARG', ['decompress', 'm.dcz', '-o', 'o.net'])
    for (const layers of ['none.json', 'shape.json']) {
      refused(2, 'ERR_DC_ARG', ['decompress', 'm.dcz', '-o', 'o.net', '--layers', layers])
    }
    // 256 shared values do not fit 4-bit codes.
    refused(3, 'ERR_DC_VALUE', ['decompress', 'm.dcz', '-o', 'o.net', '--layers', 'wide.json'])
    expect(run(['compress', 'x.net', '-o', 'x.dcz', '--layers', 'layers.json', '--quiet'])).toMatchObject({ code: 0 })
    // A layer that the list leaves out would be lost.
    refused(2, 'ERR_DC_ARG', ['decompress', 'x.dcz', '-o', 'o.net', '--layers', 'fewer.json'])
    expect(fs.existsSync(path.join(folder, 'o.net'))).toBe(false)
  })

  it('21 wrong usage with --json is an object on stdout too, and the words for people stay on stderr', () => {
    const done = run(['compress', 'model.safetensors', '--json'])
    expect(done.code).toBe(2)
    const { error, schemaVersion } = JSON.parse(done.out)
    expect([schemaVersion, error.code]).toEqual([1, 'ERR_DC_ARG'])
    expect(error.message).toMatch(/^required option '-o, --output <file>' not specified/)
    expect(done.err).toMatch(/^error: required option/)
    expect(run(['compress', 'model.safetensors']).out).toBe('')
    expect(JSON.parse(run(['nothing', '--json']).out).error.message).toMatch(/unknown command/)
  })

  it('22 a section is named once, and one tensor is a tensor', async () => {
    fs.writeFileSync(path.join(folder, 'x.dcz'), 'no archive, whatever its name says')
    expect(run(['verify', 'x.dcz']).out).toMatch(/^x\.dcz: damaged: preamble: this is not/)
    await writeModel(path.join(folder, 'one.npy'), 'npy', [TENSORS[2]!])
    expect(run(['compress', 'one.npy', '-o', 'one.dcz', '--quiet']).code).toBe(0)
    expect(run(['decompress', 'one.dcz', '-o', 'back.npy', '--quiet']).out).toBe('back.npy: 1 tensor, 100 weights\n')
  })

  it('23 nativeInfo says whether DEEP_COMPRESSION_CPU was understood', () => {
    const code = `console.log(JSON.stringify(require(${JSON.stringify(path.dirname(CLI))}).nativeInfo()))`
    const info = (level: string) => {
      const env = { ...process.env, DEEP_COMPRESSION_CPU: level }
      return JSON.parse(spawnSync(process.execPath, ['-e', code], { env }).stdout.toString())
    }
    expect(info('AVX2').reason).toMatch(/; DEEP_COMPRESSION_CPU is none of scalar, avx2, avx512$/)
    expect(info('scalar').isa).toBe('scalar')
    expect(info('').reason).toBe('the best level of this processor')
  })
})
