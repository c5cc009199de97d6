import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { Environment, parse, tokenize } from '@huggingface/jinja'
import { type Budget, BudgetedInterpreter, overBudget } from './budget.ts'
import { strftime } from './strftime.ts'

export interface RenderOptions {
  /** What `strftime_now` tells. Default: the clock. */
  readonly now?: Date
  /** Evaluations allowed. Default 1,000,000. */
  readonly steps?: number
  /** Characters allowed. Default 1,000,000 and four times those of the variables. */
  readonly maxOutput?: number
}

const maxTemplate = 1_000_000
const maxRange = 100_000
const maxDepth = 200

/**
 * Renders a chat template: untrusted Jinja out of a model's folder. It sees plain data (`variables` as JSON) and the
 * functions raise_exception, strftime_now, range (at most 100,000 long) and namespace, and works within a budget.
 */
export const renderChat = (
  template: string,
  variables: Readonly<Record<string, unknown>>,
  { now = new Date(), steps = 1_000_000, maxOutput }: RenderOptions = {},
): string => {
  if (template.length > maxTemplate) throw overBudget('characters of source', maxTemplate)
  const data = plain(variables)
  const budget: Budget = { steps, text: maxOutput ?? 1_000_000 + 4 * data.length, depth: maxDepth }
  try {
    // The options of transformers.
    const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }))
    const environment = globals(now)
    for (const [name, value] of Object.entries(JSON.parse(data) as object)) environment.set(name, value)
    return String(new BudgetedInterpreter(environment, budget).run(program).value)
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
