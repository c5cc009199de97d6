import { GraftError } from '@graftjs/tensor/error'
import type { ChatMessage, ChatOptions, Span, Tokenizer } from '@graftjs/text'
import type { Conversation } from './example.ts'
import { type LearntSpan, learntSpan } from './learnt-span.ts'
import { type Encoding, encodeText } from './special-places.ts'
import { closingOf, type Search, type TurnSpan, turnSpans } from './turn-spans.ts'

/** What of a conversation is learnt: all the assistant says, its last turn, or every token. */
export type Learn = 'assistant' | 'last' | 'all'

export interface Masked {
  readonly encoding: Encoding
  readonly spans: readonly LearntSpan[]
  /** What is to be said of it: rows that share a remark share its text. */
  readonly remarks: readonly string[]
}

export interface Masker {
  mask(conversation: Conversation, culprit: string): Masked
  /** The text that generating starts from. */
  opening(messages: readonly ChatMessage[]): string
  /** The text of a whole conversation. */
  whole(messages: readonly ChatMessage[]): string
}

/** Finds what to learn in conversations, by one tokenizer's chat template. `today` is what the template takes for it. */
export const masker = (tokenizer: Tokenizer, learn: Learn, today?: Date): Masker => {
  // One for all: what is rendered twice is compared.
  const now = today ?? new Date()
  const closings = new Map<boolean, string>()
  const search = (messages: readonly ChatMessage[], whole: Encoding, options: ChatOptions, culprit: string): Search => {
    const render = (list: readonly ChatMessage[], open: boolean): string =>
      tokenizer.applyChat(list, { ...options, addGenerationPrompt: open })
    const withTools = options.tools !== undefined
    const closing = closings.get(withTools) ?? closingOf(tokenizer, render)
    closings.set(withTools, closing)
    return { tokenizer, render, messages, whole, closing, culprit }
  }
  return {
    opening: (messages) => tokenizer.applyChat(messages, { now, addGenerationPrompt: true }),
    whole: (messages) => tokenizer.applyChat(messages, { now }),
    mask: (given, culprit) => {
      const options: ChatOptions = { now, ...(given.tools && { tools: given.tools }) }
      const { messages, text, generated } = renderWhole(tokenizer, given.messages, options)
      const encoding = encodeText(tokenizer, text)
      const dated = today === undefined ? datedRemark(tokenizer, messages, options, text) : []
      if (learn === 'all') return everything(messages, encoding, dated)
      const turns = messages.flatMap(({ role }, i) => (isAssistant(role) ? [i] : []))
      if (turns.length === 0) throw nothingSaid(culprit)
      const wanted = learn === 'last' ? turns.slice(-1) : turns
      const [spans, remarks] = generated
        ? [marked(tokenizer, encoding, generated, messages, wanted, options, culprit), []]
        : unmarked(turnSpans(search(messages, encoding, options, culprit), wanted))
      const said = spans.map(({ start, end }) => text.slice(start, end)).join('\n')
      const asked = wanted.map((turn) => messages[turn]!)
      return { encoding, spans, remarks: [...dated, ...remarks, ...unrenderedCalls(asked, said)] }
    },
  }
}

/** Samples that are others tomorrow: a run could not be taken up to the bit. */
const datedRemark = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions,
  text: string,
): string[] => {
  const { source = '', toolUse = '' } = tokenizer.chat ?? {}
  if (!`${source}${toolUse}`.includes('strftime_now')) return []
  const other = new Date(options.now!.getTime() + 400 * 24 * 3600 * 1000)
  return tokenizer.applyChat(messages, { ...options, now: other }) === text
    ? []
    : ["the chat template writes today's date: the same rows have other tokens on another day, unless `now` is given"]
}

const everything = (messages: readonly ChatMessage[], encoding: Encoding, remarks: readonly string[]): Masked => {
  const { length } = encoding.text
  const span = { start: 0, end: length, body: length, ended: true }
  return { encoding, spans: [span], remarks: [...remarks, ...unrenderedCalls(messages, encoding.text)] }
}

