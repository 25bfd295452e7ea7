import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { generate } from '../../src/bench/workload'
import { type Archive, compress, openArchive, type Recipe, type WeightTensor } from '../../src/index.js'
import { checkRecipe } from '../../src/recipe.js'

const tensor = (name: string, shape: number[], values: number[] | Float32Array): WeightTensor => ({
  name,
  shape,
  values: Float32Array.from(values),
})

/** Weights of a bell shape, the same everywhere. */
function weights(count: number, seed: number): Float32Array {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) / 2 ** 24
  }
  return Float32Array.from({ length: count }, () => 0.1 * (next() + next() + next() + next() - 2))
}

const SHARED: Recipe = { rules: [{ match: '*', quantize: { clusters: 16 } }] }

describe('compress', () => {
  it('01 stores losslessly what no rule quantizes', async () => {
    const values = weights(5000, 1)
    using archive = await compress([tensor('w', [50, 100], values)], { rules: [] })
    expect(await archive.decode('w')).toEqual(values)
    expect(archive.tensors.get('w')).toMatchObject({ shape: [50, 100], layout: 'raw', clusters: 0 })
  })

  it('01b says of each tensor its density and the bits a weight takes in the file', async () => {
    const rules = [{ match: 'w', prune: { density: 0.25 }, quantize: { clusters: 16 } }]
    using archive = await compress([tensor('w', [100, 100], weights(10_000, 3)), tensor('none', [0], [])], { rules })
    const { density, bits, storedBytes } = archive.tensors.get('w')!
    expect([density, bits]).toEqual([0.25, (8 * storedBytes) / 10_000])
    expect(bits).toBeLessThan(2.5)
    expect(archive.tensors.get('none')).toMatchObject({ density: 0, bits: 0, elements: 0 })
    expect(archive.tensors).toBe(archive.tensors)
  })

  it('02 keeps exactly the asked share, the largest weights, each at one of the shared values', async () => {
    const values = weights(10_000, 2)
    const recipe: Recipe = { rules: [{ match: '*', prune: { density: 0.08 }, quantize: { clusters: 8 } }] }
    using archive = await compress([tensor('w', [100, 100], values)], recipe)
    const decoded = await archive.decode('w')
    const kept = [...decoded.keys()].filter((i) => decoded[i] !== 0)
    expect(kept.length).toBe(800)
    const smallest = Math.min(...kept.map((i) => Math.abs(values[i]!)))
    const largestGone = Math.max(...[...values.keys()].filter((i) => decoded[i] === 0).map((i) => Math.abs(values[i]!)))
    expect(smallest).toBeGreaterThanOrEqual(largestGone)
    expect(new Set(decoded).size).toBe(9)
    expect(archive.report().layers[0]).toMatchObject({ weights: 10_000, kept: 800, clusters: 8 })
  })

  it('03 stores weights of few distinct values exactly, zeros as zeros', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0, 0.5, -1, 2, 1e-40, -3e38, 7, 0.1), { maxLength: 400 }),
        async (list) => {
          const values = Float32Array.from(list)
          using archive = await compress([tensor('w', [list.length], values)], SHARED)
          expect(await archive.decode('w')).toEqual(values)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('04 any shape, zero dimensions and scalars included, comes back', async () => {
    const tensors = [
      tensor('scalar', [], [3]),
      tensor('none', [0, 5], []),
      tensor('__proto__', [2, 1, 2], [1, 2, 3, 4]),
      tensor('all zero', [300], new Float32Array(300)),
      tensor('../x', [1], [-1]),
    ]
    using archive = await compress(tensors, SHARED)
    const back = await archive.decodeAll()
    for (const { name, values } of tensors) expect([name, back.get(name)]).toEqual([name, values])
    expect([...archive.tensors].map(([name, { shape }]) => [name, shape]).sort()).toEqual(
      tensors.map(({ name, shape }) => [name, shape]).sort(),
    )
    await archive.verify()
  })

  it('05 the bytes do not depend on threads, order or source', async () => {
    const tensors = [tensor('a', [70_000], weights(70_000, 3)), tensor('b', [300], weights(300, 4))]
    const recipe: Recipe = { rules: [{ match: '*', prune: { density: 0.3 }, quantize: { clusters: 64 } }] }
    const bytes = async (archive: Archive) => Buffer.from(await archive.toBytes())
    const first = await bytes(await compress(tensors, recipe, { threads: 1 }))
    for (const threads of [2, 3, 8])
      expect((await bytes(await compress(tensors, recipe, { threads }))).equals(first)).toBe(true)
    async function* later() {
      for (const one of [...tensors].reverse()) yield one
    }
    expect((await bytes(await compress(later(), recipe))).equals(first)).toBe(true)
    using again = await openArchive(first)
    expect((await bytes(again)).equals(first)).toBe(true)
  })

  it('06 inputs are not changed, and with consume they are taken', async () => {
    const values = weights(3000, 5)
    const copy = values.slice()
    await compress([{ name: 'w', shape: [3000], values }], { rules: [{ match: '*', prune: { density: 0.1 } }] })
    expect(values).toEqual(copy)
    await compress([{ name: 'w', shape: [3000], values }], SHARED, { consume: true })
  })

  it('07 saves, opens from the file and from bytes, and goes on after a dispose with errors only', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-archive-'))
    try {
      const file = path.join(folder, 'w.dcz')
      const written = await compress([tensor('w', [3000], weights(3000, 6))], SHARED, {}, new Map([['author', 'ü']]))
      await written.save(file)
      const values = await written.decode('w')
      using opened = await openArchive(file)
      expect(await opened.decode('w')).toEqual(values)
      expect([...opened.metadata]).toEqual([['author', 'ü']])
      expect(opened.report()).toEqual(written.report())
      expect(opened.report().compressedBytes).toBe(fs.statSync(file).size)
      written.dispose()
      written.dispose()
      expect(() => written.tensors).toThrow(expect.objectContaining({ code: 'ERR_DC_CLOSED' }))
      await expect(written.decode('w')).rejects.toMatchObject({ code: 'ERR_DC_CLOSED' })
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })

  it('08 says what is wrong with a tensor, by its name', async () => {
    const cases: [WeightTensor[], string][] = [
      [[tensor('bad', [2], [1, Number.NaN])], 'ERR_DC_NONFINITE'],
      [[tensor('bad', [2], [1, Infinity])], 'ERR_DC_NONFINITE'],
      [[tensor('bad', [3], [1, 2])], 'ERR_DC_ARG'],
      [[tensor('bad', [1], [1]), tensor('bad', [1], [1])], 'ERR_DC_ARG'],
      [[tensor('', [1], [1])], 'ERR_DC_ARG'],
    ]
    for (const [tensors, code] of cases) {
      for (const recipe of [SHARED, { rules: [] }])
        await expect(compress(tensors, recipe)).rejects.toMatchObject({ code })
    }
    await expect(compress([tensor('bad', [2], [1, Number.NaN])], SHARED)).rejects.toMatchObject({
      message: expect.stringContaining('"bad"'),
    })
    await expect(compress([{ name: 'x', shape: [1], values: [1] as never }])).rejects.toMatchObject({
      code: 'ERR_DC_TYPE',
    })
  })

  it('09 damage is found by verify and by decode, with the name of the tensor', async () => {
    using archive = await compress([tensor('w', [3000], weights(3000, 7))], SHARED)
    const bytes = await archive.toBytes()
    bytes[bytes.length - 100]! ^= 1
    using damaged = await openArchive(bytes)
    await expect(damaged.verify()).rejects.toMatchObject({
      code: 'ERR_DC_CHECKSUM',
      section: expect.stringContaining('w'),
    })
    await expect(damaged.decode('w')).rejects.toMatchObject({ code: 'ERR_DC_CHECKSUM' })
    await expect(damaged.decode('v')).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
  })

  it('10 limits hold before anything is allocated', async () => {
    using archive = await compress([tensor('zeros', [1 << 20], new Float32Array(1 << 20))], SHARED)
    const bytes = await archive.toBytes()
    using small = await openArchive(bytes, { limits: { maxDecodedBytes: 1 << 20 } })
    await expect(small.decode('zeros')).rejects.toMatchObject({ code: 'ERR_DC_LIMIT', limit: 'maxDecodedBytes' })
    await expect(small.decodeAll()).rejects.toMatchObject({ code: 'ERR_DC_LIMIT', limit: 'maxDecodedBytes' })
    await expect(openArchive(bytes, { limits: { maxElements: 1000 } })).rejects.toMatchObject({ code: 'ERR_DC_LIMIT' })
    await expect(openArchive(bytes, { limit: {} } as never)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
  })

  it('11 an abort ends it', async () => {
    const controller = new AbortController()
    controller.abort()
    await expect(compress([tensor('w', [1], [1])], SHARED, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
    })
  })

  it('12 ecsq takes fewer bytes than k-means and has no more error', async () => {
    const values = generate({ count: 200_000, shape: 1.2, deviation: 0.01, outliers: 1e-4, seed: 9 })
    const made = async (method: 'kmeans' | 'ecsq') => {
      const rules = [{ match: '*', prune: { density: 0.2 }, quantize: { method, clusters: 32 } }]
      using archive = await compress([tensor('fc', [400, 500], values)], { rules })
      const decoded = await archive.decode('fc')
      const error = decoded.reduce((sum, x, i) => (x === 0 ? sum : sum + (x - values[i]!) ** 2), 0)
      return { error, bytes: (await archive.toBytes()).length, kept: decoded.filter((x) => x !== 0).length }
    }
    const [kmeans, ecsq] = [await made('kmeans'), await made('ecsq')]
    expect(ecsq.kept).toBe(kmeans.kept)
    expect(ecsq.error).toBeLessThanOrEqual(kmeans.error)
    expect(ecsq.bytes).toBeLessThan(0.98 * kmeans.bytes)
  })

  it('13 with ecsq too a tensor of few values is stored exactly, and empty and zero tensors work', async () => {
    const rules = [{ match: '*', quantize: { method: 'ecsq' as const, clusters: 4 } }]
    const few = Float32Array.from({ length: 999 }, (_, i) => [0, -1.5, 2, 0.25][i % 4]!)
    using archive = await compress(
      [tensor('few', [999], few), tensor('none', [0], []), tensor('zeros', [9], new Float32Array(9))],
      { rules },
    )
    expect(await archive.decode('few')).toEqual(few)
    expect(await archive.decode('none')).toEqual(new Float32Array(0))
    expect(await archive.decode('zeros')).toEqual(new Float32Array(9))
  })

  it('14 every stage says which tensor it works on', async () => {
    const stagesOf = async (method: 'kmeans' | 'ecsq') => {
      const values = weights(3000, 3)
      const seen = new Set<string>()
      const rules = [{ match: '*', prune: { density: 0.5 }, quantize: { method, clusters: 16 } }]
      const job = {
        onProgress: (p: { stage: string; tensor: string }) => void seen.add(`${p.stage} ${p.tensor}`),
      }
      using archive = await compress([tensor('fc', [3000], values)], { rules }, job)
      expect(archive.tensors.get('fc')!.kept).toBe(1500)
      return [...seen]
    }
    expect(await stagesOf('kmeans')).toEqual(['prune fc', 'kmeans1d fc', 'assign fc', 'encodeTensor fc'])
    expect(await stagesOf('ecsq')).toEqual(['prune fc', 'kmeans1d fc', 'ecsq fc', 'encodeTensor fc', 'assign fc'])
  })

  it('15 of ecsq and k-means the smaller one is kept, so ecsq is never larger, on small tensors either', async () => {
    for (const count of [1, 2, 3, 10, 40, 200, 1000]) {
      const values = generate({ count, shape: 1.2, deviation: 0.01, outliers: 0.01, seed: count }) // 80 ms, however few
      for (const clusters of [1, 2, 4, 16, 256]) {
        const made = async (method: 'kmeans' | 'ecsq') => {
          const rules = [{ match: '*', quantize: { method, clusters } }]
          using archive = await compress([tensor('fc', [count], values)], { rules })
          const decoded = await archive.decode('fc')
          const error = decoded.reduce((sum, x, i) => sum + (x - values[i]!) ** 2, 0)
          return { error, bytes: (await archive.toBytes()).length }
        }
        const [kmeans, ecsq] = [await made('kmeans'), await made('ecsq')]
        expect(ecsq.bytes).toBeLessThanOrEqual(kmeans.bytes)
        expect(ecsq.error).toBeLessThanOrEqual(kmeans.error * (1 + 1e-9))
      }
    }
  })

  it('16 one lambda for all tensors: fewer bytes than a budget for each, and no more error in all', async () => {
    const layers = [
      tensor('conv', [300, 200], generate({ count: 60_000, shape: 1.2, deviation: 0.01, outliers: 0, seed: 1 })),
      tensor('fc', [400, 500], generate({ count: 200_000, shape: 1.2, deviation: 0.01, outliers: 0, seed: 2 })),
    ]
    const made = async (rules: Recipe['rules']) => {
      using archive = await compress(layers, { rules })
      let error = 0
      for (const { name, values } of layers) {
        const decoded = await archive.decode(name)
        decoded.forEach((x, i) => {
          error += (x - values[i]!) ** 2
        })
      }
      return { error, bytes: (await archive.toBytes()).length }
    }
    const each = await made([
      { match: 'conv', quantize: { method: 'ecsq', clusters: 256 } },
      { match: '*', quantize: { method: 'ecsq', clusters: 32 } },
    ])
    const all = await made([{ match: '*', quantize: { method: 'ecsq', lambda: (1.3 * each.error) / 260_000 } }])
    expect(all.error).toBeLessThanOrEqual(each.error)
    expect(all.bytes).toBeLessThan(0.95 * each.bytes)
    const coarse = await made([{ match: '*', quantize: { method: 'ecsq', lambda: 1e-4 } }])
    expect(coarse.bytes).toBeLessThan(0.7 * all.bytes)
    expect(coarse.error).toBeGreaterThan(all.error)
    const few = await made([{ match: '*', quantize: { method: 'ecsq', lambda: 0, clusters: 3 } }])
    expect(few.bytes).toBeLessThan((2 * 260_000) / 8)
  })

  it('17 with lambda too, empty tensors and tensors of zeros work', async () => {
    const rules = [{ match: '*', quantize: { method: 'ecsq' as const, lambda: 1 } }]
    using archive = await compress([tensor('none', [0], []), tensor('zeros', [9], new Float32Array(9))], { rules })
    expect(await archive.decode('none')).toEqual(new Float32Array(0))
    expect(await archive.decode('zeros')).toEqual(new Float32Array(9))
  })

  it.each([
    [{ method: 'kmeans', lambda: 1 }, 'recipe.rules[0].quantize.lambda needs method "ecsq"'],
    [{ lambda: 1 }, 'recipe.rules[0].quantize.lambda needs method "ecsq"'],
    [{ method: 'ecsq', lambda: -1 }, 'recipe.rules[0].quantize.lambda'],
    [{ method: 'ecsq', lambda: 1, seed: 3 }, 'recipe.rules[0].quantize.lambda leaves nothing for'],
    [{ method: 'ecsq', lambda: 1, clusters: 256 }, 'recipe.rules[0].quantize.clusters'],
    [{ method: 'ecsq' }, 'recipe.rules[0].quantize.clusters'],
  ])('18 refused: %j', (quantize, message) => {
    expect(() => checkRecipe({ rules: [{ match: '*', quantize }] })).toThrow(
      expect.objectContaining({ code: 'ERR_DC_ARG', message: expect.stringContaining(message) }),
    )
  })

  it('13 decode fills the array it is given, and takes no other than one of the right kind and length', async () => {
    const values = weights(5000, 13)
    using archive = await compress([tensor('w', [5000], values), tensor('none', [0], [])], { rules: [] })
    const out = new Float32Array(5000).fill(NaN)
    expect(await archive.decode('w', { out, threads: 2 })).toBe(out)
    expect(out).toEqual(values)
    const empty = new Float32Array(0)
    expect(await archive.decode('none', { out: empty })).toBe(empty)
    await expect(archive.decode('w', { out: empty })).rejects.toMatchObject({ code: 'ERR_DC_ARG', section: 'out' })
    await expect(archive.decode('w', { out: [] as never })).rejects.toMatchObject({ code: 'ERR_DC_TYPE' })
    await expect(archive.decode('w', { outs: out } as never)).rejects.toMatchObject({ code: 'ERR_DC_ARG' })
    await expect(archive.decode('w', null as never)).rejects.toMatchObject({ code: 'ERR_DC_TYPE' })
  })
})
