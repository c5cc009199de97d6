/**
 * Whether a regular expression is free of an unbounded repeat inside an unbounded repeat, such as `(a+)+`, which takes
 * exponential time. Repeats that overlap side by side, such as `a*a*`, are polynomial and let through.
 */
export const isSafePattern = (pattern: string): boolean => {
  // One entry a group that is open: does it hold an unbounded repeat?
  const open = [false]
  let closed = false
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!
    if (c === '\\') i++
    else if (c === '[') i = classEnd(pattern, i)
    else if (c === '(') open.push(false)
    else if (c === ')' && open.length > 1) {
      const inner = open.pop()!
      const repeated = unbounded.test(pattern.slice(i + 1, i + 24))
      if (inner && repeated) return false
      open[open.length - 1] ||= inner || repeated
      closed = true
      continue
    } else if (!closed && unbounded.test(pattern.slice(i, i + 24))) open[open.length - 1] = true
    closed = false
  }
  return true
}

const unbounded = /^(?:[*+]|\{\d*,\})/

/** The index of the bracket that closes the character class opened at `start`; classes may hold classes. */
const classEnd = (pattern: string, start: number): number => {
  let depth = 0
  for (let i = start; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++
    else if (pattern[i] === '[') depth++
    else if (pattern[i] === ']' && --depth === 0) return i
  }
  return pattern.length
}
