import { InvalidArgumentError } from 'commander'
import { MODEL_FORMATS } from '../models/model.js'
import type { Override } from './overrides.js'

/** A parser of whole-number options, for commander. */
export function wholeNumber(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^[0-9]+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`${name} is a whole number from ${least} to ${most}.`)
    }
    return value
  }
}

/** A parser of `pattern=value`; a value alone is for every tensor. Collects when the option is repeated. */
function override(expected: string, check: (value: number) => boolean) {
  return (text: string, before: Override[] = []): Override[] => {
    const at = text.lastIndexOf('=')
    const pattern = at < 0 ? '*' : text.slice(0, at)
    const number = text.slice(at + 1)
    const value = /^[0-9]*\.?[0-9]+(?:e-?[0-9]+)?$/i.test(number) ? Number(number) : Number.NaN
    if (pattern === '' || !check(value)) throw new InvalidArgumentError(`It is pattern=value with ${expected}.`)
    return [...before, { pattern, value }]
  }
}

export const overrides = {
  density: override('a share above 0 and up to 1', (value) => value > 0 && value <= 1),
  clusters: override('a whole number from 1 to 256', (value) => Number.isInteger(value) && value >= 1 && value <= 256),
}

export const formats = [...MODEL_FORMATS]
