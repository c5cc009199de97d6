import { fileSource } from '@graftjs/files'

export interface DataHints {
  readonly data: { readonly format?: string; readonly columns?: Readonly<Record<string, string>> }
  /** For people. */
  readonly notes: readonly string[]
}

/** A row of so many bytes is not looked at. */
const LOOK = 1 << 16

/** Columns that tell a format. */
const formats: readonly (readonly [format: string, columns: readonly string[]])[] = [
  ['messages', ['messages']],
  ['sharegpt', ['conversations']],
  ['prompt-completion', ['prompt', 'completion']],
  ['alpaca', ['instruction', 'output']],
  ['text', ['text']],
]
/** What others call a prompt and its completion. */
const pairs = [
  ['question', 'answer'],
  ['query', 'response'],
  ['prompt', 'response'],
  ['input', 'output'],
  ['source', 'target'],
] as const

/** How the rows of a file are likely to be read, by the columns of the first. */
export const dataHints = async (file: string): Promise<DataHints> => {
  const columns = columnsOf(await firstText(file), file)
  if (!columns) return { data: {}, notes: [`${file}: its columns could not be told; see data.format and data.columns`] }
  const found = formats.find(([, needed]) => needed.every((name) => columns.includes(name)))
  if (found) return { data: { format: found[0] }, notes: [`${file}: rows of the format ${found[0]}`] }
  const lower = new Map(columns.map((name) => [name.toLowerCase(), name]))
  const pair = pairs.find((names) => names.every((name) => lower.has(name)))
  if (!pair)
    return {
      data: {},
      notes: [`${file}: has the columns ${columns.join(', ')}; say which are prompt and completion in data.columns`],
    }
  const map = { prompt: lower.get(pair[0])!, completion: lower.get(pair[1])! }
  return {
    data: { format: 'prompt-completion', columns: map },
    notes: [`${file}: ${map.prompt} is taken for the prompt and ${map.completion} for the completion`],
  }
}

const firstText = async (file: string): Promise<string> => {
  const source = await fileSource(file)
  try {
    return new TextDecoder().decode(await source.read(0, Math.min(LOOK, source.size)))
  } finally {
    await source.close()
  }
}

const columnsOf = (text: string, file: string): string[] | undefined => {
  const [line = ''] = text.split(/\r?\n/, 1)
  if (/\.[ct]sv$/i.test(file))
    return line.split(/\.tsv$/i.test(file) ? '\t' : ',').map((name) => name.trim().replaceAll(/^"|"$/g, ''))
  try {
    const value: unknown = JSON.parse(/\.json$/i.test(file) ? text : line)
    const row: unknown = Array.isArray(value) ? value[0] : value
    return typeof row === 'object' && row !== null ? Object.keys(row) : undefined
  } catch {
    return undefined
  }
}
