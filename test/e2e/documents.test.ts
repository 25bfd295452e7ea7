import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { EXIT } from '../../src/cli/exit-code'
import { ENTROPY_CHOICES, LAYOUT_CHOICES } from '../../src/encode/encode'
import { STATUS_NAMES } from '../../src/errors'
import * as core from '../../src/index'
import { writeModel } from '../../src/models/files'
import { MODEL_FORMATS } from '../../src/models/model'
import { KMEANS_ALGORITHMS, KMEANS_STARTS } from '../../src/quantize/kmeans'
import * as retrain from '../../src/retrain'
import { tf } from '../support/tfjs'

const root = path.resolve(__dirname, '../..')
const CLI = path.join(root, 'dist/cli.js')

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-documents-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

const read = (file: string) => fs.readFileSync(path.join(root, file), 'utf8')

/** The code blocks of a page, in order. */
function blocks(file: string, language: string): string[] {
  return [...read(file).matchAll(/^```(\w*)\n(.*?)^```/gms)].filter((m) => m[1] === language).map((m) => m[2]!)
}

/** Runs an example: what it imports and what it takes for granted are in `scope`. Answers the names it asks for. */
async function run(example: string, scope: object, wanted: readonly string[]): Promise<Record<string, unknown>> {
  const body = `${example.replace(/^import .*$/gm, '')}\nreturn { ${wanted.join(', ')} }`
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor
  // Names that the example imports or declares itself must not be parameters.
  const names = Object.keys(scope).filter((name) => !new RegExp(`const (\\{[^}]*)?\\b${name}\\b`).test(example))
  return AsyncFunction(...names, body)(...names.map((name) => (scope as Record<string, unknown>)[name]))
}

function inFolder<T>(work: () => Promise<T>): Promise<T> {
  const before = process.cwd()
  process.chdir(folder)
  return work().finally(() => process.chdir(before))
}

function pages(): string[] {
  const under = ['docs', 'native', 'test', 'bench'].flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((file) => path.join(folder, file)),
  )
  return [...fs.readdirSync(root), ...under].filter((file) => file.endsWith('.md') && !file.includes('node_modules'))
}

