// Runs the peers and ours on the same arrays and writes one table into native/quantize/README.md, between its markers.
//   node bench/peers/run.mjs [--quick] [--only PATTERN] [--write]
// Makes its own Python environment, npm folder and arrays in $XDG_CACHE_HOME/deep-compression/peers; about 4 GB, once. Long: run
// it on a quiet machine. --quick leaves out what takes more than about 20 s; --only runs the cases whose name matches.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../../scripts/support.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache')
const cache = path.join(base, 'deep-compression/peers')
const python = path.join(cache, 'venv/bin/python')
const quick = process.argv.includes('--quick')
const only = process.argv.includes('--only') ? new RegExp(process.argv[process.argv.indexOf('--only') + 1]) : /./
const register = path.join(root, 'bench/support/register.cjs')

const W1 = 16_777_216
const MILLION = 1_000_000
const SMALL = 100_000

/**
 * One comparison a row: `job` and array, ours first. `slow` cases are left out by --quick. The exact solvers hold n x k tables
 * (256 MiB a cluster at 16.8 M values), hence their smaller arrays; scikit-learn's whole array takes about four minutes.
 */
const jobs = [
  {
    title: 'codes of 16.8 M weights, k = 256',
    count: W1,
    k: 256,
    ours: ['assign'],
    peers: ['torch_bucketize', 'numpy_searchsorted'],
  },
  {
    title: 'pruning at 4 % of 16.8 M weights (ours with the mask)',
    count: W1,
    k: 1,
    ours: ['prune'],
    peers: ['numpy_partition'],
  },
  {
    title: 'k-means of 16.8 M weights, k = 256',
    count: W1,
    k: 256,
    ours: ['histogram', 'optimal', 'lloyd'],
    peers: ['numpy_sorted_lloyd', 'coremltools_float16', 'sklearn_sampled', 'faiss_kmeans', 'flash1dkmeans'],
    slow: ['sklearn_kmeans'],
  },
  {
    title: 'k-means of 1 M weights, k = 256',
    count: MILLION,
    k: 256,
    ours: ['histogram', 'optimal', 'lloyd'],
    peers: ['numpy_sorted_lloyd', 'coremltools_float16', 'flash1dkmeans', 'faiss_kmeans'],
    slow: ['ckmeans', 'ckwrap', 'sklearn_kmeans'],
  },
  {
    title: 'k-means of 100,000 weights, k = 256',
    count: SMALL,
    k: 256,
    ours: ['histogram', 'optimal', 'lloyd'],
    peers: ['ckmeans', 'ckwrap', 'kmeans1d', 'simple-statistics', 'sklearn_kmeans'],
    slow: ['ml-kmeans', 'skmeans', 'ckmeans (npm)'],
  },
]
const NPM = new Set(['simple-statistics', 'ml-kmeans', 'skmeans', 'ckmeans (npm)'])

function must(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options })
  if (done.status !== 0)
    throw new Error(`${command} ${args.slice(0, 4).join(' ')}: ${done.stderr || done.error || done.signal}`)
  return done.stdout
}

function prepare() {
  mkdirSync(cache, { recursive: true })
  if (!existsSync(python)) {
    must(process.env.PYTHON || 'python3', ['-m', 'venv', path.dirname(path.dirname(python))])
    must(python, ['-m', 'pip', 'install', '-q', '-r', path.join(here, 'requirements.txt')])
  }
  if (!existsSync(path.join(cache, 'node_modules'))) {
    copyFileSync(path.join(here, 'package.json'), path.join(cache, 'package.json'))
    must('npm', ['install', '--no-audit', '--no-fund'], { cwd: cache })
  }
  const file = path.join(cache, 'a.f32')
  if (!existsSync(file)) {
    const make = `const { generate, WORKLOADS } = require('./src/bench/workload.ts')
      require('node:fs').writeFileSync(${JSON.stringify(file)}, new Uint8Array(generate(WORKLOADS.a).buffer))`
    must(process.execPath, ['-r', register, '-e', make], { cwd: root })
  }
  return file
}

/** Runs one case in a process of its own; null (with a line why) when the peer cannot do it. */
function measure(name, file, { count, k }) {
  const numbers = [count, k, 5, 30].map(String)
  const npm = NPM.has(name)
  const args = npm ? [path.join(here, 'peer.mjs'), name.replace(' (npm)', '')] : [path.join(here, 'peer.py'), name]
  const options = { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 900_000, env: { ...process.env, NODE_PEERS: cache } }
  const done = spawnSync(npm ? process.execPath : python, [...args, file, ...numbers], options)
  if (done.status === 0) return { ...JSON.parse(done.stdout.trim().split('\n').at(-1)), case: name }
  console.error(`${name}: ${(done.stderr ?? '').trim().split('\n').at(-1) || done.signal}`)
  return null
}

