// npm run coverage: how much of the decoder and the validator the tests reach. Fails under 100 % of lines or branches.
//   native      clang source-based coverage of native/decode, the reader side of native/container and what they stand on, by the
//               kernel tests (they go through every level of this machine) and by the committed fuzz corpora under the replay driver;
//               MC/DC as a figure where the clang has it (18 and later; Debian: apt-get install clang-19 llvm-19 libclang-rt-19-dev).
//               Levels that this machine lacks are not demanded, and it says so.
//   TypeScript  V8's coverage of src/decode/plain and src/container/{reader,layout,limits,crc32c}.ts by jest.
// The body of a constructor that says `// coverage: run by the compiler` is left out: it has no machine code. Nothing else can be.
// `npm run coverage -- native` or `-- typescript` for one half.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildJavaScript, buildNative } from './build.mjs'
import { cmake, root, run } from './support.mjs'

const halves = process.argv.slice(2)
if (halves.some((half) => half !== 'native' && half !== 'typescript')) {
  console.error('usage: npm run coverage [-- native|typescript]')
  process.exit(2)
}
const wanted = (half) => halves.length === 0 || halves.includes(half)
const scratch = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-coverage-'))
let short = 0

/** Lines of constexpr constructors that say so: from the mark to the closing brace in the same column. */
function compilerOnly(file) {
  const lines = readFileSync(path.join(root, file), 'utf8').split('\n')
  const found = new Set()
  for (const [i, line] of lines.entries()) {
    if (!/constexpr .*coverage: run by the compiler/.test(line)) continue
    const indent = /^ */.exec(line)[0]
    for (let at = i; at < lines.length; at++) {
      found.add(at + 1)
      if (lines[at] === `${indent}}`) break
    }
  }
  return found
}

const percent = ([covered, total]) => (total === 0 ? '    -' : `${((100 * covered) / total).toFixed(1)} %`.padStart(7))
const add = (sum, [covered, total]) => [sum[0] + covered, sum[1] + total]

/** Prints one table. `files`: [{ name, lines: Map line -> hit, branches: [{ line, column, side, hit }], mcdc: [covered, total] }]. */
function report(files, withMcdc) {
  let lineSum = [0, 0]
  let branchSum = [0, 0]
  let mcdcSum = [0, 0]
  const missing = []
  console.log(`${'file'.padEnd(38)}     lines         branches${withMcdc ? '         MC/DC' : ''}`)
  for (const file of files) {
    const skipped = compilerOnly(file.name)
    const line = [0, 0]
    for (const [number, hit] of file.lines) {
      if (skipped.has(number)) continue
      line[1]++
      if (hit) line[0]++
      else missing.push(`${file.name}:${number}: line not reached`)
    }
    const branch = [0, 0]
    for (const { line: number, column, side, hit } of file.branches) {
      if (skipped.has(number)) continue
      branch[1]++
      if (hit) branch[0]++
      else missing.push(`${file.name}:${number}:${column}: ${side}`)
    }
    const mcdc = withMcdc ? `  ${percent(file.mcdc)} of ${String(file.mcdc[1]).padStart(4)}` : ''
    console.log(
      `${file.name.padEnd(38)} ${percent(line)} of ${String(line[1]).padStart(4)}  ${percent(branch)} of ${String(branch[1]).padStart(4)}${mcdc}`,
    )
    lineSum = add(lineSum, line)
    branchSum = add(branchSum, branch)
    mcdcSum = add(mcdcSum, file.mcdc ?? [0, 0])
  }
  const total = `lines ${percent(lineSum).trim()} (${lineSum.join(' of ')}), branches ${percent(branchSum).trim()} (${branchSum.join(' of ')})`
  console.log(withMcdc ? `${total}, MC/DC ${percent(mcdcSum).trim()} (${mcdcSum.join(' of ')})` : total)
  for (const file of files) for (const at of file.open ?? []) console.log(`no MC/DC pair: ${file.name}:${at}`)
  for (const text of missing) console.log(`MISSING ${text}`)
  short += missing.length
}

