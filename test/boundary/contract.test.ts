import { STATUS_NAMES } from '../../src/errors'
import { binding } from '../../src/native/binding'

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
})
