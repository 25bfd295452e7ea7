import { monitorEventLoopDelay } from 'node:perf_hooks'
import { compress, type Recipe } from '../../src/index.js'

/** 16,777,216 weights, a bell shape by a sum of hashes. */
const COUNT = 1 << 24
const LOOP_DELAY_MS = 20
const values = new Float32Array(COUNT)
for (let i = 0; i < COUNT; i++) {
  const a = Math.imul(i, 0x9e3779b1)
  const b = Math.imul(i ^ 0x5bd1e995, 0x85ebca6b)
  values[i] = ((a >> 8) + (b >> 8) + (Math.imul(a ^ b, 0xc2b2ae35) >> 8)) / 2 ** 25
}
const tensor = () => [{ name: 'fc6', shape: [4096, 4096], values }]

const RECIPES: Record<string, Recipe> = {
  'pruned to 4 % and shared': { rules: [{ match: '*', prune: { density: 0.04 }, quantize: { clusters: 32 } }] },
  'shared among 256': { rules: [{ match: '*', quantize: { clusters: 256 } }] },
  lossless: { rules: [] },
  'pruned, lossless': { rules: [{ match: '*', prune: { density: 0.5 } }] },
}

describe('a server that compresses 16.8 million weights', () => {
  it.each(Object.entries(RECIPES))('01 keeps its event loop free: %s', async (_, recipe) => {
    // Other processes delay a loop too: the best of some rounds is what our own work costs.
    let best = Number.POSITIVE_INFINITY
    for (let round = 0; round < 8 && best >= LOOP_DELAY_MS; round++) {
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      const archive = await compress(tensor(), recipe)
      const decoded = await archive.decode('fc6')
      await archive.toBytes()
      delay.disable()
      expect(decoded.length).toBe(COUNT)
      best = Math.min(best, delay.percentile(99) / 1e6)
      archive.dispose()
    }
    expect(best).toBeLessThan(LOOP_DELAY_MS)
  })

  it.each([0, 20, 60, 150, 300])('02 aborts within 50 ms, after %d ms', async (after) => {
    for (const recipe of Object.values(RECIPES)) {
      const controller = new AbortController()
      let abortedAt = 0
      setTimeout(() => {
        abortedAt = performance.now()
        controller.abort()
      }, after)
      const error = await compress(tensor(), recipe, { signal: controller.signal }).then(
        () => null,
        (reason) => reason,
      )
      if (error === null) continue // it was quicker
      expect(error.code).toBe('ERR_DC_ABORTED')
      expect(performance.now() - abortedAt).toBeLessThan(50)
    }
  })

  it('03 reports its progress, and an exception of the callback ends it', async () => {
    const stages = new Set<string>()
    await compress(tensor(), RECIPES['shared among 256'], {
      onProgress: ({ stage, tensor: name, done, total }) => {
        stages.add(stage)
        expect([name === 'fc6' || name === '', done >= 0, done <= total]).toEqual([true, true, true])
      },
    })
    expect(stages.size).toBeGreaterThan(0)
    const thrown = new Error('enough')
    await expect(
      compress(tensor(), RECIPES['shared among 256'], {
        onProgress: () => {
          throw thrown
        },
      }),
    ).rejects.toBe(thrown)
  })
})
