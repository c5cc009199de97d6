import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { Environment, parse, tokenize } from '@huggingface/jinja'
import { type Budget, BudgetedInterpreter, type Marks, overBudget } from './budget.ts'
import { hasGeneration, rewriteGeneration } from './generation-tags.ts'
import { type Program, prepareProgram } from './prepare-program.ts'
import { strftime } from './strftime.ts'

export interface RenderOptions {
  /** What `strftime_now` tells. Default: the clock. */
  readonly now?: Date
  /** Evaluations allowed. Default 1,000,000. */
  readonly steps?: number
  /** Characters allowed. Default 1,000,000 and four times those of the variables. */
  readonly maxOutput?: number
}

// Real ones have at most 20,000 characters; parsing takes 0.2 ms a thousand.
const maxTemplate = 400_000
const maxRange = 100_000
const maxDepth = 200
const maxWhiteSpace = 20_000_000

/** Of a text, from its first character to the one after its last (UTF-16 units). */
export type Span = readonly [start: number, end: number]

export interface RenderedChat {
  readonly text: string
  /** What `{% generation %}` blocks rendered, in order. Absent where the template has no such block. */
  readonly generated?: readonly Span[]
}

/**
 * Renders a chat template: untrusted Jinja out of a model's folder. It sees plain data (`variables` as JSON) and the
 * functions raise_exception, strftime_now, range (at most 100,000 long) and namespace, and works within a budget.
 */
export const renderChat = (
  template: string,
  variables: Readonly<Record<string, unknown>>,
  options: RenderOptions = {},
): string => render(template, plain(variables), options).text

/** The same text, and which parts of it the template marks as the assistant's with `{% generation %}`. */
export const renderChatSpans = (
  template: string,
  variables: Readonly<Record<string, unknown>>,
  { now = new Date(), ...options }: RenderOptions = {},
): RenderedChat => {
  const data = plain(variables)
  const { text } = render(template, data, { ...options, now })
  if (!hasGeneration(template)) return { text }
  const marks = unusedMarks(template + data + text)
  const marked = render(template, data, { ...options, now }, marks)
  const generated = spansOf(marked.text, marks)
  // A template that looks at what a block rendered (trims it, measures it) may make another text of it with the marks in.
  if (generated && generated.length === marked.generated && marked.text.length === text.length + 2 * generated.length)
    if (marked.text.replaceAll(marks.open, '').replaceAll(marks.close, '') === text) return { text, generated }
  throw new GraftError({
    code: 'bad-template',
    culprit: 'chat template',
    given: 'generation blocks whose text the template changes afterwards',
    expected: 'generation blocks that are written out as they are, not inside each other',
  })
}

/** Two private-use characters that occur nowhere. */
const unusedMarks = (everything: string): Marks => {
  const free: string[] = []
  for (let code = 0xe000; code < 0xf900 && free.length < 2; code++) {
    const mark = String.fromCharCode(code)
    if (!everything.includes(mark)) free.push(mark)
  }
  if (free.length === 2) return { open: free[0]!, close: free[1]! }
  throw overBudget('private-use characters', 0xf900 - 0xe000 - 2)
}

/** Where the marked parts are once the marks are out; undefined if they are not one after the other. */
const spansOf = (text: string, { open, close }: Marks): Span[] | undefined => {
  const spans: Span[] = []
  let start: number | undefined
  let marks = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== open && text[i] !== close) continue
    if ((text[i] === open) !== (start === undefined)) return undefined
    if (start === undefined) start = i - marks
    else {
      spans.push([start, i - marks])
      start = undefined
    }
    marks++
  }
  return start === undefined ? spans : undefined
}

const render = (
  template: string,
  data: string,
  { now = new Date(), steps = 1_000_000, maxOutput }: RenderOptions,
  marks?: Marks,
): { text: string; generated: number } => {
  const budget: Budget = { steps, text: maxOutput ?? 1_000_000 + 4 * data.length, depth: maxDepth }
  try {
    const program = compiled(template)
    const environment = globals(now)
    for (const [name, value] of Object.entries(JSON.parse(data) as object)) environment.set(name, value)
    const interpreter = new BudgetedInterpreter(environment, budget, marks)
    return { text: String(interpreter.run(program).value), generated: interpreter.generated }
  } catch (cause) {
    if (isGraftError(cause)) throw cause
    throw new GraftError({
      code: 'bad-template',
      culprit: 'chat template',
      given: (cause as Error).message,
      expected: 'a Jinja template that fits these messages',
      cause,
    })
  }
}

/** A file of rows renders one template thousands of times. */
const programs = new Map<string, Program>()
const maxPrograms = 8

const compiled = (template: string): Program => {
  const known = programs.get(template)
  if (known) return known
  if (template.length > maxTemplate) throw overBudget('characters of source', maxTemplate)
  checkWhiteSpace(template)
  // The options of transformers, and Jinja's line ends: some templates are written with CR LF.
  const source = rewriteGeneration(template.replace(/\r\n?/g, '\n'))
  const program = prepareProgram(parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })))
  if (programs.size >= maxPrograms) programs.delete(programs.keys().next().value!)
  programs.set(template, program)
  return program
}

/** The parser looks for tags behind white space in a time that is quadratic in its length. */
const checkWhiteSpace = (template: string): void => {
  let work = 0
  for (const [run] of template.matchAll(/\s+/g)) work += run.length ** 2
  if (work > maxWhiteSpace) throw overBudget('steps through white space', maxWhiteSpace)
}

const plain = (variables: object): string => {
  try {
    return JSON.stringify(variables)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-option',
      culprit: 'messages',
      given: (cause as Error).message,
      expected: 'plain data, as JSON has it',
      cause,
    })
  }
}

const globals = (now: Date): Environment => {
  const environment = new Environment()
  for (const [name, value] of [
    ['true', true],
    ['True', true],
    ['false', false],
    ['False', false],
    ['none', null],
    ['None', null],
  ] as const)
    environment.set(name, value)
  environment.set('range', range)
  environment.set('strftime_now', (format: string) => strftime(now, String(format)))
  environment.set('raise_exception', (message: string) => {
    throw new GraftError({
      code: 'chat-template',
      culprit: 'chat template',
      message: `the chat template refuses these messages: ${message}`,
    })
  })
  return environment
}

/** Python's range. */
const range = (first: number, end?: number, step = 1): number[] => {
  const [from, to] = typeof end === 'number' ? [first, end] : [0, first]
  const length = Math.max(0, Math.ceil((to - from) / step))
  if (!(length <= maxRange)) throw overBudget('elements in a range', maxRange)
  return Array.from({ length }, (_, i) => from + i * step)
}
