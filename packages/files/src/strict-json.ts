import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** As deep as Rust's serde_json reads. Whatever walks a value may then call itself. */
const DEPTH = 128

/**
 * JSON.parse that refuses what it would silently bend: a key twice in one object (the last would win). `__proto__` stays a
 * plain own key. With `wholeNumbers` a number must be digits alone: 1.0 and 1e3 are whole to JavaScript, to other readers not.
 */
export const strictJson = (text: string, name: string, { wholeNumbers = false } = {}): Json => {
  const bad = (given: string, expected: string, cause?: unknown): GraftError =>
    new GraftError({ code: 'bad-file', culprit: name, given, expected, cause })
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (cause) {
    throw bad('what is no JSON', 'JSON', cause)
  }
  const fault = scan(text, wholeNumbers)
  if (fault) throw bad(...fault)
  return value
}

/** What is wrong with a text that is known to be JSON. */
const scan = (text: string, wholeNumbers: boolean): [given: string, expected: string] | undefined => {
  const open: (Set<string> | null)[] = []
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (c === '"') {
      const end = stringEnd(text, i)
      const keys = open.at(-1)
      if (keys && isKey(text, end + 1)) {
        const key = JSON.parse(text.slice(i, end + 1)) as string
        if (keys.has(key)) return [`the key ${brief(key)} twice in one object`, 'each key once']
        keys.add(key)
      }
      i = end
    } else if (c === '{' || c === '[') {
      open.push(c === '{' ? new Set() : null)
      if (open.length > DEPTH) return [`values nested more than ${DEPTH} deep`, `at most ${DEPTH}`]
    } else if (c === '}' || c === ']') open.pop()
    else if (wholeNumbers && isFraction(text, i)) return ['a number with a sign, point or exponent', 'digits alone']
  }
  return undefined
}

const stringEnd = (text: string, from: number): number => {
  let i = from + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i
}

const isKey = (text: string, from: number): boolean => {
  let i = from
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\t' || text[i] === '\r') i++
  return text[i] === ':'
}

/** Outside strings: `-`, `.`, or an `e` behind a digit (others are of true and false). */
const isFraction = (text: string, i: number): boolean => {
  const c = text[i]!
  return c === '-' || c === '.' || ((c === 'e' || c === 'E') && /\d/.test(text[i - 1] ?? ''))
}
