import { GraftError } from '@graftjs/tensor/error'
import type { ChatMessage, Tokenizer } from '@graftjs/text'
import { alpacaPrompt } from './alpaca-prompt.ts'
import { encodeSpans } from './encode-spans.ts'
import type { Example } from './example.ts'
import { type Learn, type Masked, type Masker, masker } from './mask-conversation.ts'
import type { PromptCompletion } from './prompt-completion.ts'
import { encodeText } from './special-places.ts'

export const nothingToLearn = (culprit: string, given: string): GraftError =>
  new GraftError({ code: 'nothing-to-learn', culprit, given, expected: 'at least one token to learn' })

/** A row as ids, before it is cut. */
export interface Whole {
  readonly ids: readonly number[]
  readonly learnt: readonly boolean[]
  /** False: some parts had to be encoded apart. */
  readonly joined: boolean
  /** What is learnt, for errors. */
  readonly what: string
  readonly remarks: readonly string[]
}

export type EncodeRow = (row: Example, culprit: string) => Whole

export interface RowOptions {
  readonly chat?: boolean
  readonly learn?: Learn
  readonly system?: string
  readonly eos?: boolean
  readonly now?: Date
}

/** Encodes rows of any kind; what the options mean is said of `EncodeOptions`. */
export const rowEncoder = (tokenizer: Tokenizer, options: RowOptions): EncodeRow => {
  const { chat, eos = true, learn = 'assistant', system, now } = options
  const masks = masker(tokenizer, learn, now)
  // Where all of a chat is learnt, the template has ended it.
  const ending = eos && learn !== 'all'
  const opened = (messages: readonly ChatMessage[]): readonly ChatMessage[] =>
    system === undefined || opensWithSystem(messages) ? messages : [{ role: 'system', content: system }, ...messages]
  const plain = ({ prompt, completion }: PromptCompletion, culprit: string): Whole => {
    if (completion === '') throw nothingToLearn(culprit, 'an empty completion')
    if (chat)
      return encodeAnswer(tokenizer, masks, opened([{ role: 'user', content: prompt }]), completion, ending, culprit)
    return { ...encodePlain(tokenizer, { prompt, completion }, eos, learn), what: 'the completion', remarks: [] }
  }
  return (row, culprit) => {
    if ('messages' in row) {
      const masked = masks.mask({ ...row, messages: opened(row.messages) }, culprit)
      return encodeMasked(tokenizer, masked, ending)
    }
    if ('text' in row) {
      if (row.text === '') throw nothingToLearn(culprit, 'an empty text')
      const whole = encodePlain(tokenizer, { prompt: '', completion: row.text }, eos, learn)
      return { ...whole, what: 'the text', remarks: [] }
    }
    if (!('instruction' in row)) return plain(row, culprit)
    if (!chat) return plain({ prompt: alpacaPrompt(row), completion: row.output }, culprit)
    const prompt = row.input ? `${row.instruction}\n\n${row.input}` : row.instruction
    return plain({ prompt, completion: row.output }, culprit)
  }
}

const opensWithSystem = ([first]: readonly ChatMessage[]): boolean =>
  first?.role === 'system' || first?.role === 'developer'

const encodePlain = (
  tokenizer: Tokenizer,
  { prompt, completion }: PromptCompletion,
  eos: boolean,
  learn: Learn,
): Omit<Whole, 'what' | 'remarks'> => {
  const parts = encodeBoth(tokenizer, prompt, completion)
  const { bosId } = tokenizer
  // Where a tokenizer opens each text with BOS, so does a sample; what it would add at the end is `eos`'s matter.
  const opened = bosId !== undefined && tokenizer.encode('')[0] === bosId
  const asked = opened ? [bosId, ...parts.prompt] : parts.prompt
  const ids = [...asked, ...parts.completion, ...(eos ? [eosOf(tokenizer)] : [])]
  return { ids, learnt: ids.map((_, t) => learn === 'all' || t >= asked.length), joined: parts.joined }
}

/** A prompt and its completion, as a chat. */
const encodeAnswer = (
  tokenizer: Tokenizer,
  masks: Masker,
  asked: readonly ChatMessage[],
  completion: string,
  eos: boolean,
  culprit: string,
): Whole => {
  const opening = masks.opening(asked)
  const messages = [...asked, { role: 'assistant', content: completion }]
  const whole = masks.whole(messages)
  // Some templates rewrite what came before once the answer is there; generating starts from `opening`, so that counts.
  if (whole.startsWith(opening)) return encodeMasked(tokenizer, masks.mask({ messages }, culprit), eos)
  const span = { start: opening.length, end: opening.length + completion.length }
  const encoding = encodeText(tokenizer, opening + completion)
  return encodeMasked(tokenizer, { encoding, spans: [{ ...span, body: span.end, ended: false }], remarks: [] }, eos)
}

const encodeMasked = (tokenizer: Tokenizer, { encoding, spans, remarks }: Masked, eos: boolean): Whole => {
  // Without `eos` the end tokens are not learnt.
  const kept = eos ? spans : spans.map((span) => ({ ...span, end: span.body }))
  const { ids, learnt, joined } = encodeSpans(tokenizer, encoding, kept)
  const last = ids.at(-1)
  const ended = spans.at(-1)?.ended === true
  if (eos && !ended) {
    ids.push(eosOf(tokenizer))
    learnt.push(true)
  }
  return {
    ids,
    learnt,
    joined,
    what: "the assistant's turns",
    remarks: [...remarks, ...(eos && ended ? endRemark(tokenizer, last!) : [])],
  }
}

/** A model that learns to end its turns with one token and is stopped at another goes on and on. */
const endRemark = (tokenizer: Tokenizer, id: number): string[] => {
  if (id === tokenizer.eosId) return []
  const eos = tokenizer.eosId === undefined ? 'none' : tokenizer.tokenOf(tokenizer.eosId)
  return [
    `the chat template ends a turn with ${tokenizer.tokenOf(id)} and the tokenizer's EOS is ${eos}: generating has to stop at ${tokenizer.tokenOf(id)} too`,
  ]
}

interface Parts {
  readonly prompt: readonly number[]
  readonly completion: readonly number[]
  readonly joined: boolean
}

/** The ids as the tokenizer cuts the whole text, if it cuts at the seam, as generating from the prompt will. */
const encodeBoth = (tokenizer: Tokenizer, prompt: string, completion: string): Parts => {
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false })
  const [head, whole] = [encode(prompt), encode(prompt + completion)]
  const joined = head.every((id, i) => id === whole[i])
  return { prompt: head, completion: joined ? whole.slice(head.length) : encode(completion), joined }
}

const eosOf = ({ eosId }: Tokenizer): number => {
  if (eosId !== undefined) return eosId
  throw new GraftError({
    code: 'bad-option',
    culprit: 'eos',
    given: 'a tokenizer without an EOS token',
    expected: 'eos: false, or a tokenizer that has one',
  })
}
