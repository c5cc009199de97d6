import { GraftError } from '@graftjs/tensor/error'
import type { JsonMap } from './check-tokenizer-json.ts'
import type { Tokenizer } from './tokenizer.ts'
import { tokenizerFromJson } from './tokenizer-from-json.ts'
import { bytes, gpt2Pattern, sequence, split } from './unicode-exact.ts'

type Metadata = ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>>

/** What a name in `tokenizer.ggml.pre` stands for: how text is cut before byte-pair encoding. */
export const preTokenizers: ReadonlyMap<string, { pre: JsonMap; normalizer?: JsonMap; ignoreMerges?: boolean }> =
  new Map([
    ['gpt-2', { pre: sequence(split(gpt2Pattern), bytes) }],
    ['smollm', { pre: sequence(split('\\p{N}'), split(gpt2Pattern), bytes) }],
    [
      'llama-bpe',
      {
        pre: sequence(
          split(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          ),
          bytes,
        ),
        ignoreMerges: true,
      },
    ],
    [
      'qwen2',
      {
        pre: sequence(
          split(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          ),
          bytes,
        ),
        normalizer: { type: 'NFC' },
      },
    ],
  ])

const control = 3
const userDefined = 4

/** The tokenizer that a GGUF file carries in its metadata: byte-level BPE, as `tokenizer.ggml.model` = "gpt2" has it. */
export const tokenizerFromGguf = (metadata: Metadata): Tokenizer => {
  const get = (key: string): unknown =>
    metadata instanceof Map ? metadata.get(key) : (metadata as Readonly<Record<string, unknown>>)[key]
  const model = get('tokenizer.ggml.model')
  if (model !== 'gpt2') throw fault('tokenizer.ggml.model', show(model), '"gpt2": other kinds are not read yet')
  const name = get('tokenizer.ggml.pre')
  const recipe = preTokenizers.get(String(name))
  if (!recipe) throw fault('tokenizer.ggml.pre', show(name), [...preTokenizers.keys()].join(', '))

  const tokens = strings(get('tokenizer.ggml.tokens'), 'tokenizer.ggml.tokens')
  const types = tokenTypes(get('tokenizer.ggml.token_type'), tokens.length)
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  if (Object.keys(vocab).length !== tokens.length)
    throw fault('tokenizer.ggml.tokens', `${show(firstRepeated(tokens))} more than once`, 'each token once')
  const special = (key: string): string | undefined => tokenAt(get(`tokenizer.ggml.${key}`), tokens, key)
  const ends = { bos: special('bos_token_id'), eos: special('eos_token_id') }
  const template = get('tokenizer.chat_template')
  const json = {
    normalizer: recipe.normalizer ?? null,
    pre_tokenizer: recipe.pre,
    decoder: { type: 'ByteLevel' },
    post_processor: surround(vocab, {
      before: get('tokenizer.ggml.add_bos_token') === true ? ends.bos : undefined,
      after: get('tokenizer.ggml.add_eos_token') === true ? ends.eos : undefined,
    }),
    added_tokens: tokens
      .map((content, id) => ({ id, content, special: types[id] === control, normalized: false }))
      .filter(({ id }) => types[id] === control || types[id] === userDefined),
    model: {
      type: 'BPE',
      vocab,
      merges: strings(get('tokenizer.ggml.merges'), 'tokenizer.ggml.merges'),
      ignore_merges: recipe.ignoreMerges ?? false,
      unk_token: special('unknown_token_id') ?? null,
    },
  }
  const config = {
    bos_token: ends.bos,
    eos_token: ends.eos,
    unk_token: special('unknown_token_id'),
    pad_token: special('padding_token_id'),
    chat_template: template,
  }
  return tokenizerFromJson(json, config)
}

const fault = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-tokenizer', culprit, given, expected })

const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing'

const strings = (value: unknown, key: string): string[] => {
  if (Array.isArray(value) && value.length > 0 && value.every((s) => typeof s === 'string')) return value
  throw fault(key, Array.isArray(value) ? 'a list with something else in it' : typeof value, 'a list of strings')
}

/** Normal for all where the file tells nothing. */
const tokenTypes = (value: unknown, count: number): readonly number[] => {
  if (value === undefined) return new Array<number>(count).fill(1)
  const types = Array.from(value as Iterable<number>, Number)
  if (types.length === count) return types
  throw fault('tokenizer.ggml.token_type', `${types.length} entries`, `${count}, one a token`)
}

const firstRepeated = (tokens: readonly string[]): string | undefined => {
  const seen = new Set<string>()
  return tokens.find((token) => seen.size === seen.add(token).size)
}

const tokenAt = (id: unknown, tokens: readonly string[], key: string): string | undefined => {
  if (id === undefined) return undefined
  const token = tokens[Number(id)]
  if (token !== undefined) return token
  throw fault(`tokenizer.ggml.${key}`, String(id), `an id below ${tokens.length}`)
}

/** A post-processor that puts BOS before a text and EOS after it; null for neither. */
const surround = (
  vocab: Readonly<Record<string, number>>,
  { before, after }: { before: string | undefined; after: string | undefined },
): JsonMap | null => {
  if (before === undefined && after === undefined) return null
  const token = (id: string | undefined): JsonMap[] => (id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }])
  const text = (id: string): JsonMap => ({ Sequence: { id, type_id: 0 } })
  const around = (...texts: string[]): JsonMap[] => [...token(before), ...texts.map(text), ...token(after)]
  const added = [before, after].filter((id) => id !== undefined)
  return {
    type: 'TemplateProcessing',
    single: around('A'),
    pair: around('A', 'B'),
    special_tokens: Object.fromEntries(added.map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }])),
  }
}
