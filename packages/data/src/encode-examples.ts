import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from '@graftjs/text'
import { checkChoice } from './check-choice.ts'
import { checkWhole } from './check-whole.ts'
import { nothingToLearn, rowEncoder, type Whole } from './encode-row.ts'
import { type Example, example } from './example.ts'
import type { Learn } from './mask-conversation.ts'

/** A label that is not learnt (PyTorch's and transformers' number). */
export const IGNORED = -100

/** A row as ids. `labels[t]` is `ids[t]` where that token is to be learnt, else -100; the loss does the shifting. */
export interface Sample {
  readonly ids: readonly number[]
  /** Of a language model one for each id; otherwise what the model's head tells, such as one class. */
  readonly labels: readonly number[]
  /** Of BERT: which of two texts each id belongs to. */
  readonly tokenTypes?: readonly number[]
  /** The index of its row. */
  readonly source: number
}

export interface EncodeOptions {
  /** Tokens a sample may have: at most the model's context. */
  readonly maxLength: number
  /**
   * Puts prompts and instructions through the chat template as the user's words and learns the completion as the
   * assistant's. Conversations always go through it. Default false: prompt and completion follow each other, an
   * instruction is laid out as Stanford Alpaca does.
   */
  readonly chat?: boolean
  /** What of a conversation is learnt: all the assistant says (the default), its last turn, or every token. */
  readonly learn?: Learn
  /** A system message, put first in a chat that has none. */
  readonly system?: string
  /** Ends a completion or a text with EOS (in a chat: with what the template ends the turn with). Default true. */
  readonly eos?: boolean
  /** What to do with a longer sample: refuse it (the default), cut the end off, or cut the start off. */
  readonly truncate?: 'error' | 'keep-start' | 'keep-end'
  /** What a chat template takes for today. Default: the clock, so that samples may differ from day to day. */
  readonly now?: Date
  /** What the rows are called in errors, such as their file. Default `rows`. */
  readonly name?: string
}

export interface Encoded {
  readonly samples: Sample[]
  /** Rows of which some parts were encoded apart, because together they make a token that spans both. */
  readonly apart: number
  /** Rows that were cut. */
  readonly truncated: number
  /** The indices of these rows. */
  readonly cutSources: readonly number[]
  /** Tokens that were cut off. */
  readonly lostTokens: number
  /** How many of them were to be learnt. */
  readonly lostTargets: number
  readonly summary: EncodeSummary
  /** What a user should know before training, each said once, with the number of rows it is about. */
  readonly warnings: readonly string[]
}

/** Of the samples as they are, after cutting. */
export interface EncodeSummary {
  readonly rows: number
  readonly tokens: number
  /** Tokens that are learnt. */
  readonly targets: number
  /** Tokens of the longest sample. */
  readonly longest: number
}

/** Turns rows into ids with the loss on what is to be learnt alone: completions, texts, the assistant's turns. */
export const encodeExamples = (tokenizer: Tokenizer, rows: readonly Example[], options: EncodeOptions): Encoded => {
  const { maxLength, truncate = 'error', name = 'rows', learn = 'assistant' } = options
  checkWhole('maxLength', maxLength, 2)
  checkChoice('truncate', truncate, ['error', 'keep-start', 'keep-end'])
  checkChoice('learn', learn, ['assistant', 'last', 'all'])
  const encode = rowEncoder(tokenizer, options)
  const remarks = new Map<string, number>()
  const cuts: { source: number; tokens: number; targets: number }[] = []
  let apart = 0
  const samples = rows.map((row, source): Sample => {
    const culprit = `${name}[${source}]`
    const whole = encode(example(row, culprit), culprit)
    // Nothing stands before the first token for it to be told from.
    const labels = whole.ids.map((id, t) => (whole.learnt[t] && t > 0 ? id : IGNORED))
    const { length } = whole.ids
    const [from, to] = window(length, maxLength, truncate, () => tooLong(culprit, whole, maxLength))
    if (!whole.joined) apart++
    for (const remark of whole.remarks) remarks.set(remark, (remarks.get(remark) ?? 0) + 1)
    const sample = { ids: whole.ids.slice(from, to), labels: labels.slice(from, to), source }
    sample.labels[0] = IGNORED
    const targets = countLearnt(sample.labels)
    if (to - from < length) cuts.push({ source, tokens: length - (to - from), targets: countLearnt(labels) - targets })
    if (targets > 0) return sample
    throw nothingToLearn(culprit, `no token of ${whole.what} in the ${Math.min(length, maxLength)} that are kept`)
  })
  return {
    samples,
    apart,
    truncated: cuts.length,
    cutSources: cuts.map(({ source }) => source),
    lostTokens: sum(cuts.map(({ tokens }) => tokens)),
    lostTargets: sum(cuts.map(({ targets }) => targets)),
    summary: summaryOf(samples),
    warnings: [...remarks].map(
      ([remark, count]) => `${remark} (${count === 1 ? '1 row' : `${count} rows`} of ${name})`,
    ),
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

const countLearnt = (labels: readonly number[]): number => sum(labels.map((label) => (label === IGNORED ? 0 : 1)))

const summaryOf = (samples: readonly Sample[]): EncodeSummary => ({
  rows: samples.length,
  tokens: sum(samples.map(({ ids }) => ids.length)),
  targets: sum(samples.map(({ labels }) => countLearnt(labels))),
  longest: samples.reduce((most, { ids }) => Math.max(most, ids.length), 0),
})

const window = (length: number, limit: number, truncate: string, fault: () => GraftError): [number, number] => {
  if (length <= limit) return [0, length]
  if (truncate === 'keep-start') return [0, limit]
  if (truncate === 'keep-end') return [length - limit, length]
  throw fault()
}

const tooLong = (culprit: string, { ids, learnt }: Whole, limit: number): GraftError => {
  const learning = learnt.filter((learn) => learn).length
  return new GraftError({
    code: 'too-long',
    culprit,
    given: `${ids.length} tokens, ${ids.length - learning} of them the prompt's`,
    expected: `at most ${limit}; shorten the row, or set truncate to keep-start or keep-end`,
  })
}
