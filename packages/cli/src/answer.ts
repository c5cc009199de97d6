import { beamSearch, generate, type LoadedModel, type TextCache } from '@graftjs/models'
import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { streamDecoder, type Tokenizer } from '@graftjs/text'
import { type Opened, tokenizerOf } from './commands/open-model.ts'
import type { Sampling } from './sampling.ts'

export interface AnswerOptions extends Sampling {
  readonly stopIds: readonly number[]
  readonly stopWhen?: (made: readonly number[]) => boolean
  /** What errors call the prompt. */
  readonly culprit: string
  /** Gets the text as it comes. */
  readonly write: (text: string) => void
  readonly cache?: TextCache
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly text: string
  readonly tokens: readonly number[]
  readonly tokensPerSecond: number
  /** It was stopped by `signal`. */
  readonly stopped: boolean
}

/** Continues `ids` and streams the text, to a stop token, to `maxNewTokens` or to the end of the context. */
export const answer = async (
  opened: Opened,
  ids: readonly number[],
  { culprit, write, ...options }: AnswerOptions,
): Promise<Answer> => {
  const { model, tuned } = opened
  const tokenizer = tokenizerOf(model)
  const room = roomAfter(model, ids, culprit)
  const stream = streamDecoder(tokenizer)
  const tokens: number[] = []
  const from = performance.now()
  const onToken = (_: number, id: number): void => {
    tokens.push(id)
    write(stream.push(id))
  }
  const stopped = await generate(tuned, [ids], {
    ...options,
    maxNewTokens: Math.min(options.maxNewTokens, room),
    onToken,
  }).then(
    () => false,
    (error: unknown) => {
      if (options.signal?.aborted) return true
      throw error
    },
  )
  const seconds = (performance.now() - from) / 1000
  write(stream.flush())
  const text = tokenizer.decode(tokens, { skipSpecialTokens: true })
  return { text, tokens, tokensPerSecond: tokens.length / seconds, stopped }
}

export interface BestOptions {
  readonly numBeams: number
  readonly maxNewTokens: number
  readonly repetitionPenalty?: number
  readonly stopIds: readonly number[]
  /** What errors call the prompt. */
  readonly culprit: string
}

/** The likeliest text by beam search; none of it is known before all of it is. */
export const bestOfBeams = async (
  { model, tuned }: Opened,
  ids: readonly number[],
  { culprit, ...options }: BestOptions,
): Promise<{ readonly text: string; readonly tokens: readonly number[]; readonly score: number }> => {
  const room = roomAfter(model, ids, culprit)
  const [beams] = await beamSearch(tuned, [ids], { ...options, maxNewTokens: Math.min(options.maxNewTokens, room) })
  const { ids: tokens, score } = beams![0]!
  return { text: tokenizerOf(model).decode(tokens, { skipSpecialTokens: true }), tokens, score }
}

const roomAfter = ({ config }: LoadedModel, ids: readonly number[], culprit: string): number => {
  const room = config.maxPositionEmbeddings - ids.length
  if (room < 1) throw tooLong(culprit, ids.length, config.maxPositionEmbeddings)
  return room
}

export const tooLong = (culprit: string, tokens: number, context: number): GraftError =>
  new GraftError({
    code: 'too-long',
    culprit,
    given: `${tokens} tokens`,
    expected: `fewer than ${context}, the context of this model`,
  })

export const eosIds = ({ eosId }: Tokenizer): number[] => (eosId === undefined ? [] : [eosId])

/** EOS, and the special token that the chat template puts behind what the assistant says, which need not be the same. */
export const endOfTurnIds = (tokenizer: Tokenizer): number[] => {
  const behind = behindAnswer(tokenizer)
  const end = tokenizer.encode(behind, { addSpecialTokens: false }).find((id) => tokenizer.isSpecial(id))
  return [...new Set([...eosIds(tokenizer), ...(end === undefined ? [] : [end])])]
}

/** What the template writes behind an answer; nothing where it will not have this conversation. */
const behindAnswer = (tokenizer: Tokenizer): string => {
  const mark = '\uE000'
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: mark },
  ]
  try {
    return tokenizer.applyChat(messages).split(mark).slice(1).at(-1) ?? ''
  } catch (error) {
    if (isGraftError(error)) return ''
    throw error
  }
}
