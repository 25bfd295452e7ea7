import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/**
 * Rows E2 and E6 of the failure list: what a valid file may cost. test/kernels/decode_cost.cpp decodes files that an attacker would
 * choose, callgrind counts their instructions (at the levels that valgrind knows: up to AVX2), and a count depends on no clock.
 */

const program = path.resolve(__dirname, '../../build-kernels/kernel_decode_cost')

function reason(): string | null {
  if (spawnSync('valgrind', ['--version']).status !== 0) return 'no valgrind here (Debian: apt-get install valgrind)'
  if (!existsSync(program)) return 'build-kernels/kernel_decode_cost is not built (npm test does)'
  return null
}

const cannot = reason()
if (cannot !== null) console.log(`test/format/cost.test.ts: skipped: ${cannot}`)

interface Cost {
  title: string
  tensors: number
  models: number
  bytes: number
  elements: number
  instructions: number
}

/** Each case twice: as it is, and of twice the size. */
function count(): [Cost, Cost][] {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-cost-'))
  const out = path.join(folder, 'out')
  const options = ['--collect-atstart=no', '--toggle-collect=measured', '--dump-after=measured']
  const done = spawnSync('valgrind', ['--tool=callgrind', ...options, `--callgrind-out-file=${out}`, program], {
    encoding: 'utf8',
  })
  if (done.status !== 0) throw new Error(`${done.signal ?? done.status}: ${done.stdout}${done.stderr}`)
  const costs = [...done.stdout.matchAll(/^cost (\S+ \S+) (\d+) (\d+) (\d+) (\d+)$/gm)].map(([, title, ...rest], i) => {
    const [tensors, models, bytes, elements] = rest.map(Number) as [number, number, number, number]
    const instructions = Number(/^summary: (\d+)/m.exec(readFileSync(`${out}.${i + 1}`, 'utf8'))![1])
    return { title: title!, tensors, models, bytes, elements, instructions }
  })
  rmSync(folder, { recursive: true })
  const half = costs.length / 2
  return costs.slice(0, half).map((once, i) => [once, costs[half + i]!])
}

/** About twice what gcc 12 makes of it. A model's table has 4,096 entries; an entry of the header is parsed and decoded by itself. */
function bound({ title, tensors, models, bytes, elements }: Cost): number {
  const each = title.startsWith('context') ? 4000 : 160
  return 20000 + 8000 * tensors + 80000 * models + 32 * bytes + each * elements
}

;(cannot === null ? describe : describe.skip)('E2, E6: what valid files cost', () => {
  let costs: [Cost, Cost][] = []
  beforeAll(() => {
    costs = count()
  }, 300000)

  test('every case was counted', () => {
    const titles = costs.map(([once]) => once.title)
    expect(titles).toEqual(costs.map(([, twice]) => twice.title))
    expect(new Set(titles).size).toBe(titles.length)
    expect(titles.length).toBeGreaterThanOrEqual(80)
    for (const [once] of costs) expect(once.instructions).toBeGreaterThan(1000)
  })

  test('at most so many instructions for each tensor, model, byte and element', () => {
    const over = costs.flat().filter((cost) => cost.instructions > bound(cost))
    expect(over).toEqual([])
  })

  test('twice the size is at most twice the work', () => {
    const over = costs.filter(([once, twice]) => twice.instructions > 2.1 * once.instructions)
    expect(over).toEqual([])
  })
})
