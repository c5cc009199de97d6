import { readFile, stat } from 'node:fs/promises'
import { fileSource, openGguf } from '@graftjs/files'
import { fetchModel, isHubId } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { type Tokenizer, tokenizerFromGguf, tokenizerFromJson } from '@graftjs/text'

/** What rows are encoded by. */
export interface OpenTokenizer {
  readonly tokenizer: Tokenizer
  /** Tokens a row may have; no limit where the model states none. */
  readonly context: number
}

/** The tokenizer of a model, without its weights. `where` is what `loadModel` takes. */
export const openTokenizer = async (where: string): Promise<OpenTokenizer> => {
  if (where.endsWith('.gguf')) return fromGguf(where)
  const folder = (await stat(where).catch(() => undefined))?.isDirectory() ? where : await fetched(where)
  const text = (file: string): Promise<string | undefined> =>
    readFile(`${folder}/${file}`, 'utf8').catch(() => undefined)
  const json = await text('tokenizer.json')
  if (json === undefined) throw noTokenizer(where, 'a model without tokenizer.json')
  return {
    tokenizer: tokenizerFromJson(json, (await text('tokenizer_config.json')) ?? {}, await text('chat_template.jinja')),
    context: contextOf((await text('config.json')) ?? '{}'),
  }
}

const fetched = (where: string): Promise<string> => {
  if (isHubId(where)) return fetchModel(where)
  throw new GraftError({
    code: 'no-file',
    culprit: where,
    given: 'no such folder',
    expected: 'a hub id (owner/name), a folder with tokenizer.json, or a .gguf file',
  })
}

const noTokenizer = (culprit: string, given: string): GraftError =>
  new GraftError({ code: 'no-tokenizer', culprit, given, expected: 'one with it' })

const contextOf = (config: string): number => {
  try {
    const { max_position_embeddings: context } = JSON.parse(config) as { max_position_embeddings?: unknown }
    return typeof context === 'number' ? context : Number.MAX_SAFE_INTEGER
  } catch {
    // Loading the model says what is wrong with it.
    return Number.MAX_SAFE_INTEGER
  }
}

const fromGguf = async (file: string): Promise<OpenTokenizer> => {
  const source = await fileSource(file)
  try {
    const { metadata } = await openGguf(source)
    if (!metadata.has('tokenizer.ggml.model')) throw noTokenizer(file, 'a file without a tokenizer')
    const context = metadata.get(`${String(metadata.get('general.architecture'))}.context_length`)
    return {
      tokenizer: tokenizerFromGguf(metadata),
      context: typeof context === 'number' ? context : Number.MAX_SAFE_INTEGER,
    }
  } finally {
    await source.close()
  }
}
