import { GraftError } from '@graftjs/tensor/error'
import type { ChatMessage, Tokenizer } from '@graftjs/text'
import { type LearntSpan, learntSpan } from './learnt-span.ts'
import { type Encoding, encodeText } from './special-places.ts'

/** Renders messages; `open` ends with the opening of an answer. */
export type Render = (messages: readonly ChatMessage[], open: boolean) => string

interface Search {
  readonly tokenizer: Tokenizer
  readonly render: Render
  readonly messages: readonly ChatMessage[]
  readonly whole: Encoding
  /** What the template writes after the last message when no answer is to follow, such as Phi-3's EOS. */
  readonly closing: string
  readonly culprit: string
}

export interface TurnSpan extends LearntSpan {
  readonly turn: number
  /** Generating starts from another text than the one in front of this span. */
  readonly reopened: boolean
}

/**
 * Where the assistant's turns are in the whole text, for a template that does not mark them: from where generating would
 * start to the turn's end token. Found by rendering the messages up to the turn; where a template writes these otherwise
 * once more follow (Qwen3 drops earlier thinking), by rendering the whole with the turn's content replaced.
 */
export const turnSpans = (search: Search, turns: readonly number[]): TurnSpan[] => {
  let from = 0
  return turns.map((turn) => {
    const span = spanOf(search, turn)
    if (span.start < from || span.end < span.start) throw noMask(search, turn, 'turns that overlap')
    from = span.end
    return span
  })
}

const spanOf = (search: Search, turn: number): TurnSpan => {
  const { render, messages, whole } = search
  const before = render(messages.slice(0, turn), true)
  const differ = once(() => difference(search, turn))
  const straight = whole.text.startsWith(before)
  const start = straight ? before.length : rewrittenStart(search, turn, before, differ())
  const { end, body, ended } = endOf(search, turn, start, differ)
  if (!holds(whole.text.slice(start, end), messages[turn]!)) {
    const [from, to] = differ()
    if (from < start || to > end) throw noMask(search, turn, 'a text that is not all in one place')
  }
  return { turn, start, end, body, ended, reopened: !straight && !whole.text.slice(0, start).endsWith(before.slice(-8)) }
}

/** Not a character of any text: the template can only copy it. */
const STAND_IN = '\uE123'

const noMask = ({ culprit }: Search, turn: number, given: string): GraftError =>
  new GraftError({
    code: 'no-mask',
    culprit: `${culprit}: messages[${turn}]`,
    given,
    expected:
      'a turn that can be found in what the chat template renders; a template with {% generation %} marks says where it is',
  })

/** Whether what the message says is there as it is, or as templates trim it. */
const holds = (text: string, { content, tool_calls: calls }: ChatMessage): boolean => {
  const parts = Array.isArray(content) ? content.map((part: { text?: unknown }) => part.text ?? '') : [content ?? '']
  if (parts.every((part) => part === '') && Array.isArray(calls)) return true
  // Templates that part thinking from the answer may render the answer alone.
  return parts.every((part) => text.includes(String(part).split('</think>').at(-1)!.trim()))
}

