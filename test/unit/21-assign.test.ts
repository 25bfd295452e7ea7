import fc from 'fast-check'
import { assign, assignSync, expand, expandSync } from '../../src/index'

function failure(run: () => unknown) {
  try {
    run()
  } catch (error) {
    return error as { code: string; offset?: number }
  }
  throw new Error('nothing was thrown')
}

/** The largest float32 that is not above the midpoint, by stepping down from the nearest one. */
function border(a: number, b: number): number {
  const middle = (a + b) / 2
  const nearest = Float32Array.of(middle)
  if (nearest[0]! <= middle) return nearest[0]!
  const word = new Int32Array(nearest.buffer)
  if (nearest[0] === 0) return -1.401298464324817e-45
  word[0] = nearest[0]! > 0 ? word[0]! - 1 : word[0]! + 1
  return nearest[0]!
}

function nearestPlain(x: number, centroids: Float32Array): number {
  let i = 0
  while (i < centroids.length - 1 && x > border(centroids[i]!, centroids[i + 1]!)) i++
  return i
}

describe('assign', () => {
  test('1. each value gets its nearest centroid, a tie the lower one', async () => {
    const centroids = Float32Array.of(0, 1, 4)
    const codes = await assign(Float32Array.of(-3, 0.5, 0.6, 2.5, 2.6, 9, -0), centroids)
    expect(codes).toEqual(Uint8Array.of(0, 0, 1, 1, 2, 2, 0))
  })

  test('2. with a mask there is one code a kept weight, in order', async () => {
    const values = Float32Array.of(1, 7, 2, Number.NaN, -4)
    const mask = Uint32Array.of(0b10101)
    expect(await assign(values, Float32Array.of(-4, 1.2, 2), { mask })).toEqual(Uint8Array.of(1, 2, 0))
  })

  test('3. more than 256 centroids give 16-bit codes', () => {
    const centroids = Float32Array.from({ length: 300 }, (_, i) => i)
    expect(assignSync(Float32Array.of(299, 256, 12.4), centroids)).toEqual(Uint16Array.of(299, 256, 12))
  })

  test('4. an outlier of 1e38 takes nothing from the others', () => {
    const centroids = Float32Array.of(-1e38, -0.02, -0.01, 0, 0.01, 0.02, 1e38)
    const values = Float32Array.of(-3e38, -0.016, -0.014, 0.004, 0.006, 1e37, 3e38)
    expect(assignSync(values, centroids)).toEqual(Uint8Array.of(0, 1, 2, 3, 4, 5, 6))
  })

  test('5. wrong arguments are refused', async () => {
    const values = Float32Array.of(1, 2)
    const code = (centroids: unknown, options?: object) =>
      failure(() => assignSync(values, centroids as Float32Array, options)).code
    expect(code(new Float32Array(0))).toBe('ERR_DC_ARG')
    expect(code(Float32Array.of(2, 1))).toBe('ERR_DC_ARG')
    expect(code(Float32Array.of(1, Number.NaN))).toBe('ERR_DC_NONFINITE')
    expect(code([1])).toBe('ERR_DC_TYPE')
    expect(code(Float32Array.of(1), { mask: new Uint32Array(2) })).toBe('ERR_DC_ARG')
    expect(code(Float32Array.of(1), { mask: new Uint8Array(1) })).toBe('ERR_DC_TYPE')
    expect(code(Float32Array.of(1), { masks: null })).toBe('ERR_DC_ARG')
    await expect(assign(Float32Array.of(1, Infinity), Float32Array.of(1))).rejects.toMatchObject({
      code: 'ERR_DC_NONFINITE',
      offset: 1,
    })
  })

  test('6. any values and centroids: the codes are those of a plain search', () => {
    const floats = { noNaN: true, noDefaultInfinity: true } as const
    fc.assert(
      fc.property(
        fc.float32Array({ ...floats, minLength: 1, maxLength: 200 }),
        fc.float32Array({ ...floats, minLength: 1, maxLength: 60 }),
        (values, book) => {
          const centroids = book.sort()
          const expected = Array.from(values, (x) => nearestPlain(x, centroids))
          for (const threads of [1, 2]) expect(Array.from(assignSync(values, centroids, { threads }))).toEqual(expected)
        },
      ),
    )
  })
})

describe('expand', () => {
  const book = Float32Array.of(-1.5, 0.25, 8)

  test('7. codes become their centroids', async () => {
    expect(await expand(Uint8Array.of(2, 0, 1), book)).toEqual(Float32Array.of(8, -1.5, 0.25))
    expect(expandSync(Uint16Array.of(2, 0, 1), book)).toEqual(Float32Array.of(8, -1.5, 0.25))
  })

  test('8. under a mask what is not kept becomes 0', async () => {
    const mask = Uint32Array.of(0b10101)
    expect(await expand(Uint8Array.of(2, 0, 1), book, { mask, count: 5 })).toEqual(Float32Array.of(8, 0, -1.5, 0, 0.25))
  })

  test('9. a code without a centroid is refused with its index', async () => {
    await expect(expand(Uint8Array.of(2, 3, 1, 9), book)).rejects.toMatchObject({ code: 'ERR_DC_VALUE', offset: 1 })
  })

  test('10. a wrong number of codes is refused', () => {
    const mask = Uint32Array.of(0b10101)
    expect(failure(() => expandSync(Uint8Array.of(2, 0), book, { mask, count: 5 })).code).toBe('ERR_DC_ARG')
    expect(failure(() => expandSync(Uint8Array.of(2, 0), book, { count: 3 })).code).toBe('ERR_DC_ARG')
    expect(failure(() => expandSync(Uint8Array.of(2, 0), book, { mask })).code).toBe('ERR_DC_TYPE')
    expect(failure(() => expandSync(Float32Array.of(2) as unknown as Uint8Array, book)).code).toBe('ERR_DC_TYPE')
  })

  test('11. expand and assign undo each other', () => {
    const values = Float32Array.from({ length: 5000 }, (_, i) => book[(i * 7) % 3]!)
    expect(expandSync(assignSync(values, book), book)).toEqual(values)
  })
})
