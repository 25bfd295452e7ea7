// npm test: everything that must hold, from a clean clone. Builds what is stale, then
//   1. the kernel tests (plain CMake, no Node header), at the machine's own levels;
//   2. jest, once at every CPU level of this machine (the slower folders only at the best one);
// and ends with one line `N passed, N failed` of what really ran. `npm test -- --quick`: the best level only.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { ADDON, buildJavaScript, buildNative } from './build.mjs'
import { root, run } from './support.mjs'

const quick = process.argv.includes('--quick')
const jestArguments = process.argv.slice(2).filter((argument) => argument !== '--quick')
const totals = { passed: 0, failed: 0, skipped: 0 }
const started = Date.now()
const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`

function kernelTests() {
  const folder = path.join(root, 'build-kernels')
  const generator = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : []
  run('cmake', ['-S', '.', '-B', folder, ...generator, '-DDC_TESTS=ON', '-DCMAKE_BUILD_TYPE=Release'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  run('cmake', ['--build', folder, '-j', '2'], { stdio: ['ignore', 'ignore', 'inherit'] })
  const done = spawnSync('ctest', ['--test-dir', folder, '--verbose'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  let programs = 0
  for (const line of done.stdout.split('\n')) {
    const counts = /^\d+: (\d+) passed, (\d+) failed$/.exec(line.trim())
    if (counts) {
      programs++
      totals.passed += Number(counts[1])
      totals.failed += Number(counts[2])
    }
    if (/FAILED|\*\*\*/.test(line)) console.log(line)
  }
  const summary = /(\d+)% tests passed, (\d+) tests failed out of (\d+)/.exec(done.stdout)
  if (!summary || programs < Number(summary[3]) || done.status !== 0) {
    if (!summary || Number(summary[2]) > 0 || programs < Number(summary?.[3])) totals.failed++
    console.log(done.stdout.slice(-3000), done.stderr.slice(-2000))
  }
  console.log(
    `kernel tests: ${programs} programs, ${totals.passed} checks passed, ${totals.failed} failed (${seconds()})`,
  )
}

function jest(level, args) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-test-'))
  const report = path.join(folder, 'report.json')
  // TensorFlow reads its own variables from the real environment, which a jest sandbox cannot change: quiet, and repeatable.
  const quietTensorFlow = { TF_CPP_MIN_LOG_LEVEL: '2', TF_ENABLE_ONEDNN_OPTS: '0' }
  const environment = { ...process.env, ...quietTensorFlow, DEEP_COMPRESSION_CPU: level }
  const done = spawnSync(
    process.execPath,
    [
      '--expose-gc',
      'node_modules/jest/bin/jest.js',
      '--json',
      `--outputFile=${report}`,
      '-w',
      '2',
      ...args,
      ...jestArguments,
    ],
    { cwd: root, env: environment, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  if (!existsSync(report)) {
    totals.failed++
    console.log(`jest at ${level}: did not run (${done.signal ?? done.status})`)
    return
  }
  const result = JSON.parse(readFileSync(report, 'utf8'))
  rmSync(folder, { recursive: true, force: true })
  totals.passed += result.numPassedTests
  totals.failed += result.numFailedTests
  totals.skipped += result.numPendingTests + result.numTodoTests
  // A file that does not even load holds no failed test of its own.
  totals.failed += result.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length
  if (done.status !== 0 && result.numFailedTests === 0 && result.numFailedTestSuites === 0) totals.failed++
  console.log(`jest at ${level}: ${result.numPassedTests} passed, ${result.numFailedTests} failed (${seconds()})`)
}

buildNative()
buildJavaScript()
run(process.execPath, ['scripts/setup-tfjs.mjs'])
kernelTests()
const levels = ['scalar', 'avx2', 'avx512']
const best = createRequire(import.meta.url)(path.join(root, ADDON)).nativeInfo().detectedCpuLevel
const here = levels.slice(0, levels.indexOf(best) + 1)
jest(best, [])
if (!quick) {
  // What depends on the instruction set; retraining, packaging and the command's tests do not.
  for (const level of here.slice(0, -1).reverse()) {
    jest(level, [
      'test/unit',
      'test/differential',
      'test/boundary',
      '--testPathIgnorePatterns',
      '70-retrain',
      '41-save',
    ])
  }
}
console.log(`skipped: ${totals.skipped}; ${seconds()}`)
console.log(`${totals.passed} passed, ${totals.failed} failed`)
process.exit(totals.failed === 0 ? 0 : 1)
