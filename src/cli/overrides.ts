import { readFile } from 'node:fs/promises'
import { DeepCompressionError, printable } from '../errors.js'
import type { Model, ModelEntry } from '../models/model.js'
import { isExact } from '../models/numbers.js'
import { checkRecipe, DEFAULT_RECIPE, matches, type Recipe, type Rule, ruleOf } from '../recipe.js'

/** `--density 'fc*=0.08'`: a pattern of tensor names and a number. */
export interface Override {
  pattern: string
  value: number
}

interface RecipeOptions {
  recipe?: string
  density?: Override[]
  clusters?: Override[]
}

async function readRecipe(file: string): Promise<Recipe> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new DeepCompressionError('IO', `cannot read the recipe ${printable(file)}: ${(error as Error).message}`, {
      section: file,
      cause: error,
    })
  }
  try {
    return JSON.parse(text) as Recipe
  } catch (error) {
    throw new DeepCompressionError('ARG', `the recipe ${printable(file)} is not JSON: ${(error as Error).message}`, {
      section: file,
      cause: error,
    })
  }
}

/** The value of the first pattern that matches, as rules do. */
function overridden(overrides: readonly Override[] | undefined, name: string): number | undefined {
  return overrides?.find(({ pattern }) => matches(pattern, name))?.value
}

function refuseIdle(option: string, overrides: readonly Override[] | undefined, names: readonly string[]): void {
  for (const { pattern } of overrides ?? []) {
    if (names.some((name) => matches(pattern, name))) continue
    throw new DeepCompressionError('ARG', `--${option}: no tensor that is compressed matches ${printable(pattern)}`)
  }
}

/** The rule of one tensor: what the recipe says, with the command's density and clusters put in where the recipe compresses. */
function ruleFor({ name, shape, dtype }: ModelEntry, recipe: Recipe, options: RecipeOptions): Rule {
  if (isExact(dtype)) return { match: name, quantize: null }
  const base = ruleOf(recipe, name, shape)
  if (!base.quantize) return { ...base, match: name }
  const density = overridden(options.density, name)
  const clusters = overridden(options.clusters, name)
  return {
    ...base,
    match: name,
    ...(density === undefined ? {} : { prune: { density } }),
    ...(clusters === undefined ? {} : { quantize: { ...base.quantize, clusters } }),
  }
}

/**
 * The recipe of a model: a file's, or the default, with one rule for each tensor where `--density` and `--clusters` change it.
 * What the recipe stores losslessly (biases, by default) they do not touch. Whole numbers are always stored as they are.
 */
export async function recipeFor(model: Model, options: RecipeOptions): Promise<Recipe> {
  const recipe = options.recipe === undefined ? DEFAULT_RECIPE : await readRecipe(options.recipe)
  const changed = options.density || options.clusters || model.entries.some((entry) => isExact(entry.dtype))
  if (!changed) return recipe
  checkRecipe(recipe)
  const rules = model.entries.map((entry) => ruleFor(entry, recipe, options))
  const compressed = rules.filter((rule) => rule.quantize).map((rule) => rule.match)
  refuseIdle('density', options.density, compressed)
  refuseIdle('clusters', options.clusters, compressed)
  // A name that reads as a pattern comes after those that do not, so that it takes no other tensor's rule.
  const plain = (rule: Rule) => !/[*?]/.test(rule.match)
  return { rules: [...rules.filter(plain), ...rules.filter((rule) => !plain(rule))] }
}
