import { near } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { badRow, conversation, type Example, isObject, textOf } from './example.ts'
import { promptCompletion } from './prompt-completion.ts'
import { shareGpt } from './share-gpt.ts'

export type RowFormat = 'messages' | 'prompt-completion' | 'text' | 'alpaca' | 'sharegpt'
/** Our name of a column to the file's. */
export type Columns = Readonly<Record<string, string>>
type Cells = Readonly<Record<string, unknown>>

interface Format {
  readonly name: RowFormat
  /** The columns that tell it; a file with all of them has this format. */
  readonly columns: readonly string[]
  readonly optional: readonly string[]
  read(row: Cells, culprit: string): Example
}

/** In the order in which they are looked for: Alpaca files often have a `text` beside their own columns. */
const formats: readonly Format[] = [
  {
    name: 'messages',
    columns: ['messages'],
    optional: ['tools'],
    read: (row, culprit) => conversation(unpacked(row, ['messages', 'tools'], culprit), culprit),
  },
  {
    name: 'sharegpt',
    columns: ['conversations'],
    optional: ['tools', 'system'],
    read: (row, culprit) => shareGpt(unpacked(row, ['conversations', 'tools'], culprit), culprit),
  },
  { name: 'prompt-completion', columns: ['prompt', 'completion'], optional: [], read: promptCompletion },
  {
    name: 'alpaca',
    columns: ['instruction', 'output'],
    optional: ['input'],
    read: (row, culprit) => ({
      instruction: textOf(row, 'instruction', culprit),
      ...(row.input != null && { input: textOf(row, 'input', culprit) }),
      output: textOf(row, 'output', culprit),
    }),
  },
  { name: 'text', columns: ['text'], optional: [], read: (row, culprit) => ({ text: textOf(row, 'text', culprit) }) },
]
const ourNames = [...new Set(formats.flatMap(({ columns, optional }) => [...columns, ...optional]))]
const formatOf = (name: RowFormat): Format => formats.find((format) => format.name === name)!
export const rowFormats: readonly RowFormat[] = formats.map(({ name }) => name)

/** A cell of a table holds a list as JSON. */
const unpacked = (row: Cells, columns: readonly string[], culprit: string): Cells => {
  const packed = columns.filter((column) => typeof row[column] === 'string')
  const parsed = packed.map((column): [string, unknown] => {
    const text = row[column] as string
    if (text.trim() === '') return [column, undefined]
    try {
      return [column, JSON.parse(text)]
    } catch (cause) {
      throw badRow(`${culprit}: ${column}`, `a text that is no JSON (${(cause as Error).message})`, 'a list')
    }
  })
  return { ...row, ...Object.fromEntries(parsed) }
}

export interface RawRow {
  readonly value: unknown
  /** Where it stands, such as `rows.csv, line 3`. */
  readonly culprit: string
}

/** Rows as examples, all of one format: the named one, or what the columns of the first row tell. */
export const toExamples = (rows: readonly RawRow[], columns: Columns, format: RowFormat | 'auto'): Example[] => {
  checkColumnNames(columns)
  let found = format === 'auto' ? undefined : formatOf(format)
  return rows.map(({ value, culprit }) => {
    if (!isObject(value)) throw badRow(culprit, JSON.stringify(value), 'an object with a column for each name')
    const row = renamed(value, columns, culprit)
    found ??= detect(row)
    if (!found) throw unknownFormat(value, row, culprit)
    if (found.columns.every((column) => column in row)) return found.read(row, culprit)
    throw lackingColumn(value, row, found, culprit, format === 'auto' ? rows[0]!.culprit : undefined)
  })
}

/** What the columns of a row tell. */
export interface RowsTold {
  /** The format they have as they are called. */
  readonly format?: RowFormat
  /** The `columns` setting that would make something of them. */
  readonly columns?: Columns
  /** What they are called. */
  readonly names: readonly string[]
}

export const tellRow = ({ value, culprit }: RawRow): RowsTold => {
  if (!isObject(value)) throw badRow(culprit, JSON.stringify(value), 'an object with a column for each name')
  const names = Object.keys(value)
  const format = detect(value)?.name
  const columns = format ? undefined : guessed(value, value)
  return { names, ...(format && { format }), ...(columns && { columns }) }
}

