import { type ParseArgsConfig, parseArgs } from 'node:util'
import { GraftError } from '@graftjs/tensor/error'

export interface Command {
  /** One line for the overview. */
  readonly summary: string
  readonly help: string
  /** May return an exit code other than 0. */
  run(args: readonly string[]): Promise<void> | Promise<number>
}

type Options = NonNullable<ParseArgsConfig['options']>
export type Values = Record<string, string | boolean | undefined>

/** Node's own parser, with its errors as ours. */
export const parse = (
  args: readonly string[],
  options: Options,
  positionals = 0,
): { values: Values; positionals: string[] } => {
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: positionals > 0, strict: true })
    return { values: parsed.values as Values, positionals: parsed.positionals ?? [] }
  } catch (cause) {
    throw new GraftError({
      code: 'bad-option',
      culprit: 'arguments',
      message: (cause as Error).message.split('\n')[0]!,
      cause,
    })
  }
}

export const required = (values: Values, name: string): string => {
  const value = values[name]
  if (typeof value === 'string' && value) return value
  throw new GraftError({
    code: 'bad-option',
    culprit: `--${name}`,
    given: 'nothing',
    expected: 'a value; --help shows the command',
  })
}

export const numberOf = (values: Values, name: string, absent: number, min = 0): number => {
  if (values[name] === undefined) return absent
  const value = Number(values[name])
  if (Number.isFinite(value) && value >= min) return value
  throw new GraftError({
    code: 'bad-option',
    culprit: `--${name}`,
    given: String(values[name]),
    expected: `a number ≥ ${min}`,
  })
}

/** JSON alone on stdout. */
export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
/** Everything for people. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`)
