import { DeepCompressionError, printable } from '../errors.js'

/**
 * Strict JSON (RFC 8259) for headers that strangers wrote: objects become Maps (a key named `__proto__` is a key), a key that comes
 * twice is an error (JSON.parse takes the last one, other readers the first), depth is bounded, nothing follows the value.
 */
export type Json = null | boolean | number | string | Json[] | JsonObject
export type JsonObject = Map<string, Json>

const MAX_DEPTH = 256
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids control characters in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SPACE = /[ \t\n\r]*/y

export function parseJson(text: string, section: string): Json {
  let at = 0

  const wrong = (what: string) =>
    new DeepCompressionError('STRUCTURE', `${section} is not valid JSON: ${what} (at ${at})`, { section, offset: at })

  function space(): void {
    SPACE.lastIndex = at
    SPACE.test(text)
    at = SPACE.lastIndex
  }

  function string(): string {
    STRING.lastIndex = at
    const found = STRING.exec(text)
    if (!found) throw wrong('a string was expected')
    at = STRING.lastIndex
    return JSON.parse(found[0]) as string
  }

  function word<T>(spelled: string, value: T): T {
    if (!text.startsWith(spelled, at)) throw wrong(`${spelled} was expected`)
    at += spelled.length
    return value
  }

  function number(): number {
    NUMBER.lastIndex = at
    const found = NUMBER.exec(text)
    if (!found) throw wrong('a value was expected')
    at = NUMBER.lastIndex
    return Number(found[0])
  }

  /** The members of an object or array: after each a comma, or the closing mark. */
  function members(close: string, member: () => void): void {
    at++
    space()
    if (text[at] === close) {
      at++
      return
    }
    for (;;) {
      space()
      member()
      space()
      const mark = text[at++]
      if (mark === close) return
      if (mark !== ',') {
        at--
        throw wrong(`a comma or ${close} was expected`)
      }
    }
  }

  function value(depth: number): Json {
    if (depth > MAX_DEPTH) throw wrong(`nested deeper than ${MAX_DEPTH}`)
    space()
    switch (text[at]) {
      case '{': {
        const object: JsonObject = new Map()
        members('}', () => {
          const key = string()
          if (object.has(key)) throw wrong(`the key ${printable(key)} comes twice`)
          space()
          if (text[at] !== ':') throw wrong('a colon was expected')
          at++
          object.set(key, value(depth + 1))
        })
        return object
      }
      case '[': {
        const array: Json[] = []
        members(']', () => array.push(value(depth + 1)))
        return array
      }
      case '"':
        return string()
      case 't':
        return word('true', true)
      case 'f':
        return word('false', false)
      case 'n':
        return word('null', null)
      default:
        return number()
    }
  }

  const result = value(0)
  space()
  if (at !== text.length) throw wrong('something follows the value')
  return result
}

/** The text of a value, in the order of the Maps. */
export function writeJson(value: Json): string {
  if (value instanceof Map) {
    return `{${[...value].map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member)}`).join(',')}}`
  }
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`
  return JSON.stringify(value)
}

// ---- picking fields, each with an error that says where -------------------------------------------------------------------------

function wrongField(where: string, expected: string): DeepCompressionError {
  return new DeepCompressionError('STRUCTURE', `${where} must be ${expected}`, { section: where })
}

export function asObject(value: Json | undefined, where: string): JsonObject {
  if (value instanceof Map) return value
  throw wrongField(where, 'an object')
}

export function asArray(value: Json | undefined, where: string): Json[] {
  if (Array.isArray(value)) return value
  throw wrongField(where, 'an array')
}

export function asText(value: Json | undefined, where: string): string {
  if (typeof value === 'string') return value
  throw wrongField(where, 'a string')
}

export function asNumber(value: Json | undefined, where: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw wrongField(where, 'a finite number')
}

/** A whole number from 0 to 2^53 - 1. */
export function asWhole(value: Json | undefined, where: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw wrongField(where, 'a whole number of at least 0')
}
