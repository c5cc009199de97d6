import { type GgufEntry, isJsonObject, type Json, type JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { preTokenizerNames, preTokenizerOf, type Tokenizer, tokenizerFromGguf } from '@graftjs/text'

const NORMAL = 1
const CONTROL = 3
const USER_DEFINED = 4
const UNUSED = 5

/** Cases in which ways to cut a text differ: digits, cases, spaces, line ends, other scripts. */
const PROBE =
  "Hello  world!\n\n \t I'VE 12345 don't naïve 日本語 मनी 🚀 a_b C++ ²٣\r\n  end\u00a0of e\u0301 https://x.y/?z=1#2"

/**
 * The vocabulary of a tokenizer.json (byte-level BPE) as GGUF holds it: tokens, types, merges, the name of the
 * pre-tokenizer, special ids, chat template. `rows` of the embedding beyond the vocabulary become unused tokens. The result is
 * read back and must encode a text of hard cases as `tokenizer` does.
 * Errors: `not-saveable`, with the part of the tokenizer that GGUF has no name for.
 */
export const ggufTokenizer = (json: JsonObject, tokenizer: Tokenizer, rows: number): Map<string, GgufEntry> => {
  const { tokens, types } = vocabularyOf(json, rows)
  const pre = preTokenizerOf(json)
  if (pre === undefined)
    throw refuse(
      'pre_tokenizer',
      JSON.stringify(json.pre_tokenizer ?? null).slice(0, 300),
      `that of ${preTokenizerNames.join(', ')}`,
    )
  const u32 = (value: number): GgufEntry => ({ type: 'u32', value })
  const bool = (value: boolean): GgufEntry => ({ type: 'bool', value })
  const { bosId, eosId, padId, unkId, chat } = tokenizer
  const around = addedAround(tokenizer)
  const entries = new Map<string, GgufEntry>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: pre }],
    ['tokenizer.ggml.tokens', { type: 'string[]', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32[]', value: types }],
    ['tokenizer.ggml.merges', { type: 'string[]', value: mergesOf(json.model as JsonObject) }],
    ...(bosId === undefined ? [] : [['tokenizer.ggml.bos_token_id', u32(bosId)] as const]),
    ...(eosId === undefined ? [] : [['tokenizer.ggml.eos_token_id', u32(eosId)] as const]),
    ...(unkId === undefined ? [] : [['tokenizer.ggml.unknown_token_id', u32(unkId)] as const]),
    ...(padId === undefined ? [] : [['tokenizer.ggml.padding_token_id', u32(padId)] as const]),
    // Said even where it is false: llama.cpp has a default of its own by pre-tokenizer.
    ['tokenizer.ggml.add_bos_token', bool(around.bos)],
    ['tokenizer.ggml.add_eos_token', bool(around.eos)],
    ...(chat ? [['tokenizer.chat_template', { type: 'string', value: chat.source }] as const] : []),
  ])
  checkSame(entries, tokenizer)
  return entries
}

const refuse = (part: string, given: string, expected: string): GraftError =>
  new GraftError({
    code: 'not-saveable',
    culprit: `tokenizer.json: ${part}`,
    given,
    expected: `${expected}, to be written as GGUF`,
  })

const vocabularyOf = (json: JsonObject, rows: number): { tokens: string[]; types: number[] } => {
  const model = isJsonObject(json.model) ? json.model : {}
  if (model.type !== 'BPE' || model.byte_fallback === true || !isJsonObject(model.vocab))
    throw refuse(
      'model',
      `${JSON.stringify(model.type ?? null)}${model.byte_fallback ? ' with byte_fallback' : ''}`,
      'byte-level BPE',
    )
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`)
  const types = new Array<number>(rows).fill(UNUSED)
  const put = (id: Json | undefined, token: string, type: number): void => {
    if (typeof id !== 'number' || !(id >= 0 && id < rows))
      throw refuse(
        `the token ${JSON.stringify(token)}`,
        `the id ${JSON.stringify(id ?? null)}`,
        `one below ${rows}, the rows of the embedding`,
      )
    tokens[id] = token
    types[id] = type
  }
  for (const [token, id] of Object.entries(model.vocab)) put(id, token, NORMAL)
  for (const added of Array.isArray(json.added_tokens) ? json.added_tokens : [])
    if (isJsonObject(added)) put(added.id, String(added.content), added.special === true ? CONTROL : USER_DEFINED)
  return { tokens, types }
}

/** A merge is one text with a space between its halves, or a list of two. */
const mergesOf = ({ merges }: JsonObject): string[] =>
  (Array.isArray(merges) ? merges : []).map((merge) => (Array.isArray(merge) ? merge.join(' ') : String(merge)))

/** What the tokenizer puts around a text: GGUF can say a BOS before it and an EOS after it. */
const addedAround = ({ encode, bosId, eosId }: Tokenizer): { bos: boolean; eos: boolean } => {
  const plain = encode('a', { addSpecialTokens: false })
  const full = encode('a')
  const bos = full.length > plain.length && full[0] === bosId
  const eos = full.length > plain.length + (bos ? 1 : 0) && full.at(-1) === eosId
  if (full.length === plain.length + (bos ? 1 : 0) + (eos ? 1 : 0)) return { bos, eos }
  throw refuse('post_processor', `one that makes [${full}] of [${plain}]`, 'none, a BOS before a text, an EOS after it')
}

const checkSame = (entries: ReadonlyMap<string, GgufEntry>, tokenizer: Tokenizer): void => {
  const made = tokenizerFromGguf(new Map([...entries].map(([key, { value }]) => [key, value])))
  const [ours, theirs] = [made.encode(PROBE), tokenizer.encode(PROBE)]
  if (ours.join() === theirs.join()) return
  const at = theirs.findIndex((id, i) => id !== ours[i])
  throw refuse(
    'its encoding',
    `another token in GGUF's place ${at} of a text of hard cases`,
    'a tokenizer that GGUF can say in full',
  )
}
