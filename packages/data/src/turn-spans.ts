import { GraftError } from '@graftjs/tensor/error'
import type { ChatMessage, Tokenizer } from '@graftjs/text'
import { changedText, commonPrefix, type Render, replaced, STAND_IN, varying } from './changed-turn.ts'
import { type LearntSpan, learntSpan } from './learnt-span.ts'
import { type Encoding, encodeText } from './special-places.ts'

export interface Search {
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
  const bare = once(() => (turn === 0 ? '' : without(render(messages.slice(0, turn), false), search.closing)))
  const opening = straight ? '' : before.slice(commonPrefix(bare(), before))
  const start = straight ? before.length : rewrittenStart(search, turn, bare(), opening, differ()[0])
  const { end, body, ended, plain } = endOf(search, turn, start, differ)
  // What the whole has between two of its own beginnings is the turn's; anything else has to be checked.
  if (!straight || !plain) checkAlone(search, turn, start, end, differ())
  if (!holds(whole.text.slice(start, end), messages[turn]!)) {
    const [from, to] = differ()
    if (from < start || to > end) throw noMask(search, turn, 'a text that is not all in one place')
  }
  return { turn, start, end, body, ended, reopened: !whole.text.slice(0, start).endsWith(opening) }
}

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

/** What of the whole changes with what the turn says; the error of a turn that is not rendered names it. */
const difference = (search: Search, turn: number): [number, number] =>
  varying(search.render, search.messages, turn, search.whole.text) ?? fail(search, turn)

const fail = (search: Search, turn: number): never => {
  throw noMask(search, turn, 'a turn that the template does not render')
}

/** A span found by looking for it must have all that the turn says, and nothing that another message says. */
const checkAlone = (search: Search, turn: number, start: number, end: number, [from, to]: [number, number]): void => {
  const { render, messages, whole } = search
  if (from < start || to > end) throw noMask(search, turn, 'a text that is not all in one place')
  const silent = changedText(
    render,
    replaced(messages, (i) => i !== turn),
  )
  if (silent?.includes(whole.text.slice(start, end))) return
  // How a turn is written may hang on what others say: then one by one.
  for (const other of messages.keys()) {
    const [a, b] = (other !== turn && varying(render, messages, other, whole.text)) || [0, 0]
    if (a < end && b > start) throw noMask(search, turn, `a text with that of messages[${other}] in it`)
  }
}

const without = (text: string, closing: string): string =>
  closing !== '' && text.endsWith(closing) ? text.slice(0, -closing.length) : text

/** The end of the turn's opening in a whole that does not begin as the prompt does; at most `to`, where its text is. */
const rewrittenStart = (search: Search, turn: number, bare: string, opening: string, to: number): number => {
  const { tokenizer, messages, whole } = search
  if (whole.text.startsWith(bare)) {
    // The answer opens otherwise when it is generated: DeepSeek's generation prompt has a <think> that no turn has.
    const start = Math.min(to, bare.length + commonPrefix(opening, whole.text.slice(bare.length)))
    if (start > bare.length) return start
  }
  const least = turn === 0 ? 0 : (varying(search.render, messages, turn - 1, whole.text)?.[1] ?? 0)
  // As much of the opening as is there, from its first special token on.
  const first = encodeText(tokenizer, opening).specials.find(({ start }) => start === 0)
  const heads = first ? [opening, opening.slice(0, first.end)] : [opening]
  for (const head of heads) {
    const at = head === '' ? -1 : whole.text.lastIndexOf(head, to - head.length)
    if (at >= least) return Math.min(to, at + commonPrefix(opening, whole.text.slice(at)))
  }
  throw noMask(search, turn, `no ${JSON.stringify(opening)} in front of it`)
}

interface End extends LearntSpan {
  /** The whole begins with the messages up to this turn. */
  readonly plain: boolean
}

const endOf = (search: Search, turn: number, start: number, differ: () => [number, number]): End => {
  const { tokenizer, render, messages, whole, closing } = search
  const { text, specials } = whole
  const last = turn === messages.length - 1
  const upTo = without(last ? text : render(messages.slice(0, turn + 1), false), closing)
  if (text.startsWith(upTo) && upTo.length >= start)
    return { ...learntSpan(text, specials, start, upTo.length), plain: true }
  // What follows the turn's last words when it is the last turn: tool calls, the end token, a line break.
  const head = messages.slice(0, turn + 1)
  const full = render(head, false)
  const tail = without(full.slice((varying(render, head, turn, full) ?? fail(search, turn))[1]), closing)
  const [, from] = differ()
  const same = commonPrefix(tail, text.slice(from))
  if (same === tail.length) return { ...learntSpan(text, specials, start, from + same), plain: false }
  // An end token that is another where more follows: gpt-oss ends its last turn with <|return|>, others with <|end|>.
  const other = specials.find((place) => place.start >= from && place.start <= from + same && place.end > from + same)
  if (other && encodeText(tokenizer, tail.slice(other.start - from)).specials[0]?.start === 0)
    return { ...learntSpan(text, specials, start, other.end), plain: false }
  throw noMask(
    search,
    turn,
    `${JSON.stringify(text.slice(from, from + 40))} behind it, and ${JSON.stringify(tail.slice(0, 40))} where it is the last turn`,
  )
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
