import fc from 'fast-check'
import { DEFAULT_RECIPE, matches, type Recipe, ResolvedRecipe } from '../../src/recipe.js'

const codeOf = (recipe: unknown): [string, string] => {
  try {
    new ResolvedRecipe(recipe)
    return ['accepted', '']
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return [code, message]
  }
}

describe('patterns', () => {
  it('01 match whole names; * is any run of characters, ? one character, all else itself', () => {
    const cases: [string, string, boolean][] = [
      ['*', '', true],
      ['*', 'anything/at.all', true],
      ['fc*', 'fc1.weight', true],
      ['fc*', 'xfc1', false],
      ['*bias*', 'fc1/bias:0', true],
      ['*bias', 'bias.x', false],
      ['conv?.weight', 'conv1.weight', true],
      ['conv?.weight', 'conv10.weight', false],
      ['a*b*c', 'a__b__b__c', true],
      ['a*b*c', 'a__c__b', false],
      ['a.c', 'abc', false],
      ['[a]', 'a', false],
      ['[a]', '[a]', true],
      ['', '', true],
      ['', 'a', false],
      ['FC*', 'fc1', false],
      ['**', 'x', true],
      ['a?', 'a', false],
    ]
    for (const [pattern, name, expected] of cases)
      expect([pattern, name, matches(pattern, name)]).toEqual([pattern, name, expected])
  })

  it('02 agree with a regular expression of the same meaning', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '*', '?', '.'), { maxLength: 8 }).map((parts) => parts.join(''))
    const names = fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 10 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(letters, names, (pattern, name) => {
        const source = pattern.replace(/\./g, '\\.').replace(/\*+/g, '.*').replace(/\?/g, '.')
        expect(matches(pattern, name)).toBe(new RegExp(`^${source}$`).test(name))
      }),
      { numRuns: 5000 },
    )
  })

  it('03 take no exponential time on hostile patterns', () => {
    expect(matches('*a'.repeat(60), 'a'.repeat(59) + 'b'.repeat(2000))).toBe(false) // else: jest's own limit
  })
})

describe('recipes', () => {
  it('10 the first rule that matches is the rule; without one a tensor is stored losslessly', () => {
    const recipe: Recipe = {
      rules: [
        { match: '*bias*', quantize: null },
        { match: 'fc*', prune: { density: 0.08 }, quantize: { clusters: 32 } },
        { match: 'f*', quantize: { clusters: 4 } },
      ],
    }
    const resolved = new ResolvedRecipe(recipe)
    expect(resolved.ruleFor('fc.bias', [9]).quantize).toBeNull()
    expect(resolved.ruleFor('fc.weight', [9])).toMatchObject({
      prune: { by: 'density', amount: 0.08 },
      quantize: { clusters: 32 },
    })
    expect(resolved.ruleFor('f', [9])).toMatchObject({ prune: null, quantize: { clusters: 4 } })
    expect(resolved.ruleFor('conv', [9])).toMatchObject({ prune: null, quantize: null })
  })

  it('11 the default prunes nothing, shares 256 values, and leaves biases and small tensors alone', () => {
    const resolved = new ResolvedRecipe()
    expect(resolved.ruleFor('fc/kernel', [64, 32])).toMatchObject({
      prune: null,
      quantize: { clusters: 256, algorithm: 'histogram' },
    })
    expect(resolved.ruleFor('fc/kernel', [2047]).quantize).toBeNull()
    expect(resolved.ruleFor('fc/bias', [4096]).quantize).toBeNull()
    expect(new ResolvedRecipe({ rules: DEFAULT_RECIPE.rules }).ruleFor('fc/kernel', [10]).quantize).toMatchObject({
      clusters: 256,
    })
  })

  it('12 a start means Lloyd, as in the paper', () => {
    const rule = (quantize: object) =>
      new ResolvedRecipe({ rules: [{ match: '*', quantize }] }).ruleFor('x', [1]).quantize
    expect(rule({ method: 'kmeans', clusters: 32, init: 'linear' })).toMatchObject({
      algorithm: 'lloyd',
      init: 'linear',
    })
    expect(rule({ clusters: 32, algorithm: 'optimal' })).toMatchObject({ algorithm: 'optimal' })
  })

  it('13 what is wrong is named by its path', () => {
    const rule = (fields: object) => ({ rules: [{ match: '*' }, { match: 'a', ...fields }] })
    const cases: [unknown, string][] = [
      [null, 'recipe'],
      [[], 'recipe'],
      [{}, 'recipe.rules'],
      [{ rules: {} }, 'recipe.rules'],
      [{ rules: [], more: 1 }, 'more'],
      [{ rules: [null] }, 'recipe.rules[0]'],
      [{ rules: [{}] }, 'recipe.rules[0].match'],
      [rule({ quantise: {} }), 'quantise'],
      [rule({ quantize: {} }), 'recipe.rules[1].quantize.clusters'],
      [rule({ quantize: { clusters: 257 } }), 'recipe.rules[1].quantize.clusters'],
      [rule({ quantize: { clusters: 1.5 } }), 'recipe.rules[1].quantize.clusters'],
      [rule({ quantize: { clusters: 4, method: 'magic' } }), 'recipe.rules[1].quantize.method'],
      [rule({ quantize: { clusters: 4, init: 'best' } }), 'recipe.rules[1].quantize.init'],
      [rule({ quantize: { clusters: 4, bits: 2 } }), 'bits'],
      [rule({ prune: {} }), 'recipe.rules[1].prune'],
      [rule({ prune: { density: 2 } }), 'recipe.rules[1].prune.density'],
      [rule({ prune: { density: 0.1, threshold: 1 } }), 'recipe.rules[1].prune'],
      [rule({ encode: { layout: 'best' } }), 'recipe.rules[1].encode.layout'],
      [rule({ encode: { entropy: 'zip' } }), 'recipe.rules[1].encode.entropy'],
      [rule({ encode: { indexBits: 9 } }), 'recipe.rules[1].encode.indexBits'],
    ]
    for (const [recipe, path] of cases) {
      const [code, message] = codeOf(recipe)
      expect([path, code, message]).toEqual([path, 'ERR_DC_ARG', expect.stringContaining(path)])
    }
  })
})