const detect = (row: Cells): Format | undefined =>
  formats.find(({ columns }) => columns.every((column) => column in row))

const checkColumnNames = (columns: Columns): void => {
  for (const name of Object.keys(columns)) {
    if (ourNames.includes(name)) continue
    const close = near(name, ourNames)
    throw new GraftError({
      code: 'bad-option',
      culprit: `columns.${name}`,
      given: 'a name that no format has',
      expected: close.length > 0 ? close.join(' or ') : `one of ${ourNames.join(', ')}`,
    })
  }
}

/** The row under our names. A column that was given another name is no longer there under its own. */
const renamed = (row: Cells, columns: Columns, culprit: string): Cells => {
  const pairs = Object.entries(columns)
  if (pairs.length === 0) return row
  for (const [ours, theirs] of pairs) {
    if (Object.hasOwn(row, theirs)) continue
    const close = near(theirs, Object.keys(row))
    throw badRow(
      culprit,
      `no column ${theirs} (${listed(row)})`,
      `columns.${ours} to name one of them${close.length > 0 ? `; did you mean ${close.join(' or ')}?` : ''}`,
    )
  }
  const taken = new Set(pairs.map(([, theirs]) => theirs))
  const rest = Object.entries(row).filter(([name]) => !taken.has(name))
  return Object.fromEntries([...rest, ...pairs.map(([ours, theirs]) => [ours, row[theirs]])])
}

const listed = (row: Cells): string => `the columns ${Object.keys(row).join(', ') || '(none)'}`

const lackingColumn = (value: Cells, row: Cells, format: Format, culprit: string, first?: string): GraftError => {
  const missing = format.columns.filter((column) => !(column in row))
  const close = missing.flatMap((column) => near(column, Object.keys(value)).map((name) => `${name} for ${column}`))
  return badRow(
    culprit,
    listed(value),
    `${format.columns.join(' and ')}${first === undefined ? `, as format ${format.name} has` : `, as in ${first}`}${
      close.length > 0 ? `; did you mean ${close.join(', ')}?` : ''
    }`,
  )
}

const known = formats.map(({ columns }) => columns.join(' and ')).join('; or ')

const unknownFormat = (value: Cells, row: Cells, culprit: string): GraftError => {
  const guess = guessed(value, row)
  return badRow(
    culprit,
    listed(value),
    `${known}${guess === undefined ? '' : `; or set columns to ${JSON.stringify(guess)}`}`,
  )
}

/** What files call them, besides near spellings. */
const aliases: readonly (readonly [Format, Readonly<Record<string, readonly string[]>>])[] = [
  [formatOf('messages'), { messages: ['conversation', 'chat', 'dialogue', 'dialog', 'turns'] }],
  [
    formatOf('prompt-completion'),
    {
      prompt: ['question', 'query', 'input', 'instruction', 'problem', 'request', 'source', 'user', 'context', 'q'],
      completion: ['answer', 'response', 'output', 'reply', 'target', 'label', 'solution', 'assistant', 'summary', 'a'],
    },
  ],
  [formatOf('text'), { text: ['content', 'body', 'document', 'article', 'passage', 'sentence'] }],
]

const isShareGpt = (cell: unknown): boolean => Array.isArray(cell) && isObject(cell[0]) && 'from' in cell[0]

/** The `columns` setting that would make something of these columns. */
const guessed = (value: Cells, row: Cells): Columns | undefined => {
  const names = Object.keys(value)
  const find = (ours: string, others: readonly string[]): string | undefined =>
    (ours in row ? ours : undefined) ??
    names.find((name) => others.includes(name.trim().toLowerCase()) || name.trim().toLowerCase() === ours) ??
    near(
      ours,
      names.filter(({ length }) => length > 2),
    )[0]
  for (const [{ columns }, others] of aliases) {
    const found = columns.map((ours) => find(ours, others[ours]!))
    if (found.every((name) => name !== undefined) && new Set(found).size === found.length)
      return Object.fromEntries(
        columns.map((ours, i) => [isShareGpt(value[found[i]!]) ? 'conversations' : ours, found[i]!]),
      )
  }
  // Two columns of texts, whatever they are called: the first asks, the second answers.
  if (names.length === 2 && names.every((name) => typeof value[name] === 'string'))
    return { prompt: names[0]!, completion: names[1]! }
  return undefined
}