function measureOurs(name, file, { count, k }) {
  const args = ['-r', register, path.join(here, 'ours.ts'), name, file, ...[count, k, 9, 20].map(String)]
  const done = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28, cwd: root })
  if (done.status === 0) return { ...JSON.parse(done.stdout.trim().split('\n').at(-1)), ours: true }
  console.error(`${name}: ${/Error: .*/.exec(done.stderr)?.[0] ?? done.signal}`)
  return null
}

/** The squared errors of all rows of an array by one function. */
function score(rows, file, count) {
  const scored = rows.filter((row) => row.centres)
  if (scored.length === 0) return
  const input = scored.map(({ centres }) => `${JSON.stringify({ centres })}\n`).join('')
  const out = must(python, [path.join(here, 'peer.py'), 'score', file, String(count), '0', '0', '0'], { input })
  for (const [i, line] of out.trim().split('\n').entries()) scored[i].squaredError = JSON.parse(line)
}

const milliseconds = (ms) => (ms < 100 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en-US'))

function table(job, rows) {
  const unit = rows.find((row) => row.ours) ?? rows[0]
  const pass = rows.find((row) => row.case === 'read pass')
  const best = Math.min(...rows.map((row) => row.squaredError ?? Infinity))
  const lines = [
    '',
    `**${job.title}**`,
    '',
    '| | times ours | ms, minimum | ms, median | runs | read passes | MiB above the input | squared error above the best |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
  ]
  for (const row of rows) {
    const error = row.squaredError === undefined ? '' : `${((row.squaredError / best - 1) * 100).toFixed(4)} %`
    const extra = row.extraBytes === null ? '' : String(Math.round(row.extraBytes / 2 ** 20))
    const name = row.ours ? `**${row.case}**` : row.case
    const cells = [
      name,
      (row.minMs / unit.minMs).toFixed(row.ours ? 2 : 1),
      milliseconds(row.minMs),
      milliseconds(row.medianMs),
    ]
    lines.push(
      `| ${[...cells, row.repetitions, pass ? (row.minMs / pass.minMs).toFixed(1) : '', extra, error].join(' | ')} |`,
    )
  }
  return lines
}

function writeTable(lines) {
  const file = path.join(root, 'native/quantize/README.md')
  const marker = (which) => `<!-- peers:${which} -->`
  const before = existsSync(file) ? readFileSync(file, 'utf8') : `# quantize\n\n${marker('begin')}\n${marker('end')}\n`
  const text = before.includes(marker('begin'))
    ? before
    : `${before.trimEnd()}\n\n${marker('begin')}\n${marker('end')}\n`
  const begin = text.indexOf(marker('begin')) + marker('begin').length
  writeFileSync(file, `${text.slice(0, begin)}\n${lines.join('\n')}\n${text.slice(text.indexOf(marker('end')))}`)
}

const file = prepare()
const date = new Date().toISOString().slice(0, 10)
const lines = [
  '## Beside other packages',
  '',
  `${date}, ${os.cpus()[0].model}, ${os.availableParallelism()} cores, ours with 2 threads. Written by bench/peers/run.mjs: every`,
  'figure of a table from the same run, on the same array, each case in a process of its own; squared errors by one float64',
  'function. A case with one run was measured once. Times of ours include the codes.',
]
const results = []
for (const job of jobs) {
  const peers = [...job.peers, ...(quick ? [] : (job.slow ?? []))].filter((name) => only.test(name))
  if (peers.length === 0) continue
  const rows = [
    measureOurs('read pass', file, job),
    ...job.ours.map((name) => measureOurs(name, file, job)),
    ...peers.map((name) => measure(name, file, job)),
  ].filter(Boolean)
  // Ours once more after the peers, so that a machine that was busy at first is not held against anybody.
  const again = measureOurs(job.ours[0], file, job)
  const first = rows.find((row) => again && row.case === again.case)
  if (first) first.minMs = Math.min(first.minMs, again.minMs)
  score(rows, file, job.count)
  const order = [
    ...rows.filter((row) => row.ours && row.case !== 'read pass'),
    ...rows.filter((row) => !row.ours),
    ...rows.filter((row) => row.case === 'read pass'),
  ]
  lines.push(...table(job, order))
  results.push({ job: job.title, count: job.count, k: job.k, rows: order.map(({ centres, ...row }) => row) })
  console.log(table(job, order).join('\n'))
}
if (process.argv.includes('--write')) {
  writeTable(lines)
  mkdirSync(path.join(root, 'bench/results'), { recursive: true })
  const machine = { cpu: os.cpus()[0].model, cores: os.availableParallelism(), node: process.version }
  writeFileSync(
    path.join(root, `bench/results/${date}-peers.json`),
    `${JSON.stringify({ date, machine, results }, null, 1)}\n`,
  )
}
