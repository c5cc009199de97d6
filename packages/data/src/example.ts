import { GraftError } from '@graftjs/tensor/error'
import type { ChatMessage } from '@graftjs/text'
import { type PromptCompletion, promptCompletion } from './prompt-completion.ts'

/** A chat of any number of turns; what the assistant says is learnt. Tools go to the template as they are. */
export interface Conversation {
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly object[]
}

/** A text to learn from its first token to its last. */
export interface PlainText {
  readonly text: string
}

/** A row as Stanford Alpaca has it: the output is learnt. `input` may be empty. */
export interface Instruction {
  readonly instruction: string
  readonly input?: string
  readonly output: string
}

/** What `encodeExamples` takes: one shape for each kind of row. */
export type Example = PromptCompletion | Conversation | PlainText | Instruction

/** `value` if it is an example, without its other columns. `culprit` names where it stands. */
export const example = (value: unknown, culprit: string): Example => {
  if (!isObject(value)) return promptCompletion(value, culprit)
  if ('messages' in value) return conversation(value, culprit)
  if ('instruction' in value) return instruction(value, culprit)
  if ('text' in value && !('prompt' in value)) return { text: textOf(value, 'text', culprit) }
  return promptCompletion(value, culprit)
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const badRow = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-row', culprit, given, expected })

/** The text in a column. */
export const textOf = (row: Readonly<Record<string, unknown>>, column: string, culprit: string): string => {
  const value = row[column]
  if (typeof value === 'string') return value
  throw badRow(`${culprit}: ${column}`, value === null ? 'null' : typeof value, 'a text')
}

const instruction = (row: Readonly<Record<string, unknown>>, culprit: string): Instruction => ({
  instruction: textOf(row, 'instruction', culprit),
  // Files leave it out or write null where there is none.
  ...(row.input != null && { input: textOf(row, 'input', culprit) }),
  output: textOf(row, 'output', culprit),
})

/** Checks every message: a fault names its turn, counted from 0. */
export const conversation = ({ messages, tools }: Readonly<Record<string, unknown>>, culprit: string): Conversation => {
  if (!Array.isArray(messages)) throw badRow(`${culprit}: messages`, typeof messages, 'a list of messages')
  if (messages.length === 0) throw badRow(`${culprit}: messages`, 'none', 'at least one message')
  messages.forEach((message: unknown, turn) => {
    const where = `${culprit}: messages[${turn}]`
    if (!isObject(message)) throw badRow(where, JSON.stringify(message), 'an object with role and content')
    if (typeof message.role !== 'string' || message.role === '')
      throw badRow(`${where}: role`, JSON.stringify(message.role) ?? 'nothing', 'user, assistant, system or tool')
    const { content } = message
    const spoken = typeof content === 'string' || Array.isArray(content)
    if (!spoken && !(content == null && (Array.isArray(message.tool_calls) || message.role === 'assistant')))
      throw badRow(`${where}: content`, content === null ? 'null' : typeof content, 'a text')
  })
  if (tools == null) return { messages }
  if (!Array.isArray(tools)) throw badRow(`${culprit}: tools`, typeof tools, 'a list of tools')
  return { messages, tools }
}
