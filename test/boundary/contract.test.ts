import { readFileSync } from 'node:fs'
import path from 'node:path'
import { STATUS_NAMES } from '../../src/errors'
import { kmeans1dSync } from '../../src/index'
import { binding, memoryUsage } from '../../src/native/binding'

describe('the contract of the two sides', () => {
  test('1. native statuses and error codes are the same list in the same order', () => {
    expect(binding().nativeInfo().statuses).toEqual([...STATUS_NAMES])
  })

  test('2. the level that runs is the one that was asked for, or the best of the machine', () => {
    const { cpuLevel, detectedCpuLevel } = binding().nativeInfo()
    const wanted = process.env.DEEP_COMPRESSION_CPU
    const order = ['scalar', 'avx2', 'avx512']
    const expected = wanted ? order[Math.min(order.indexOf(wanted), order.indexOf(detectedCpuLevel))] : detectedCpuLevel
    expect(cpuLevel).toBe(expected)
  })

  test('3. a raw function refuses a wrong count, kind and control block with a code', () => {
    const raw = binding() as unknown as Record<string, (...args: unknown[]) => unknown>
    expect(() => raw.readPass!()).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
    expect(() => raw.pruneBelow!([1], 0, new Uint32Array(1), new Float64Array(2), 1, new Int32Array(8), null)).toThrow(
      expect.objectContaining({ code: 'ERR_DC_TYPE' }),
    )
    expect(() =>
      raw.pruneBelow!(new Float32Array(1), 0, new Uint32Array(1), new Float64Array(2), 1, new Int32Array(2), null),
    ).toThrow(expect.objectContaining({ code: 'ERR_DC_ARG' }))
  })

  test('4. the addon has the functions of the interface, each with as many arguments, and no others', () => {
    const source = readFileSync(path.resolve(__dirname, '../../src/native/binding.ts'), 'utf8')
    const [, body] = /export interface NativeBinding \{\n(.*?)\n\}\n/s.exec(source)!
    const signatures = [...body!.matchAll(/^ {2}(\w+)\(([^)]*(?:\([^)]*\)[^)]*)*)\):/gm)]
    const raw = binding() as unknown as Record<string, (...args: unknown[]) => unknown>
    expect(signatures.map(([, name]) => name).sort()).toEqual(Object.keys(raw).sort())
    for (const [, name, list] of signatures) {
      if (!list!.includes('...run') && !list!.includes('done: Done')) continue // not a job
      const own = list!.split(',').filter((part) => part.includes(':')).length
      const count = list!.includes('...run') ? own - 1 + 3 : own
      const codeOf = (args: number) => {
        try {
          return raw[name!]!(...new Array(args).fill(undefined))
        } catch (error) {
          return (error as { code: string }).code
        }
      }
      expect([name, codeOf(count - 1), codeOf(count)]).toEqual([name, 'ERR_DC_ARG', 'ERR_DC_TYPE'])
    }
  })

  test('5. the addon counts its memory: nothing between jobs, the peak of the largest one', () => {
    const values = Float32Array.from({ length: 300_000 }, (_, i) => Math.sin(i))
    expect(memoryUsage().bytes).toBe(0)
    kmeans1dSync(values, { clusters: 64, algorithm: 'optimal' })
    const { bytes, peakBytes } = memoryUsage()
    expect(bytes).toBe(0)
    if (process.platform === 'linux') expect(peakBytes).toBeGreaterThan(300_000)
    expect(peakBytes).toBeLessThan(100 * values.byteLength)
  })
})
