/**
 * Which of `lengths`, each of 1 … `capacity`, share a row, as indices: longest first, each into the row that it fills
 * best, the one opened first among equals (best-fit decreasing). In n · log(capacity).
 */
export const bestFit = (lengths: readonly number[], capacity: number): number[][] => {
  const total = lengths.reduce((sum, length) => sum + length, 0)
  // One row holds all, or the capacity counts: either way the table of spaces is no larger than the data.
  const room = Math.min(capacity, total)
  const longestFirst = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]!)
  const rows: number[][] = []
  const open = openRows(room)
  for (const i of longestFirst) {
    const { row, space } = open.take(lengths[i]!) ?? { row: rows.push([]) - 1, space: room }
    rows[row]!.push(i)
    open.put(row, space - lengths[i]!)
  }
  return rows
}

interface OpenRows {
  /** The row with the least space that is at least `length`. */
  take(length: number): { row: number; space: number } | undefined
  put(row: number, space: number): void
}

/** Rows by the space left in them, first in, first out; a tree of maxima over the spaces finds the next larger one. */
const openRows = (room: number): OpenRows => {
  const leaves = 2 ** Math.ceil(Math.log2(room + 1))
  const tree = new Int32Array(2 * leaves)
  const queues = new Map<number, { rows: number[]; head: number }>()
  const mark = (space: number, value: number): void => {
    let at = leaves + space
    tree[at] = value
    while (at > 1) {
      at >>= 1
      tree[at] = Math.max(tree[2 * at]!, tree[2 * at + 1]!)
    }
  }
  return {
    take: (length) => {
      if (tree[1]! < length) return undefined
      let at = 1
      while (at < leaves) at = tree[2 * at]! >= length ? 2 * at : 2 * at + 1
      const space = at - leaves
      const queue = queues.get(space)!
      const row = queue.rows[queue.head++]!
      if (queue.head === queue.rows.length) {
        queues.delete(space)
        mark(space, 0)
      }
      return { row, space }
    },
    put: (row, space) => {
      if (space === 0) return
      const queue = queues.get(space)
      if (queue) queue.rows.push(row)
      else {
        queues.set(space, { rows: [row], head: 0 })
        mark(space, space)
      }
    },
  }
}
