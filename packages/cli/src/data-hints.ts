import { tellRows } from '@graftjs/data'
import { readText } from './read-text.ts'

export interface DataHints {
  readonly data: { readonly format?: string; readonly columns?: Readonly<Record<string, string>> }
  /** For people. */
  readonly note: string
}

/** How the rows of a file are to be read, by the columns of the first. */
export const dataHints = async (file: string): Promise<DataHints> => {
  const { format, columns, names } = tellRows(await readText(file), { name: file })
  if (format) return { data: { format }, note: `${file}: rows of the format ${format}` }
  if (!columns)
    return { data: {}, note: `${file}: has the columns ${names.join(', ')}; say which are which in data.columns` }
  const taken = Object.entries(columns).map(([ours, theirs]) => `${theirs} is taken for the ${ours}`)
  return { data: { columns }, note: `${file}: ${taken.join(' and ')}` }
}
