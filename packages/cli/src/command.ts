import { parseArgs } from 'node:util'
import { GraftError } from '@graftjs/tensor/error'
import { nearKey } from './near-key.ts'

/** What may stand in a place of the command line: a shell completes it. */
export type Complete = 'file' | 'folder' | readonly string[]

export interface Option {
  /** What help and the documentation say of it. */
  readonly about: string
  /** The name of its value, such as `N`; a switch where absent. */
  readonly value?: string
  readonly complete?: Complete
}
export type Options = Readonly<Record<string, Option>>

/** What stands behind the command's name without a dash. */
export interface Operand {
  readonly name: string
  readonly optional?: boolean
  readonly complete?: Complete
}

export type Values = Readonly<Record<string, string | boolean | undefined>>

/** A command line, read by a command's own tables. */
export interface Given {
  readonly values: Values
  readonly operands: readonly string[]
}

/** Its tables are the one source of what it takes: of its help, its parsing and its completion. */
export interface Command {
  /** One line for the overview. */
  readonly summary: string
  /** What comes behind `graft NAME`; a line for each way to call it. */
  readonly usage: readonly string[]
  /** Paragraphs for `--help`. */
  readonly about: string
  readonly options: Options
  readonly operands?: readonly Operand[]
  /** May return an exit code other than 0. */
  run(given: Given): Promise<void> | Promise<number>
}

/** Shared by the commands that have them. */
export const jsonOption: Option = { about: 'prints JSON, and nothing else, on stdout' }
export const modelOption: Option = {
  value: 'M',
  about: 'a hub id (owner/name), a folder with config.json and safetensors, or a .gguf file',
  complete: 'file',
}
export const adapterOption: Option = {
  value: 'DIR',
  about: "an adapter's folder, as PEFT lays it out",
  complete: 'folder',
}

/** Node's own parser, with its errors as ours. */
export const parse = (
  args: readonly string[],
  { options, operands = [] }: Pick<Command, 'options' | 'operands'>,
): Given => {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { value }]) => [
      name,
      { type: value ? ('string' as const) : ('boolean' as const) },
    ]),
  )
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: config,
      allowPositionals: true,
      strict: true,
    })
    checkOperands(positionals, operands)
    return { values: values as Values, operands: positionals }
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    throw new GraftError({
      code: 'bad-option',
      culprit: 'arguments',
      message: parseFault(cause as Error, options),
      cause,
    })
  }
}

const parseFault = ({ message }: Error, options: Options): string => {
  const unknown = /^Unknown option '(-+)([^']*)'/.exec(message)
  if (!unknown) return message.split('\n')[0]!
  const close = nearKey(unknown[2]!, Object.keys(options))
  const known = Object.keys(options).map((name) => `--${name}`)
  return `no option ${unknown[1]}${unknown[2]}; ${
    close.length ? `did you mean ${close.map((name) => `--${name}`).join(' or ')}?` : `there are ${known.join(', ')}`
  }`
}

const checkOperands = (given: readonly string[], operands: readonly Operand[]): void => {
  const needed = operands.filter(({ optional }) => !optional)
  if (given.length >= needed.length && given.length <= operands.length) return
  const missing = operands[given.length]
  throw new GraftError({
    code: 'bad-option',
    culprit: 'arguments',
    given: given.length === 0 ? 'nothing' : given.map((text) => JSON.stringify(text)).join(' '),
    expected: missing
      ? `${missing.name}; --help shows the command`
      : operands.length
        ? `${operands.map(({ name }) => name).join(' ')} alone`
        : 'options alone; --help shows them',
  })
}

/** What `graft NAME --help` prints. */
export const helpOf = (name: string, { usage, about, options }: Command): string => {
  const left = Object.entries(options).map(([key, { value }]) => `--${key}${value ? ` ${value}` : ''}`)
  const width = Math.max(0, ...left.map(({ length }) => length))
  const lines = Object.values(options).map(({ about: text }, i) => `  ${left[i]!.padEnd(width)}  ${text}`)
  return [
    ...usage.map((line) => `graft ${name} ${line}`.trimEnd()),
    '',
    about.trim(),
    ...(lines.length ? ['', ...lines] : []),
  ].join('\n')
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
  if (values[name] !== '' && Number.isFinite(value) && value >= min) return value
  throw new GraftError({
    code: 'bad-option',
    culprit: `--${name}`,
    given: String(values[name]),
    expected: `a number ≥ ${min}`,
  })
}

export const wholeOf = (values: Values, name: string, absent: number, min = 0): number => {
  const value = numberOf(values, name, absent, min)
  if (Number.isInteger(value)) return value
  throw new GraftError({
    code: 'bad-option',
    culprit: `--${name}`,
    given: String(values[name]),
    expected: `a whole number ≥ ${min}`,
  })
}

/** JSON alone on stdout. */
export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
/** Everything for people. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`)
