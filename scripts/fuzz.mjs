// npm run fuzz -- <seconds> [target...]: builds the libFuzzer targets (clang, ASan + UBSan; without a clang that has libFuzzer, g++ and
// a blind driver of our own, test/support/fuzz_main.cpp, and it says so) and runs each for that many seconds from the
// committed corpus; new inputs go to a temporary folder. The target `file` runs twice: in the production build, where its mutator makes
// checksums right again, and in a build that does not compare them. `differential` (test/fuzz/differential.mjs: native against
// TypeScript, in Node) comes last: it also reads every file that the two runs of `file` found worth keeping. Ends with the executions of each target and `N findings`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildJavaScript, buildNative } from './build.mjs'
import { cmake, root } from './support.mjs'

const [seconds = '20', ...wanted] = process.argv.slice(2)
if (!(Number(seconds) > 0)) {
  console.error('usage: npm run fuzz -- <seconds> [target...]')
  process.exit(2)
}
// A clang without its runtime package compiles but does not link.
const linksFuzzer = (name) => {
  const probe = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-probe-'))
  const source = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
  const flags = ['-fsanitize=fuzzer,address,undefined', '-x', 'c++', '-', '-o', path.join(probe, 'probe')]
  const linked = spawnSync(name, flags, { input: source }).status === 0
  rmSync(probe, { recursive: true, force: true })
  return linked
}
const clang = ['clang++', 'clang++-19', 'clang++-14'].find(linksFuzzer)
const compiler = clang ?? 'g++'
if (!clang) {
  console.log(
    'no clang with libFuzzer here (Debian: apt-get install clang-14 libclang-rt-14-dev): replaying the corpus and mutating blindly',
  )
}

const OPTIONS = ['-DDC_FUZZ=ON', '-DDC_SANITIZE=address,undefined', '-DCMAKE_BUILD_TYPE=RelWithDebInfo']
const plainFolder = clang ? 'build-fuzz' : 'build-fuzz-gcc'
const openFolder = `${plainFolder}-open`
const all = readdirSync(path.join(root, 'test/fuzz'))
  .filter((name) => name.endsWith('.cpp'))
  .map((name) => name.slice(0, -4))
const targets = all.filter((name) => wanted.length === 0 || wanted.includes(name))
const differential = wanted.length === 0 || wanted.includes('differential')
const unknown = wanted.filter((name) => name !== 'differential' && !all.includes(name))
if (unknown.length > 0) {
  console.error(`no target ${unknown.join(', ')}; there are ${all.join(', ')}, differential`)
  process.exit(2)
}
/** Files of up to 512 bytes run six times as often a second, and hold every structure there is: they get most of the time. */
const lengths = (target) =>
  target === 'file'
    ? [
        { most: 512, share: 0.75, label: ', up to 512 bytes' },
        { most: 8192, share: 0.25, label: ', up to 8192 bytes' },
      ]
    : [{ most: target === 'table' ? 258 : 8192, share: 1, label: '' }] // a table has 2 bytes and 256 lengths
const runsOf = (target, folder) => lengths(target).map((length) => ({ target, folder, ...length }))
const runs = targets.flatMap((target) => runsOf(target, plainFolder))
if (targets.length > 0) cmake(plainFolder, compiler, OPTIONS)
if (targets.includes('file')) {
  cmake(openFolder, compiler, [...OPTIONS, '-DDC_FUZZ_NO_CHECKSUMS=ON'])
  runs.push(...runsOf('file', openFolder))
}

// A quarantine of 256 MiB that no cache holds is a tenth of the time; inputs are small, so is what they free.
const ASAN_OPTIONS = process.env.ASAN_OPTIONS ?? 'quarantine_size_mb=16'
let executions = 0
let findings = 0
/** What the runs of `file` added to their corpora. */
const found = []
for (const { target, folder, most, share, label } of runs) {
  const fresh = mkdtempSync(path.join(os.tmpdir(), `deep-compression-fuzz-${target}-`))
  const corpus = path.join(root, 'test/fuzz/corpus', target)
  mkdirSync(path.join(fresh, 'new'))
  const flags = [
    `-max_len=${most}`,
    `-max_total_time=${Math.max(1, Math.round(share * seconds))}`,
    '-print_final_stats=1',
    '-timeout=60',
    '-rss_limit_mb=1024',
  ]
  const seeds = [
    path.join(fresh, 'new'),
    corpus,
    ...(target === 'file' ? [path.join(root, 'test/format/golden/1.0')] : []),
  ]
  if (target === 'file') found.push(path.join(fresh, 'new'))
  const done = spawnSync(
    path.join(root, folder, `fuzz_${target}`),
    [...flags, `-artifact_prefix=${fresh}/`, ...seeds.filter((seed) => existsSync(seed))],
    { encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, ASAN_OPTIONS } },
  )
  report(`${target}${label}${folder === openFolder ? ' (checksums off)' : ''}`, done, fresh)
}
if (differential) {
  buildNative()
  buildJavaScript()
  const fresh = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-fuzz-differential-'))
  const script = path.join(root, 'test/fuzz/differential.mjs')
  const done = spawnSync(process.execPath, [script, seconds, fresh, ...found], { encoding: 'utf8', maxBuffer: 1 << 28 })
  report('differential', done, fresh)
}

function report(name, done, fresh) {
  const count = Number(/number_of_executed_units: (\d+)/.exec(done.stderr)?.[1] ?? 0)
  executions += count
  if (done.status !== 0 || count === 0) {
    findings++
    console.log(done.stderr.slice(-4000))
  }
  const state = done.status === 0 ? 'nothing found' : `FOUND, see ${fresh}`
  console.log(`${name}: ${count} executions, ${state}`)
}
console.log(`${executions} executions, ${findings} findings`)
process.exit(findings === 0 ? 0 : 1)