/** A clang that makes programs with counters, and the LLVM tools of its version. Ends this process where there is none. */
function toolchain() {
  const reasons = []
  for (const clang of ['clang++-19', 'clang++-18', 'clang++', 'clang++-14']) {
    const said = spawnSync(clang, ['--version'], { encoding: 'utf8' })
    if (said.status !== 0) continue
    const version = Number(/version (\d+)/.exec(said.stdout)[1])
    const tool = (name) =>
      [`${name}-${version}`, name].find((command) => {
        const answer = spawnSync(command, ['--version'], { encoding: 'utf8' })
        return answer.status === 0 && Number(/version (\d+)/.exec(answer.stdout)?.[1]) === version
      })
    const tools = { profdata: tool('llvm-profdata'), cov: tool('llvm-cov') }
    const flags = ['-std=c++17', '-fprofile-instr-generate', '-fcoverage-mapping', '-I', path.join(root, 'native')]
    // Links the counters' runtime, and says the best level of this machine as the library sees it.
    const probe = path.join(scratch, `probe-${version}`)
    const source = `#include <cstdio>
      #include "base/cpu.h"
      int main() { std::puts(dc::cpu_level_name(dc::detected_cpu_level())); }`
    const made = spawnSync(clang, [...flags, '-x', 'c++', '-', path.join(root, 'native/base/cpu.cpp'), '-o', probe], {
      input: source,
      encoding: 'utf8',
    })
    const env = { ...process.env, LLVM_PROFILE_FILE: '/dev/null' }
    const level = made.status === 0 ? spawnSync(probe, { encoding: 'utf8', env }).stdout.trim() : undefined
    if (level && tools.profdata && tools.cov) return { clang, version, level, ...tools }
    const lacks = [
      ...(level ? [] : [`cannot link programs with counters (libclang-rt-${version}-dev)`]),
      ...(tools.profdata && tools.cov ? [] : [`has no llvm-profdata and llvm-cov of its version (llvm-${version})`]),
    ]
    reasons.push(`${clang} ${lacks.join(' and ')}`)
  }
  const found = reasons.length > 0 ? reasons.join('; ') : 'no clang here'
  console.error(`native coverage: ${found}. Debian: apt-get install clang-19 llvm-19 libclang-rt-19-dev`)
  rmSync(scratch, { recursive: true, force: true })
  process.exit(1)
}

const LEVELS = ['scalar', 'avx2', 'avx512']

/**
 * Lines that only a level can reach which this machine lacks: what stands between `#if DC_X86` and its `#else` or `#endif`, where no test
 * reached it, and the files of that level. Empty on a machine that has every level.
 */
