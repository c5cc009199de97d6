import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { checkTokenizerJson, isMap, type JsonMap } from './check-tokenizer-json.ts'
import { type ChatTemplate, createTokenizer, type SpecialTokens, specialRoles, type Tokenizer } from './tokenizer.ts'
import { unicodeExact } from './unicode-exact.ts'

const maxBytes = 100_000_000

/**
 * A tokenizer from the files of a Hugging Face model: tokenizer.json, tokenizer_config.json (which names the special
 * tokens) and chat_template.jinja, which wins over a template in the config. Files may be given as text or parsed.
 */
export const tokenizerFromJson = (
  tokenizerJson: string | object,
  tokenizerConfig: string | object = {},
  chatTemplate?: string,
): Tokenizer => {
  const { json, vocabSize } = checkTokenizerJson(parsed(tokenizerJson, 'tokenizer.json'))
  const given = parsed(tokenizerConfig, 'tokenizer_config.json')
  if (!isMap(given)) throw notAnObject('tokenizer_config.json')
  const special = specialTokens(given)
  const names = Object.fromEntries(Object.entries(special).map(([role, token]) => [`${role}_token`, token]))
  const chat = chatTemplate === undefined ? chatOf(given.chat_template) : { source: chatTemplate }
  try {
    return createTokenizer({
      json: { ...json, pre_tokenizer: unicodeExact(json.pre_tokenizer) },
      config: { ...given, ...names, additional_special_tokens: contents(given.additional_special_tokens) },
      vocabSize,
      special,
      chat,
    })
  } catch (cause) {
    if (isGraftError(cause)) throw cause
    throw new GraftError({
      code: 'bad-tokenizer',
      culprit: 'tokenizer.json',
      given: (cause as Error).message,
      expected: 'a file that Hugging Face tokenizers wrote',
      cause,
    })
  }
}

const parsed = (file: string | object, name: string): unknown => {
  if (typeof file !== 'string') return file
  if (file.length > maxBytes)
    throw new GraftError({
      code: 'bad-tokenizer',
      culprit: name,
      given: `${file.length} characters`,
      expected: `at most ${maxBytes}`,
    })
  try {
    return JSON.parse(file)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-tokenizer',
      culprit: name,
      given: (cause as Error).message,
      expected: 'JSON',
      cause,
    })
  }
}

const notAnObject = (culprit: string): GraftError =>
  new GraftError({ code: 'bad-tokenizer', culprit, given: 'something else', expected: 'a JSON object' })

/** A special token is written as its text or as an object with its content. */
const content = (token: unknown): string | undefined => {
  const text = isMap(token) ? token.content : token
  return typeof text === 'string' ? text : undefined
}
const contents = (tokens: unknown): string[] =>
  Array.isArray(tokens) ? tokens.map(content).filter((text) => text !== undefined) : []

const specialTokens = (config: JsonMap): SpecialTokens =>
  Object.fromEntries(
    specialRoles
      .map((role) => [role, content(config[`${role}_token`])] as const)
      .filter(([, token]) => token !== undefined),
  )

/** One template, or a list of named ones. */
const chatOf = (given: unknown): ChatTemplate | undefined => {
  if (typeof given === 'string') return { source: given }
  if (!Array.isArray(given)) return undefined
  const named = (name: string): string | undefined => {
    const entry = given.find((e: unknown) => isMap(e) && e.name === name) as JsonMap | undefined
    return typeof entry?.template === 'string' ? entry.template : undefined
  }
  const [source, toolUse] = [named('default'), named('tool_use')]
  return source === undefined ? undefined : { source, ...(toolUse !== undefined && { toolUse }) }
}
