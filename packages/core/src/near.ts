/** The names nearest to `given` by edit distance: what an error offers. */
export const near = (given: string, names: Iterable<string>, count = 3): string[] =>
  [...new Set(names)]
    .map((name) => ({ name, distance: editDistance(given, name) }))
    .filter(
      ({ name, distance }) =>
        distance <= Math.max(2, Math.min(given.length, name.length) * 0.6) ||
        name.includes(given) ||
        given.includes(name),
    )
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, count)
    .map(({ name }) => name)

const editDistance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