const unmarked = (spans: readonly TurnSpan[]): [readonly LearntSpan[], string[]] => [
  spans,
  spans.some(({ reopened }) => reopened)
    ? ['the chat template opens an answer otherwise when it is generated than in a conversation that has it']
    : [],
]

/** What the template marks of the turns that are wanted: all, or the last. */
const marked = (
  tokenizer: Tokenizer,
  { text, specials }: Encoding,
  generated: readonly Span[],
  messages: readonly ChatMessage[],
  wanted: readonly number[],
  options: ChatOptions,
  culprit: string,
): LearntSpan[] => {
  const before = messages.slice(0, wanted[0])
  // Marks of turns before the first that is wanted; none if there is no such turn.
  const earlier = before.some(({ role }) => isAssistant(role))
    ? (tokenizer.applyChatSpans(before, options).generated?.length ?? 0)
    : 0
  const spans = generated
    .slice(earlier)
    .map(([start, end]) => learntSpan(text, specials, start, end))
    .filter(({ start, end }) => end > start)
  if (spans.length > 0) return spans
  throw new GraftError({
    code: 'no-mask',
    culprit,
    given: 'no turn that the chat template marks with {% generation %}',
    expected: 'a template that marks what the assistant says, or one without marks',
  })
}

const nothingSaid = (culprit: string): GraftError =>
  new GraftError({
    code: 'nothing-to-learn',
    culprit,
    given: 'no turn of the assistant',
    expected: 'at least one, or learn: all',
  })

const isAssistant = (role: string): boolean => ['assistant', 'model', 'chatbot'].includes(role.toLowerCase())

interface Whole {
  readonly messages: readonly ChatMessage[]
  readonly text: string
  readonly generated?: readonly Span[]
}

/** OpenAI writes the arguments of a call as a JSON text. A template that would quote that text again gets the value. */
const renderWhole = (tokenizer: Tokenizer, messages: readonly ChatMessage[], options: ChatOptions): Whole => {
  const parsed = messages.map(withParsedArguments)
  const texts = messages.flatMap(argumentTexts)
  if (texts.length === 0) return { messages, ...tokenizer.applyChatSpans(messages, options) }
  const plain = tokenizer.applyChatSpans(messages, options)
  if (!texts.some((text) => plain.text.includes(JSON.stringify(text)))) return { messages, ...plain }
  return { messages: parsed, ...tokenizer.applyChatSpans(parsed, options) }
}

interface Call {
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown }
  readonly name?: unknown
  readonly arguments?: unknown
}

const callsOf = ({ tool_calls: calls }: ChatMessage): readonly Call[] =>
  Array.isArray(calls) ? calls.filter((call: unknown) => typeof call === 'object' && call !== null) : []

const argumentTexts = (message: ChatMessage): string[] =>
  callsOf(message)
    .map((call) => (call.function ?? call).arguments)
    .filter((text): text is string => typeof text === 'string' && isParsed(text))

const isParsed = (text: string): boolean => typeof parsedOr(text) === 'object'

const parsedOr = (value: unknown): unknown => {
  if (typeof value !== 'string') return value
  try {
    const parsed: unknown = JSON.parse(value)
    return typeof parsed === 'object' && parsed !== null ? parsed : value
  } catch {
    return value
  }
}

const withParsedArguments = (message: ChatMessage): ChatMessage => {
  const calls = callsOf(message)
  if (calls.length === 0) return message
  const value = <T extends Call>(call: T): T => ({ ...call, arguments: parsedOr(call.arguments) })
  return {
    ...message,
    tool_calls: calls.map((call) => (call.function ? { ...call, function: value(call.function) } : value(call))),
  }
}

const unrenderedCalls = (messages: readonly ChatMessage[], text: string): string[] => {
  const names = messages.flatMap(callsOf).map((call) => (call.function ?? call).name)
  return names.some((name) => typeof name === 'string' && !text.includes(name))
    ? ['the chat template does not render tool_calls: they are not learnt']
    : []
}
