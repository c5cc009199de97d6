import type { JsonObject } from '@graftjs/files'

/**
 * The text of a JSON object with some members changed or added, the others in their own words: a `1.0` stays one, since
 * transformers refuses a `1` where it wants a float. `text` must be such an object.
 */
export const changeJson = (text: string, change: JsonObject): string => {
  const written = new Map(membersOf(text))
  for (const [key, value] of Object.entries(change))
    written.set(key, JSON.stringify(value, null, 2).replaceAll('\n', '\n  '))
  const lines = [...written].map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

/** Each key with its value as it is written. */
const membersOf = (text: string): [string, string][] =>
  splitAtCommas(text.slice(text.indexOf('{') + 1, text.lastIndexOf('}')))
    .filter((member) => member.trim() !== '')
    .map((member) => {
      const [, key, value] = /^\s*("(?:[^"\\]|\\.)*")\s*:\s*([\s\S]*?)\s*$/.exec(member)!
      return [JSON.parse(key!) as string, value!]
    })

/** At the commas that stand in no string, list or object. */
const splitAtCommas = (body: string): string[] => {
  const parts: string[] = []
  let [start, depth, inString] = [0, 0, false]
  for (let i = 0; i < body.length; i++) {
    const c = body[i]!
    if (inString && c === '\\') i++
    else if (c === '"') inString = !inString
    else if (inString) continue
    else if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') depth--
    else if (c === ',' && depth === 0) {
      parts.push(body.slice(start, i))
      start = i + 1
    }
  }
  return [...parts, body.slice(start)]
}
