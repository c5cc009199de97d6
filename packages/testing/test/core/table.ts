/** One row a name; the columns are those that any row has. */
export const printTable = (title: string, rows: ReadonlyMap<string, Readonly<Record<string, number>>>): void => {
  const columns = [...new Set([...rows.values()].flatMap(Object.keys))]
  const cells = [...rows].map(([name, figures]) => [name, ...columns.map((column) => format(figures[column]))])
  const table = [['', ...columns], ...cells]
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  process.stdout.write(`\n${title}\n${table.map(line).join('\n')}\n`)
}

const format = (value: number | undefined): string => {
  if (value === undefined) return '-'
  if (Number.isInteger(value)) return String(value)
  return Math.abs(value) < 0.01 ? value.toExponential(0) : value.toFixed(2)
}
