import fc from 'fast-check'
import { prune, pruneSync } from '../../src/index'
import { countKept, isKept } from '../../src/prune/mask'

const bits = (mask: Uint32Array, count: number) => Array.from({ length: count }, (_, i) => (isKept(mask, i) ? 1 : 0))

function failure(run: () => unknown) {
  try {
    run()
  } catch (error) {
    return error as { code: string; message: string; offset?: number; cause?: unknown }
  }
  throw new Error('nothing was thrown')
}

describe('prune', () => {
  // Largest first: 3, -2, 1, then the three 0.5 in order of position.
  const weights = Float32Array.of(0.5, -0.5, 0, 3, -0, -2, 0.5, 1)

  test('1. a density keeps exactly that share, the largest magnitudes, of equal ones the first', async () => {
    const pruned = await prune(weights, { density: 0.5 })
    expect(bits(pruned.mask, 8)).toEqual([1, 0, 0, 1, 0, 1, 0, 1])
    expect(pruned.kept).toBe(4)
    expect(pruned.threshold).toBe(0.5)
  })

  test('2. the number kept is density x count, rounded half up', () => {
    expect(pruneSync(weights, { density: 0.31 }).kept).toBe(2) // 2.48
    expect(pruneSync(weights, { density: 0.3125 }).kept).toBe(3) // 2.5
    expect(pruneSync(weights, { density: 0 })).toEqual({ mask: Uint32Array.of(0), kept: 0, threshold: Infinity })
  })

  test('3. zeros of either sign are never kept, whatever is asked for', () => {
    const all = pruneSync(weights, { density: 1 })
    expect(bits(all.mask, 8)).toEqual([1, 1, 0, 1, 0, 1, 1, 1])
    expect(all.kept).toBe(6)
    expect(pruneSync(weights, { threshold: 0 }).kept).toBe(6)
    expect(pruneSync(new Float32Array(70), { density: 0.5 }).kept).toBe(0)
  })

  test('4. a threshold keeps magnitudes at and above it', () => {
    expect(bits(pruneSync(weights, { threshold: 1 }).mask, 8)).toEqual([0, 0, 0, 1, 0, 1, 0, 1])
    expect(pruneSync(weights, { threshold: 1 }).threshold).toBe(1)
    // 0.1 is no float32: the float32 nearest to it is larger.
    expect(pruneSync(Float32Array.of(0.1), { threshold: 0.1 }).kept).toBe(1)
    expect(pruneSync(Float32Array.of(0.1), { threshold: 0.10000001 }).kept).toBe(0)
  })

  test('5. a factor of the standard deviation is the threshold of the paper', async () => {
    // mean 4, population variance 2; 2 x sqrt 2 = 2.83
    const pruned = await prune(Float32Array.of(2, 4, 4, 6), { stdFactor: 2 })
    expect(bits(pruned.mask, 4)).toEqual([0, 1, 1, 1])
    expect(pruned.threshold).toBeCloseTo(2.8284271247461903, 15)
  })

  test('6. an empty tensor keeps nothing', async () => {
    expect(await prune(new Float32Array(0), { density: 0.5 })).toEqual({
      mask: new Uint32Array(0),
      kept: 0,
      threshold: Infinity,
    })
    expect((await prune(new Float32Array(0), { stdFactor: 1 })).kept).toBe(0)
  })

  test('7. a NaN or an infinity is refused with its position', async () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const values = new Float32Array(100).fill(1)
      values[37] = bad
      values[99] = bad
      for (const how of [{ density: 0.5 }, { threshold: 0.5 }, { stdFactor: 1 }] as const) {
        const error = failure(() => pruneSync(values, how))
        expect(error.code).toBe('ERR_DC_NONFINITE')
        expect(error.offset).toBe(37)
        await expect(prune(values, how)).rejects.toMatchObject({ code: 'ERR_DC_NONFINITE', offset: 37 })
      }
    }
  })

  test('8. wrong options are refused', () => {
    const code = (options: unknown) => failure(() => pruneSync(weights, options as { density: number })).code
    expect(code({})).toBe('ERR_DC_ARG')
    expect(code({ density: 0.5, threshold: 1 })).toBe('ERR_DC_ARG')
    expect(code({ density: 1.5 })).toBe('ERR_DC_ARG')
    expect(code({ density: -0.1 })).toBe('ERR_DC_ARG')
    expect(code({ density: Number.NaN })).toBe('ERR_DC_ARG')
    expect(code({ density: '0.5' })).toBe('ERR_DC_TYPE')
    expect(code({ threshold: -1 })).toBe('ERR_DC_ARG')
    expect(code({ dencity: 0.5 })).toBe('ERR_DC_ARG')
    expect(failure(() => pruneSync([1, 2] as unknown as Float32Array, { density: 1 })).code).toBe('ERR_DC_TYPE')
  })

  test('9. the weights are not changed, and a view is read at its offset', () => {
    const buffer = Float32Array.of(9, 9, 0.5, -0.5, 0, 3, -0, -2, 0.5, 1)
    const before = buffer.slice()
    expect(bits(pruneSync(buffer.subarray(2), { density: 0.5 }).mask, 8)).toEqual([1, 0, 0, 1, 0, 1, 0, 1])
    expect(buffer).toEqual(before)
  })

  test('10. an aborted job rejects with the reason', async () => {
    const stopped = new AbortController()
    stopped.abort('enough')
    await expect(prune(weights, { density: 0.5 }, { signal: stopped.signal })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
      cause: 'enough',
    })
    const late = new AbortController()
    const running = prune(new Float32Array(40_000_000).fill(1), { density: 0.5 }, { signal: late.signal })
    setImmediate(() => late.abort('changed my mind'))
    await expect(running).rejects.toMatchObject({ code: 'ERR_DC_ABORTED', cause: 'changed my mind' })
  })

  test('11. a synchronous call refuses more than 64 MiB unless forced', () => {
    const large = new Float32Array(17_000_000)
    expect(failure(() => pruneSync(large, { density: 0.5 })).code).toBe('ERR_DC_TOO_LARGE')
    expect(pruneSync(large, { density: 0.5 }, { force: true }).kept).toBe(0)
  })

  test('12. any weights: what a sort would keep is kept, for every number of threads', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1, maxLength: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, density) => {
          const order = Array.from(values.keys())
            .filter((i) => values[i] !== 0)
            .sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b)
            .slice(0, Math.round(density * values.length))
          const expected = new Array(values.length).fill(0)
          for (const i of order) expected[i] = 1
          for (const threads of [1, 3]) {
            const pruned = pruneSync(values, { density }, { threads })
            expect(bits(pruned.mask, values.length)).toEqual(expected)
            expect(pruned.kept).toBe(order.length)
            expect(countKept(pruned.mask, values.length)).toBe(order.length)
          }
        },
      ),
    )
  })
})
