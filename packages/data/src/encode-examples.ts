import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from '@graftjs/text'
import { checkWhole } from './check-whole.ts'
import { type PromptCompletion, promptCompletion } from './prompt-completion.ts'

/** A label that is not learnt (PyTorch's and transformers' number). */
export const IGNORED = -100

/** A row as ids. `labels[t]` is `ids[t]` where that token is to be learnt, else -100; the loss does the shifting. */
export interface Sample {
  readonly ids: readonly number[]
  readonly labels: readonly number[]
  /** The index of its row. */
  readonly source: number
}

export interface EncodeOptions {
  /** Tokens a sample may have: at most the model's context. */
  readonly maxLength: number
  /** Puts the prompt through the chat template as the user's words and learns the completion as the assistant's. Default false. */
  readonly chat?: boolean
  /** Ends a completion with EOS (in a chat: with what the template ends the turn with). Default true. */
  readonly eos?: boolean
  /** What to do with a longer sample: refuse it (the default), cut the end off, or cut the start off. */
  readonly truncate?: 'error' | 'keep-start' | 'keep-end'
  /** What the rows are called in errors, such as their file. Default `rows`. */
  readonly name?: string
}

export interface Encoded {
  readonly samples: Sample[]
  /** Rows whose prompt and completion were encoded apart, because together they make a token that spans both. */
  readonly apart: number
  /** Rows that were cut. */
  readonly truncated: number
}

/** Turns rows into ids with the loss on the completion alone. */
export const encodeExamples = (
  tokenizer: Tokenizer,
  rows: readonly PromptCompletion[],
  options: EncodeOptions,
): Encoded => {
  const { maxLength, truncate = 'error', name = 'rows' } = options
  checkWhole('maxLength', maxLength, 2)
  const encode = options.chat ? encodeChat : encodePlain
  let [apart, truncated] = [0, 0]
  const samples = rows.map((row, source): Sample => {
    const culprit = `${name}[${source}]`
    const checked = promptCompletion(row, culprit)
    if (checked.completion === '') throw nothingToLearn(culprit, 'an empty completion')
    const { prompt, completion, joined } = encode(tokenizer, checked, options.eos ?? true)
    const whole = [...prompt, ...completion]
    const labels = whole.map((id, t) => (t >= prompt.length ? id : IGNORED))
    const [from, to] = window(whole.length, maxLength, truncate, () =>
      tooLong(culprit, prompt.length, whole.length, maxLength),
    )
    if (!joined) apart++
    if (to - from < whole.length) truncated++
    const sample = { ids: whole.slice(from, to), labels: labels.slice(from, to), source }
    // Nothing stands before the first token for it to be told from.
    sample.labels[0] = IGNORED
    if (sample.labels.some((label) => label !== IGNORED)) return sample
    throw nothingToLearn(culprit, `no token of the completion in the ${maxLength} that are kept`)
  })
  return { samples, apart, truncated }
}

const nothingToLearn = (culprit: string, given: string): GraftError =>
  new GraftError({ code: 'nothing-to-learn', culprit, given, expected: 'at least one token to learn' })

interface Parts {
  readonly prompt: readonly number[]
  readonly completion: readonly number[]
  /** False: the parts had to be encoded apart. */
  readonly joined: boolean
}

const encodePlain = (tokenizer: Tokenizer, { prompt, completion }: PromptCompletion, eos: boolean): Parts => {
  const parts = encodeBoth(tokenizer, prompt, completion)
  const { bosId } = tokenizer
  // Where a tokenizer opens each text with BOS, so does a sample; what it would add at the end is `eos`'s matter.
  const opened = bosId !== undefined && tokenizer.encode('')[0] === bosId
  return {
    ...parts,
    prompt: opened ? [bosId, ...parts.prompt] : parts.prompt,
    completion: eos ? [...parts.completion, eosOf(tokenizer)] : parts.completion,
  }
}

const encodeChat = (tokenizer: Tokenizer, { prompt, completion }: PromptCompletion, eos: boolean): Parts => {
  const asked = [{ role: 'user', content: prompt }]
  const opening = tokenizer.applyChat(asked, { addGenerationPrompt: true })
  const whole = tokenizer.applyChat([...asked, { role: 'assistant', content: completion }])
  // Some templates rewrite what came before once the answer is there; generating starts from `opening`, so that counts.
  const parts = encodeBoth(tokenizer, opening, whole.startsWith(opening) ? whole.slice(opening.length) : completion)
  return { ...parts, completion: endTurn(tokenizer, parts.completion, eos) }
}

/** The assistant's turn, ending with its end token: templates put a line break after it, which nobody has to generate. */
const endTurn = (tokenizer: Tokenizer, ids: readonly number[], eos: boolean): readonly number[] => {
  const last = ids.findLastIndex((id) => tokenizer.isSpecial(id))
  const ended = last >= 0 && tokenizer.decode(ids.slice(last + 1)).trim() === ''
  if (!ended) return eos ? [...ids, eosOf(tokenizer)] : ids
  return ids.slice(0, eos ? last + 1 : last)
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

const window = (length: number, limit: number, truncate: string, fault: () => GraftError): [number, number] => {
  if (length <= limit) return [0, length]
  if (truncate === 'keep-start') return [0, limit]
  if (truncate === 'keep-end') return [length - limit, length]
  throw fault()
}

const tooLong = (culprit: string, prompt: number, whole: number, limit: number): GraftError =>
  new GraftError({
    code: 'too-long',
    culprit,
    given: `${whole} tokens, ${prompt} of them the prompt's`,
    expected: `at most ${limit}; shorten the row, or set truncate to keep-start or keep-end`,
  })
