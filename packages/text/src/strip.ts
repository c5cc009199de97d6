export type Side = 'both' | 'start' | 'end'

/** What Python's `str.isspace` is true of; JavaScript's trim has another set. */
const isSpace = (character: string): boolean => {
  const code = character.charCodeAt(0)
  return code < 128 ? (code >= 9 && code <= 13) || (code >= 28 && code <= 32) : spaces.includes(character)
}
const spaces =
  '\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'

/** Python's `text.strip(characters)`, `lstrip` and `rstrip`; white space where no characters are given. */
export const strip = (text: string, side: Side, characters?: string): string => {
  const set = characters === undefined ? undefined : new Set(characters)
  const goes = (character: string): boolean => (set ? set.has(character) : isSpace(character))
  let [from, to] = [0, text.length]
  while (side !== 'end' && from < to) {
    const character = String.fromCodePoint(text.codePointAt(from)!)
    if (!goes(character)) break
    from += character.length
  }
  while (side !== 'start' && to > from) {
    const pair = to - from > 1 && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(to - 2, to))
    const character = text.slice(pair ? to - 2 : to - 1, to)
    if (!goes(character)) break
    to -= character.length
  }
  return text.slice(from, to)
}
