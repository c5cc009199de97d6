import { GraftError } from '@graftjs/tensor/error'
import { isSafePattern } from './safe-pattern.ts'

export type JsonMap = { readonly [key: string]: unknown }
export const isMap = (value: unknown): value is JsonMap =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export interface CheckedTokenizer {
  readonly json: JsonMap
  readonly vocabSize: number
}

const maxTokens = 4_000_000
const maxNesting = 16

/** A tokenizer.json is untrusted: its ids become array lengths and its patterns run on every text. */
export const checkTokenizerJson = (value: unknown): CheckedTokenizer => {
  if (!isMap(value) || !isMap(value.model)) throw fault('tokenizer.json', 'no model', 'an object with a model')
  const parts = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const
  for (const part of parts) checkPart(value[part], `tokenizer.json: ${part}`)
  const added = value.added_tokens ?? []
  if (!Array.isArray(added)) throw fault('tokenizer.json: added_tokens', typeof added, 'a list')
  const ids = [...vocabularyIds(value.model), ...added.map((token) => (isMap(token) ? token.id : token))]
  const vocabSize = checkIds(ids)
  checkMerges(value.model)
  // The engine wants every part to be there, null where it is not.
  const absent = Object.fromEntries(parts.map((part) => [part, null]))
  return { json: { ...absent, ...value, added_tokens: added }, vocabSize }
}

const fault = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-tokenizer', culprit, given, expected })

const vocabularyIds = (model: JsonMap): unknown[] => {
  const { vocab } = model
  if (isMap(vocab)) return Object.values(vocab)
  if (!Array.isArray(vocab)) throw fault('tokenizer.json: model.vocab', String(vocab), 'an object or a list')
  const bad = vocab.findIndex((entry) => !Array.isArray(entry) || !Number.isFinite(entry[1]))
  if (bad >= 0)
    throw fault(`tokenizer.json: model.vocab[${bad}]`, JSON.stringify(vocab[bad]), 'a token and its finite score')
  return vocab.map((_, id) => id)
}

/** The highest id and one. */
const checkIds = (ids: readonly unknown[]): number => {
  if (ids.length === 0 || ids.length > maxTokens)
    throw fault('tokenizer.json: vocabulary', `${ids.length} tokens`, `1 to ${maxTokens}`)
  const limit = Math.min(2 ** 31, 4 * ids.length + 1024)
  let highest = 0
  for (const id of ids) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= limit)
      throw fault('tokenizer.json: vocabulary', `the id ${JSON.stringify(id)}`, `whole numbers below ${limit}`)
    if ((id as number) > highest) highest = id as number
  }
  return highest + 1
}

const checkMerges = ({ merges, vocab }: JsonMap): void => {
  if (merges === undefined || !isMap(vocab)) return
  if (!Array.isArray(merges)) throw fault('tokenizer.json: model.merges', typeof merges, 'a list')
  for (const [i, merge] of merges.entries()) {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge
    const known = Array.isArray(pair) && pair.length === 2 && pair.every((token) => Object.hasOwn(vocab, token))
    if (!known) throw fault(`tokenizer.json: model.merges[${i}]`, JSON.stringify(merge), 'two tokens of the vocabulary')
  }
}

/** Nesting, patterns, and the ways of splitting that tokenizers.js would silently take for another. */
const checkPart = (value: unknown, culprit: string, depth = 0): void => {
  if (depth > maxNesting) throw fault(culprit, 'deeper nesting', `at most ${maxNesting} levels`)
  if (Array.isArray(value)) for (const item of value) checkPart(item, culprit, depth + 1)
  if (!isMap(value)) return
  if (value.type === 'Split') checkSplit(value, culprit)
  if (typeof value.Regex === 'string' && !isSafePattern(value.Regex))
    throw fault(culprit, `the pattern ${JSON.stringify(value.Regex)}`, 'one without a repeat inside a repeat')
  for (const item of Object.values(value)) checkPart(item, culprit, depth + 1)
}

const checkSplit = ({ behavior, invert }: JsonMap, culprit: string): void => {
  const how = String(behavior).toLowerCase()
  if (how === 'removed' || (how === 'isolated' && invert !== true)) return
  throw fault(
    culprit,
    `a Split with behavior ${behavior}${invert ? ', inverted' : ''}`,
    'Removed, or Isolated and not inverted',
  )
}
