import { compress, type JobOptions, type Recipe } from '../../src/index.js'

/** 16,777,216 weights, a bell shape by a sum of hashes. */
const COUNT = 1 << 24
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

// How long a turn of the loop and an abort take is in bench/server.bench.ts: a busy machine must not fail a test.
describe('a server that compresses 16.8 million weights', () => {
  it.each(Object.entries(RECIPES))('01 takes turns of its event loop while the work goes on: %s', async (_, recipe) => {
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const archive = await compress(tensor(), recipe)
    const whileCompressing = turns
    const decoded = await archive.decode('fc6')
    clearInterval(timer)
    archive.dispose()
    expect(decoded.length).toBe(COUNT)
    expect(whileCompressing).toBeGreaterThanOrEqual(5)
  })

  // Not after so many milliseconds: a fast machine would be done, a busy one not yet begun.
  const MOMENTS: Record<string, (abort: () => void) => JobOptions> = {
    'before it starts': (abort) => {
      abort()
      return {}
    },
    'a turn of the loop later': (abort) => {
      setImmediate(abort)
      return {}
    },
    'at its first report': (abort) => ({ onProgress: abort }),
  }
  it.each(Object.entries(MOMENTS))('02 rejects with a code when it is aborted %s, and works again', async (_, plan) => {
    const controller = new AbortController()
    const job = plan(() => controller.abort(new Error('enough')))
    await expect(compress(tensor(), RECIPES.lossless, { ...job, signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
      cause: new Error('enough'),
    })
    const archive = await compress([{ name: 'b', shape: [2], values: new Float32Array(2) }])
    expect(archive.tensors.has('b')).toBe(true)
  })

  it('03 reports its progress, and an exception of the callback ends it', async () => {
    const stages = new Set<string>()
    const ended = new Set<string>()
    await compress(tensor(), RECIPES['shared among 256'], {
      onProgress: ({ stage, tensor: name, done, total }) => {
        stages.add(stage)
        if (done === total) ended.add(stage)
        expect([name === 'fc6' || name === '', done >= 0, done <= total]).toEqual([true, true, true])
      },
    })
    expect(stages.size).toBeGreaterThan(0)
    expect(ended).toEqual(stages)
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
