/**
 * Whether a path fits a pattern of the shell as Python's fnmatch reads it, which huggingface_hub's allow_patterns are: `*` is any
 * text, slashes too, `?` one character, `[ab]` one of some, `[!ab]` one of the others. A pattern that ends in a slash is a folder.
 */
export const matchPattern = (path: string, pattern: string): boolean => {
  const whole = pattern.endsWith('/') ? `${pattern}*` : pattern
  const source = whole.replace(/\*+|\?|\[(!?)(\]?[^\]]*)\]|[\\^$.+(){}|[\]]/g, (part, not: string, set: string) => {
    if (part.startsWith('*')) return '[^]*'
    if (part === '?') return '[^]'
    if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^\]]/g, '\\$&')}]`
    return `\\${part}`
  })
  return new RegExp(`^${source}$`).test(path)
}