describe('what the pages say', () => {
  test('1. a link to a file of the repository leads to one', () => {
    const dead: string[] = []
    for (const page of pages()) {
      for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^(https?:|mailto:|#)/.test(target!)) continue
        const file = path.join(root, path.dirname(page), target!.replace(/#.*$/, ''))
        if (!fs.existsSync(file)) dead.push(`${page}: ${target}`)
      }
    }
    expect(dead).toEqual([])
  })

  test('2. files of the repository that pages name in code are there', () => {
    const dead: string[] = []
    for (const page of pages()) {
      if (page === 'CHANGELOG.md') continue // what was
      const spans = [...read(page).matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!).join('\n')
      for (const [name] of spans.matchAll(/(?<![\w./-])(?:src|native|test|bench|docs|scripts)\/[\w./-]+\.\w+/g)) {
        const places = [path.join(root, name), path.join(root, path.dirname(page), name)]
        if (!places.some((file) => fs.existsSync(file))) dead.push(`${page}: ${name}`)
      }
    }
    expect(dead).toEqual([])
  })

  test('3. npm scripts and benches that pages name exist', () => {
    const { scripts } = JSON.parse(read('package.json'))
    const dead: string[] = []
    for (const page of pages()) {
      for (const [command, script, bench] of read(page).matchAll(/npm run (\w+)(?: -- (?:<|(\w[\w-]*)))?/g)) {
        const file = script === 'bench' && bench ? `bench/${bench}.bench.ts` : null
        if (!scripts[script!] || (file && !fs.existsSync(path.join(root, file)))) dead.push(`${page}: ${command}`)
      }
    }
    expect(dead).toEqual([])
  })

  test('4. the example of the README runs', async () => {
    const [example] = blocks('README.md', 'ts')
    const weights = new Float32Array(4096 * 4096)
    for (let i = 0; i < 65_536; i++) weights[i] = Math.sin(i)
    for (let have = 65_536; have < weights.length; have *= 2) weights.copyWithin(have, 0, have)
    const { dense, back } = await inFolder(() => run(example!, { ...core, weights }, ['dense', 'back']))
    let kept = 0
    for (const value of dense as Float32Array) if (value !== 0) kept++
    expect(kept).toBe(Math.round(0.04 * 4096 * 4096))
    ;(back as core.Archive).dispose()
  })

  test('5. the commands of the README run', async () => {
    const load = (count: number) => async () => Float32Array.from({ length: count }, (_, i) => Math.sin(i))
    await writeModel(path.join(folder, 'model.safetensors'), 'safetensors', [
      { name: 'conv1', shape: [16, 16, 3, 3], load: load(2304) },
      { name: 'fc1', shape: [64, 64], load: load(4096) },
    ])
    const lines = blocks('README.md', '')
      .join('\n')
      .split(/\n| {3,}(?=deepcompress)/)
    const done = lines
      .filter((line) => /^deepcompress (compress|decompress|inspect|verify)/.test(line) && !line.includes('.net'))
      .concat(lines.filter((line) => /^deepcompress decompress/.test(line)))
      .map((line) => {
        const words = line
          .replace(/ {3,}.*$/, '')
          .trim()
          .split(' ')
          .slice(1)
        const args = words.map((word) => word.replaceAll("'", ''))
        if (args[0] === 'decompress') args.push('--force')
        return [
          args.join(' '),
          spawnSync(process.execPath, [CLI, ...args, '--quiet'], { cwd: folder, timeout: 60_000 }).status,
        ]
      })
    expect(done.length).toBeGreaterThanOrEqual(4)
    expect(done.filter(([, status]) => status !== 0)).toEqual([])
  })

  test('6. docs/reference.md has every code, exit, choice, JSON field and variable of the code, and no others', async () => {
    const page = read('docs/reference.md')
    const spans = new Set([...page.matchAll(/`([^`\n]+)`/g)].flatMap((match) => match[1]!.split(/[^\w+.-]+/)))
    const missing = (names: readonly string[]) => names.filter((name) => !spans.has(name))
    expect(missing(STATUS_NAMES.slice(1).map((name) => `ERR_DC_${name}`))).toEqual([])
    const codes = [...page.matchAll(/`ERR_DC_(\w+)`/g)].map((match) => match[1])
    expect(codes.filter((name) => !STATUS_NAMES.includes(name as never))).toEqual([])
    expect(missing([...KMEANS_ALGORITHMS, ...KMEANS_STARTS, ...LAYOUT_CHOICES, ...ENTROPY_CHOICES])).toEqual([])
    expect(missing(MODEL_FORMATS)).toEqual([])
    const exits = [...page.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap((match) => match[1]!.split(', ').map(Number))
    expect(Object.values(EXIT).filter((code) => !exits.includes(code))).toEqual([])
    const archive = await core.compress([{ name: 'w', shape: [4], values: Float32Array.of(1, 2, 3, 4) }])
    const report = archive.report()
    expect(missing([...Object.keys(report), ...Object.keys(report.layers[0]!)])).toEqual([])
    const sources = fs.readdirSync(path.join(root, 'src'), { recursive: true }) as string[]
    const variables = sources
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [...read(`src/${file}`).matchAll(/DEEP_COMPRESSION_[A-Z]+/g)].map(([name]) => name))
    expect([...new Set(variables)].sort()).toEqual([...new Set(page.match(/DEEP_COMPRESSION_[A-Z]+/g))].sort())
  })

  test('7. the examples of docs/retraining.md run', async () => {
    const examples = blocks('docs/retraining.md', 'ts').map((example) =>
      example.replace(/\b(steps|evaluateEvery|every|tries): \d+/g, '$1: 4').replace(/atLeast: [\d.]+/, 'atLeast: 2'),
    )
    const input = tf.randomNormal([64, 20], 0, 1, 'float32', 3) as import('@tensorflow/tfjs').Tensor2D
    const ys = tf.oneHot(tf.range(0, 64, 1, 'int32').mod(tf.scalar(4, 'int32')).cast('int32'), 4) as never
    const dense = (name: string, units: number, more = {}) => tf.layers.dense({ name, units, ...more })
    const model = () => {
      const layers = [dense('conv1', 16, { inputShape: [20], activation: 'relu' }), dense('fc1', 4)]
      return tf.sequential({ layers })
    }
    const loss = (labels: never, logits: never) => tf.losses.softmaxCrossEntropy(labels, logits)
    const data = { xs: input, ys }
    const w1 = tf.variable(tf.randomNormal([20, 4], 0, 1, 'float32', 4))
    const b1 = tf.variable(tf.zeros([4]))
    const w2 = tf.variable(tf.randomNormal([4, 4], 0, 1, 'float32', 5))
    const lossOf = () => loss(ys, input.matMul(w1).add(b1).matMul(w2) as never)
    const scope = {
      ...core,
      ...retrain,
      tf,
      w1,
      b1,
      lossOf,
      batch: () => 0,
      model: model(),
      data,
      loss,
      accuracy: (labels: never, logits: never) => tf.metrics.categoricalAccuracy(labels, logits).mean(),
      ...data,
      validation: data,
      writeFile: fs.promises.writeFile,
      console: { log: () => {} },
      signal: new AbortController().signal,
    }
    await inFolder(async () => {
      await run(examples[0]!, scope, [])
      expect((await w1.data()).filter((value) => value !== 0)).toHaveLength(Math.round(0.08 * 80))
      await run(examples[1]!, scope, [])
      expect(fs.existsSync('run.ckpt')).toBe(true)
      const variables = { 'ip1/kernel': w1, 'ip2/kernel': w2 }
      const training = new retrain.MaskedTraining(tf, { variables, optimizer: tf.train.sgd(0.1) })
      const plan = { budget: { steps: 10 }, loss: lossOf }
      await run(examples[2]!, { ...scope, training, plan }, [])
      await run(examples[3]!, { ...scope, model: model() }, [])
      expect(fs.existsSync('model.dcz')).toBe(true)
      expect(examples).toHaveLength(4)
    })
  })
})
