import { GraftError } from '@graftjs/tensor/error'
import { Tokenizer as Engine } from '@huggingface/tokenizers'
import { type RenderedChat, type RenderOptions, renderChat, renderChatSpans } from './render-chat.ts'

export interface Tokenizer {
  /** `addSpecialTokens` (default true): with what the tokenizer puts around a text, such as BOS. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[]
  /** Ids outside the vocabulary (a model's table may be padded) are skipped. */
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string
  /** The highest id and one. */
  readonly vocabSize: number
  readonly bosId?: number
  readonly eosId?: number
  readonly padId?: number
  readonly unkId?: number
  tokenOf(id: number): string
  idOf(token: string): number | undefined
  isSpecial(id: number): boolean
  readonly chat?: ChatTemplate
  /** The text of a conversation, by the model's chat template. */
  applyChat(messages: readonly ChatMessage[], options?: ChatOptions): string
  /** The same text, and what the template marks as the assistant's, if it marks anything. */
  applyChatSpans(messages: readonly ChatMessage[], options?: ChatOptions): RenderedChat
  /** Its ids. Nothing is added: the template writes the special tokens itself. */
  encodeChat(messages: readonly ChatMessage[], options?: ChatOptions): number[]
}

export interface ChatTemplate {
  /** Jinja. */
  readonly source: string
  /** Takes its place where tools are given. */
  readonly toolUse?: string
}

export interface ChatMessage {
  readonly role: string
  readonly content?: string | readonly object[] | null
  readonly [key: string]: unknown
}

export interface ChatOptions {
  /** Ends with the opening of the assistant's answer. Default false. */
  readonly addGenerationPrompt?: boolean
  readonly tools?: readonly object[]
  /** More that the template may read, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>
  /** What the template takes for today. Default: the clock. */
  readonly now?: Date
}

export const specialRoles = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const
export type SpecialTokens = { readonly [role in (typeof specialRoles)[number]]?: string }

export interface TokenizerParts {
  /** A checked tokenizer.json. */
  readonly json: object
  readonly config: object
  readonly vocabSize: number
  readonly special: SpecialTokens
  readonly chat?: ChatTemplate | undefined
}

export const createTokenizer = ({ json, config, vocabSize, special, chat }: TokenizerParts): Tokenizer => {
  // tokenizers.js tidies spaces unless told not to; decoding has to give back what was encoded.
  const engine = new Engine(json, { clean_up_tokenization_spaces: false, ...config })
  const specialIds = new Set([...engine.get_added_tokens_decoder()].filter(([, t]) => t.special).map(([id]) => id))
  const variables = Object.fromEntries(Object.entries(special).map(([role, token]) => [`${role}_token`, token]))
  const ids = {
    ...idOf(engine, 'bosId', special.bos),
    ...idOf(engine, 'eosId', special.eos),
    ...idOf(engine, 'padId', special.pad),
    ...idOf(engine, 'unkId', special.unk),
  }
  const tokenizer: Tokenizer = {
    ...ids,
    vocabSize,
    ...(chat && { chat }),
    encode: (text, { addSpecialTokens = true } = {}) => {
      const { ids, tokens } = engine.encode(text, { add_special_tokens: addSpecialTokens })
      const lost = ids.indexOf(undefined as unknown as number)
      if (lost >= 0) throw unknownToken(tokens[lost]!)
      return ids
    },
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const known = ids.filter(
        (id) => engine.id_to_token(id) !== undefined && !(skipSpecialTokens && specialIds.has(id)),
      )
      return known.length === 0 ? '' : engine.decode(known)
    },
    tokenOf: (id) => {
      const token = engine.id_to_token(id)
      if (token !== undefined) return token
      throw new GraftError({
        code: 'bad-token',
        culprit: 'token id',
        given: String(id),
        expected: `an id of the vocabulary, below ${vocabSize}`,
      })
    },
    idOf: (token) => engine.token_to_id(token),
    isSpecial: (id) => specialIds.has(id),
    applyChat: (messages, options = {}) => applyTemplate(renderChat, chat, variables, messages, options),
    applyChatSpans: (messages, options = {}) => applyTemplate(renderChatSpans, chat, variables, messages, options),
    encodeChat: (messages, options) =>
      tokenizer.encode(tokenizer.applyChat(messages, options), { addSpecialTokens: false }),
  }
  return tokenizer
}

const idOf = <K extends string>(engine: Engine, key: K, token?: string): { [k in K]?: number } => {
  if (token === undefined) return {}
  const id = engine.token_to_id(token)
  if (id !== undefined) return { [key]: id } as { [k in K]?: number }
  throw unknownToken(token)
}

const unknownToken = (token: string): GraftError =>
  new GraftError({
    code: 'bad-tokenizer',
    culprit: 'vocabulary',
    given: `no entry for ${JSON.stringify(token)} and no unknown token`,
    expected: 'a vocabulary that covers the text',
  })

const applyTemplate = <T>(
  render: (source: string, variables: Readonly<Record<string, unknown>>, options: RenderOptions) => T,
  chat: ChatTemplate | undefined,
  special: Readonly<Record<string, string>>,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false, tools, variables = {}, now }: ChatOptions,
): T => {
  if (!chat)
    throw new GraftError({
      code: 'no-chat-template',
      culprit: 'chat',
      given: 'a tokenizer without a chat template',
      expected: 'a model tuned for chat, or plain prompts',
    })
  const source = tools && chat.toolUse !== undefined ? chat.toolUse : chat.source
  const given = {
    messages: messages.map(withThinking),
    tools: tools ?? null,
    documents: null,
    add_generation_prompt: addGenerationPrompt,
  }
  return render(source, { ...special, ...given, ...variables }, now ? { now } : {})
}

/** As transformers does: templates read a message's thinking under one of several names. */
const withThinking = (message: ChatMessage): ChatMessage => {
  const thinking = message?.reasoning_content ?? message?.thinking ?? message?.reasoning
  return thinking == null ? message : { thinking, ...message, reasoning_content: thinking }
}
