import { GraftError } from '@graftjs/tensor/error'
import Papa from 'papaparse'
import { badRow } from './example.ts'
import type { RawRow } from './row-format.ts'

/**
 * The rows of a CSV or TSV text by the names in its first line. Every cell is a text. Empty lines are passed over. A CSV
 * whose header has semicolons and no comma is cut at these, as spreadsheets write it where a comma is the decimal sign.
 */
export const readTable = (text: string, delimiter: ',' | '\t', name: string): RawRow[] => {
  const source = text.replace(/^\uFEFF/, '')
  const [first = ''] = source.split(/[\r\n]/, 1)
  const semicolons = delimiter === ',' && !first.includes(',') && first.includes(';')
  const records = parsed(source, semicolons ? ';' : delimiter, name)
  const [header, ...rows] = records
  if (!header) return []
  checkHeader(header.cells, `${name}, line ${header.line}`)
  return rows.map(({ cells, line }) => {
    const culprit = `${name}, line ${line}`
    if (cells.length !== header.cells.length)
      throw badRow(
        culprit,
        `${cells.length} cells`,
        `${header.cells.length}, one for each of ${header.cells.join(', ')}; a cell with ${
          { ',': 'a comma', ';': 'a semicolon', '\t': 'a tab' }[semicolons ? ';' : delimiter]
        }, a line break or a quote in it is written in double quotes`,
      )
    return { value: Object.fromEntries(header.cells.map((column, i) => [column, cells[i]])), culprit }
  })
}

interface Record {
  readonly cells: readonly string[]
  /** Of its first character, from 1. */
  readonly line: number
}

const parsed = (text: string, delimiter: string, name: string): Record[] => {
  const records: Record[] = []
  let [from, line] = [0, 1]
  Papa.parse<string[]>(text, {
    delimiter,
    step: ({ data, errors, meta }) => {
      const [fault] = errors
      if (fault) throw badRow(`${name}, line ${line}`, fault.message, 'cells whose quotes are closed')
      // A line with nothing on it is one empty cell.
      if (data.length > 1 || data[0]!.trim() !== '') records.push({ cells: data, line })
      line += lineBreaks(text.slice(from, meta.cursor))
      from = meta.cursor
    },
  })
  return records
}

const lineBreaks = (text: string): number => text.match(/\r\n|\r|\n/g)?.length ?? 0

const checkHeader = (columns: readonly string[], culprit: string): void => {
  const twice = columns.find((column, i) => columns.indexOf(column) < i)
  const fault =
    twice !== undefined
      ? `the column ${twice} twice`
      : columns.some((c) => c.trim() === '')
        ? 'a column without a name'
        : ''
  if (fault === '') return
  throw new GraftError({
    code: 'bad-row',
    culprit,
    given: fault,
    expected: 'a header: a name of its own for each column',
  })
}