function missingLevels(level) {
  const missing = LEVELS.slice(LEVELS.indexOf(level) + 1)
  const isMissing = (name) => missing.some((one) => name.endsWith(`_${one}.h`))
  const ladder = (name) => {
    const lines = new Set()
    if (missing.length === 0) return lines
    let within = false
    for (const [i, line] of readFileSync(path.join(root, name), 'utf8').split('\n').entries()) {
      if (/^#if DC_X86/.test(line)) within = true
      else if (/^#(else|endif)/.test(line)) within = false
      else if (within) lines.add(i + 1)
    }
    return lines
  }
  return { missing, isMissing, ladder }
}

const SUBJECT =
  /^native\/(decode\/.*\.(cpp|h)|container\/(codebook|crc32c|descriptor|reader|layout)\.(cpp|h)|base\/(bits|checked|canonical_code|context_model)\.(h|cpp))$/

function nativeCoverage() {
  const { clang, version, level, profdata, cov } = toolchain()
  const { missing, isMissing, ladder } = missingLevels(level)
  const mcdc = version >= 18
  const folder = `build-coverage-${version}`
  const named = (place, prefix) =>
    readdirSync(path.join(root, place))
      .filter(
        (name) => name.endsWith('.cpp') && /^(base|container|decode|encode|block|file|gaps|stream|table)/.test(name),
      )
      .map((name) => prefix + name.slice(0, -4))
  const kernels = named('test/kernels', 'kernel_')
  const fuzzers = named('test/fuzz', 'fuzz_')
  const options = [
    '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
    `-DDC_COVERAGE=${mcdc ? 'mcdc' : 'branches'}`,
    '-DDC_TESTS=ON',
    '-DDC_FUZZ=ON',
  ]
  cmake(folder, clang, options, [...kernels, ...fuzzers])
  for (const program of [...kernels, ...fuzzers]) {
    const corpus = `test/fuzz/corpus/${program.slice('fuzz_'.length)}`
    const done = spawnSync(
      path.join(root, folder, program),
      program.startsWith('fuzz_') ? ['-max_total_time=0', corpus] : [],
      {
        cwd: root,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        env: { ...process.env, LLVM_PROFILE_FILE: path.join(scratch, `${program}.profraw`) },
      },
    )
    if (done.status !== 0) {
      console.error(
        `${program}: ${done.signal ?? `exit ${done.status}`}\n${done.stdout.slice(-2000)}${done.stderr.slice(-2000)}`,
      )
      process.exit(1)
    }
  }
  const profile = path.join(scratch, 'all.profdata')
  const raw = readdirSync(scratch)
    .filter((name) => name.endsWith('.profraw'))
    .map((name) => path.join(scratch, name))
  run(profdata, ['merge', '-sparse', ...raw, '-o', profile])
  const binaries = [...kernels, ...fuzzers].flatMap((name, i) => [...(i ? ['-object'] : []), path.join(folder, name)])
  const exported = (format) => {
    const done = spawnSync(
      cov,
      [
        'export',
        `-format=${format}`,
        `-instr-profile=${profile}`,
        ...binaries,
        'native/decode',
        'native/container',
        'native/base',
      ],
      { cwd: root, encoding: 'utf8', maxBuffer: 1 << 30 },
    )
    if (done.status !== 0) {
      console.error(done.stderr.slice(-3000))
      process.exit(1)
    }
    return done.stdout
  }
  const lines = new Map()
  let current
  for (const line of exported('lcov').split('\n')) {
    if (line.startsWith('SF:')) {
      current = new Map()
      lines.set(path.relative(root, line.slice(3)), current)
    }
    const hit = /^DA:(\d+),(\d+)/.exec(line)
    if (hit) current.set(Number(hit[1]), hit[2] !== '0')
  }
  const files = JSON.parse(exported('text'))
    .data[0].files.map((file) => {
      const name = path.relative(root, file.filename)
      // One branch for each place: a template's instantiations count together.
      const places = new Map()
      for (const [line, column, , , taken, passed] of file.branches ?? []) {
        const place = places.get(`${line}:${column}`) ?? { line, column, taken: 0, passed: 0 }
        place.taken += taken
        place.passed += passed
        places.set(`${line}:${column}`, place)
      }
      const branches = [...places.values()].flatMap(({ line, column, taken, passed }) => [
        { line, column, side: 'never true', hit: taken > 0 },
        { line, column, side: 'never false', hit: passed > 0 },
      ])
      // A condition counts when one instantiation shows that it decides alone.
      const decisions = new Map()
      for (const record of file.mcdc_records ?? []) {
        const shown = record.at(-1)
        const before = decisions.get(`${record[0]}:${record[1]}`)
        decisions.set(`${record[0]}:${record[1]}`, before ? shown.map((one, i) => one || before[i]) : shown)
      }
      const conditions = [...decisions.values()].flat()
      const mcdc = [conditions.filter(Boolean).length, conditions.length]
      const open = [...decisions].flatMap(([at, shown]) =>
        shown.flatMap((one, i) => (one ? [] : [`${at}, condition ${i + 1}`])),
      )
      return { name, lines: lines.get(name) ?? new Map(), branches, mcdc, open }
    })
    .filter((file) => SUBJECT.test(file.name) && file.lines.size > 0 && !isMissing(file.name))
  let notDemanded = 0
  for (const file of files) {
    const only = ladder(file.name)
    const demanded = ({ line, hit }) => hit || !only.has(line)
    for (const [line, hit] of [...file.lines]) {
      if (demanded({ line, hit })) continue
      file.lines.delete(line)
      notDemanded++
    }
    const branches = file.branches.filter(demanded)
    notDemanded += file.branches.length - branches.length
    file.branches = branches
  }
  console.log(`native decoder and validator (${clang}, ${raw.length} programs, levels up to ${level})`)
  if (missing.length > 0) {
    const files = missing.map((one) => `*_${one}.h`).join(', ')
    console.log(
      `this machine lacks ${missing.join(', ')}: ${files} and ${notDemanded} lines and branches are not demanded`,
    )
  }
  report(files, mcdc)
}

const TYPESCRIPT = ['src/decode/plain/**/*.ts', 'src/container/{reader,layout,limits,crc32c}.ts']
const TESTS = [
  'test/format',
  'test/differential',
  'test/unit/40-container',
  'test/unit/50-decode',
  'test/unit/55-typescript',
]

function typescriptCoverage() {
  buildNative()
  buildJavaScript()
  const folder = path.join(scratch, 'jest')
  mkdirSync(folder)
  run(
    process.execPath,
    [
      '--expose-gc',
      'node_modules/jest/bin/jest.js',
      '--coverage',
      '--coverageProvider=v8',
      '--coverageReporters=json',
      `--coverageDirectory=${folder}`,
      ...TYPESCRIPT.flatMap((pattern) => ['--collectCoverageFrom', pattern]),
      '-w',
      '2',
      '--silent',
      ...TESTS,
    ],
    { stdio: ['ignore', 'ignore', process.env.DC_COVERAGE_VERBOSE ? 'inherit' : 'ignore'] },
  )
  const found = JSON.parse(readFileSync(path.join(folder, 'coverage-final.json'), 'utf8'))
  const files = Object.values(found).map((file) => {
    const lines = new Map()
    for (const [key, place] of Object.entries(file.statementMap)) {
      for (let line = place.start.line; line <= place.end.line; line++)
        lines.set(line, file.s[key] > 0 && lines.get(line) !== false)
    }
    const branches = Object.entries(file.branchMap).flatMap(([key, branch]) =>
      branch.locations.map((place, i) => ({
        line: place.start.line ?? branch.loc.start.line,
        column: place.start.column ?? branch.loc.start.column,
        side: `${branch.type} never taken`,
        hit: file.b[key][i] > 0,
      })),
    )
    return { name: path.relative(root, file.path), lines, branches }
  })
  console.log('TypeScript decoder and validator (V8 coverage)')
  report(files, false)
}

if (wanted('native')) nativeCoverage()
if (wanted('typescript')) typescriptCoverage()
rmSync(scratch, { recursive: true, force: true })
console.log(short === 0 ? 'all lines and branches reached' : `${short} lines and branches not reached`)
process.exit(short === 0 ? 0 : 1)
