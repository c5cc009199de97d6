import { GraftError } from '@graftjs/tensor/error'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * JSON.parse that refuses what it would silently bend: a key twice in one object (the last would win). `__proto__` stays a
 * plain own key.
 */
export const strictJson = (text: string, name: string): Json => {
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (cause) {
    throw new GraftError({
      code: 'bad-file',
      culprit: name,
      given: `no valid JSON (${(cause as Error).message})`,
      expected: 'JSON',
      cause,
    })
  }
  const twice = duplicateKey(text)
  if (twice !== undefined)
    throw new GraftError({
      code: 'bad-file',
      culprit: name,
      given: `the key ${JSON.stringify(twice)} twice in one object`,
      expected: 'each key once',
    })
  return value
}

/** The first key that stands twice in one object of a text that is known to be JSON. */
const duplicateKey = (text: string): string | undefined => {
  const open: (Set<string> | null)[] = []
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (c === '{') open.push(new Set())
    else if (c === '[') open.push(null)
    else if (c === '}' || c === ']') open.pop()
    else if (c === '"') {
      const end = stringEnd(text, i)
      const keys = open.at(-1)
      if (keys && isKey(text, end + 1)) {
        const key = JSON.parse(text.slice(i, end + 1)) as string
        if (keys.has(key)) return key
        keys.add(key)
      }
      i = end
    }
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
