import { GraftError } from '@graftjs/tensor/error'
import { checkChoice } from './check-choice.ts'
import type { Example } from './example.ts'
import { readJsonl } from './read-jsonl.ts'
import { readTable } from './read-table.ts'
import {
  type Columns,
  type RawRow,
  type RowFormat,
  type RowsTold,
  rowFormats,
  tellRow,
  toExamples,
} from './row-format.ts'

export type FileType = 'jsonl' | 'json' | 'csv' | 'tsv'

export interface ReadOptions {
  /** The file, for errors; its ending tells the type where `type` does not. */
  readonly name: string
  /** Default: by the ending of `name`; JSONL for any other. */
  readonly type?: FileType
  /** What the rows are. Default `auto`: what the columns of the first row tell, and every row must have them. */
  readonly format?: RowFormat | 'auto'
  /** Our names of columns to the file's, such as `{ prompt: 'question', completion: 'answer' }`. */
  readonly columns?: Columns
}

const types: readonly FileType[] = ['jsonl', 'json', 'csv', 'tsv']

/**
 * The examples in a file's text: JSONL, a JSON array, CSV or TSV; messages, prompt and completion, text, Alpaca or
 * ShareGPT. An error names the file, the line (in a JSON array the row, from 0) and the columns found there.
 */
export const readRows = (
  text: string,
  { name, type = typeOf(name), format = 'auto', columns = {} }: ReadOptions,
): Example[] => {
  checkChoice('type', type, types)
  checkChoice('format', format, ['auto', ...rowFormats])
  return toExamples(someRows(text, type, name), columns, format)
}

/** What the columns of a file's first row tell, without reading the rows as anything. */
export const tellRows = (text: string, { name, type = typeOf(name) }: Pick<ReadOptions, 'name' | 'type'>): RowsTold => {
  checkChoice('type', type, types)
  return tellRow(someRows(text, type, name)[0]!)
}

const someRows = (text: string, type: FileType, name: string): RawRow[] => {
  checkEncoding(text, name)
  const rows = rawRows(text, type, name)
  if (rows.length > 0) return rows
  throw new GraftError({
    code: 'no-data',
    culprit: name,
    given: 'no rows',
    expected: type === 'csv' || type === 'tsv' ? 'a header and at least one row' : 'at least one row',
  })
}

/** UTF-16, as some spreadsheets write it, read as UTF-8. */
const checkEncoding = (text: string, name: string): void => {
  if (!text.slice(0, 100).includes('\0')) return
  throw new GraftError({ code: 'bad-row', culprit: name, given: 'a file that is no UTF-8 text', expected: 'UTF-8' })
}

const typeOf = (name: string): FileType => {
  const ending = name.slice(name.lastIndexOf('.') + 1).toLowerCase()
  return types.find((type) => type === ending) ?? 'jsonl'
}

const rawRows = (text: string, type: FileType, name: string): RawRow[] => {
  if (type === 'jsonl') return readJsonl<RawRow>(text, { name, row: (value, culprit) => ({ value, culprit }) })
  if (type !== 'json') return readTable(text, type === 'csv' ? ',' : '\t', name)
  // Many a .json holds a row a line.
  if (startsWithRow(text)) return rawRows(text, 'jsonl', name)
  const value = parsedJson(text, name)
  if (!Array.isArray(value))
    throw new GraftError({
      code: 'bad-row',
      culprit: name,
      given: value === null ? 'null' : typeof value,
      expected: 'a JSON array of rows; a file with one JSON value a line ends in .jsonl',
    })
  return value.map((row: unknown, i) => ({ value: row, culprit: `${name}[${i}]` }))
}

/** Whether the first line is a whole object, and more follows. */
const startsWithRow = (text: string): boolean => {
  const [first = '', ...rest] = text
    .replace(/^\uFEFF/, '')
    .trimStart()
    .split('\n', 2)
  if (!first.startsWith('{') || rest.length === 0) return false
  try {
    JSON.parse(first)
    return true
  } catch {
    return false
  }
}

const parsedJson = (text: string, name: string): unknown => {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (cause) {
    throw new GraftError({
      code: 'bad-row',
      culprit: name,
      given: (cause as Error).message,
      expected: 'a JSON array of rows; a file with one JSON value a line ends in .jsonl',
      cause,
    })
  }
}
