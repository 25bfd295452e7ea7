import { InvalidArgumentError } from 'commander'

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