const once = <T>(make: () => T): (() => T) => {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

const replaced = (messages: readonly ChatMessage[], turn: number): ChatMessage[] =>
  messages.map((message, i) => {
    if (i !== turn) return message
    const content = Array.isArray(message.content) ? [{ type: 'text', text: STAND_IN }] : STAND_IN
    return { ...message, content }
  })

/** The same, with the stand-in as the name of each function called. */
const renamed = (messages: readonly ChatMessage[], turn: number): ChatMessage[] =>
  messages.map((message, i) => {
    const calls: unknown = message.tool_calls
    if (i !== turn || !Array.isArray(calls)) return message
    return {
      ...message,
      tool_calls: calls.map((call: { function?: object }) =>
        call.function ? { ...call, function: { ...call.function, name: STAND_IN } } : { ...call, name: STAND_IN },
      ),
    }
  })

/** What of `text` changes with what turn `turn` of `messages` says. */
const varying = (search: Search, messages: readonly ChatMessage[], turn: number, text: string): [number, number] => {
  for (const change of [replaced, renamed]) {
    let other: string
    try {
      other = search.render(change(messages, turn), false)
    } catch {
      continue
    }
    if (other === text) continue
    const from = commonPrefix(text, other)
    return [from, text.length - Math.min(commonSuffix(text, other), text.length - from)]
  }
  throw noMask(search, turn, 'a turn that the template does not render')
}

const difference = (search: Search, turn: number): [number, number] =>
  varying(search, search.messages, turn, search.whole.text)

const commonPrefix = (a: string, b: string): number => {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
const commonSuffix = (a: string, b: string): number => {
  let n = 0
  while (n < a.length && n < b.length && a[a.length - 1 - n] === b[b.length - 1 - n]) n++
  return n
}

const without = (text: string, closing: string): string =>
  closing !== '' && text.endsWith(closing) ? text.slice(0, -closing.length) : text

/** The end of the turn's opening in a whole whose earlier part is rendered otherwise than the prompt's. */
const rewrittenStart = (search: Search, turn: number, before: string, [from]: [number, number]): number => {
  const { tokenizer, render, messages, whole, closing } = search
  const bare = turn === 0 ? '' : without(render(messages.slice(0, turn), false), closing)
  const opening = before.slice(commonPrefix(bare, before))
  if (before.startsWith(bare) && whole.text.startsWith(bare)) {
    // The answer opens otherwise when it is generated: DeepSeek's generation prompt has a <think> that no turn has.
    const start = Math.min(from, bare.length + commonPrefix(opening, whole.text.slice(bare.length)))
    if (start > bare.length) return start
  }
  const least = turn === 0 ? 0 : varying(search, messages, turn - 1, whole.text)[1]
  const shorter = encodeText(tokenizer, opening).specials.map(({ end }) => opening.slice(0, end))
  for (const head of [opening, ...shorter.reverse()]) {
    const at = head === '' ? -1 : whole.text.lastIndexOf(head, from - head.length)
    if (at >= least) return at + head.length
  }
  throw noMask(search, turn, `no ${JSON.stringify(opening)} in front of it`)
}

const endOf = (search: Search, turn: number, start: number, differ: () => [number, number]): LearntSpan => {
  const { tokenizer, render, messages, whole, closing } = search
  const { text, specials } = whole
  const last = turn === messages.length - 1
  const upTo = without(last ? text : render(messages.slice(0, turn + 1), false), closing)
  if (text.startsWith(upTo) && upTo.length >= start) return learntSpan(text, specials, start, upTo.length)
  // What follows the turn's last words when it is the last turn: tool calls, the end token, a line break.
  const head = messages.slice(0, turn + 1)
  const full = render(head, false)
  const tail = without(full.slice(varying(search, head, turn, full)[1]), closing)
  const [, from] = differ()
  const same = commonPrefix(tail, text.slice(from))
  if (same === tail.length) return learntSpan(text, specials, start, from + same)
  // An end token that is another where more follows: gpt-oss ends its last turn with <|return|>, others with <|end|>.
  const other = specials.find((place) => place.start >= from && place.start <= from + same && place.end > from + same)
  if (other && encodeText(tokenizer, tail.slice(other.start - from)).specials[0]?.start === 0)
    return learntSpan(text, specials, start, other.end)
  throw noMask(search, turn, `${JSON.stringify(text.slice(from, from + 40))} behind it, and ${JSON.stringify(tail.slice(0, 40))} where it is the last turn`)
}

/**
 * What a template writes once, after the last message, when no answer is to follow. Told from two probes, once a template;
 * none where the template refuses them.
 */
export const closingOf = (tokenizer: Tokenizer, render: Render): string => {
  const probe = [
    { role: 'user', content: STAND_IN },
    { role: 'assistant', content: STAND_IN },
  ]
  const after = (messages: readonly ChatMessage[], open: boolean): string => {
    const text = render(messages, open)
    const second = text.indexOf(STAND_IN, text.indexOf(STAND_IN) + 1)
    return second < 0 ? '' : text.slice(second + 1)
  }
  try {
    const closed = after(probe, false)
    const more = after([...probe, { role: 'user', content: 'x' }], false)
    let same = commonPrefix(closed, more)
    const { specials } = encodeText(tokenizer, closed)
    // Not half a special token.
    same = specials.find(({ start, end }) => start < same && same < end)?.start ?? same
    // With no end token in the part that stays, what differs is the end token itself.
    return specials.some(({ end }) => end <= same) ? closed.slice(same) : ''
  } catch {
    return ''
  }
}
