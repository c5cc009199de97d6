import { GraftError } from '@graftjs/tensor/error'

export interface JsonlOptions<T> {
  /** The file, for errors. */
  readonly name?: string
  /** Checks a row; `culprit` names its line. */
  readonly row: (value: unknown, culprit: string) => T
}

/** The values of a text with one JSON value a line. Empty lines are passed over. */
export function readJsonl(text: string, options?: { readonly name?: string }): unknown[]
export function readJsonl<T>(text: string, options: JsonlOptions<T>): T[]
export function readJsonl<T>(text: string, { name = 'JSONL', row }: Partial<JsonlOptions<T>> = {}): unknown[] {
  const rows: unknown[] = []
  // A byte order mark is no part of the first value.
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue
    const culprit = `${name}, line ${i + 1}`
    const value = parsed(line, culprit)
    rows.push(row ? row(value, culprit) : value)
  }
  return rows
}

const parsed = (line: string, culprit: string): unknown => {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-row',
      culprit,
      given: (cause as Error).message,
      expected: 'one JSON value on the line',
      cause,
    })
  }
}
