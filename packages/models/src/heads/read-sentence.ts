import { isJsonObject, type JsonObject, strictJson } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'

export type Pooling = 'mean' | 'cls' | 'max'

/** How a folder of sentence-transformers makes one vector of a text. */
export interface SentenceConfig {
  readonly pooling: Pooling
  readonly normalise: boolean
  /** The longest text in tokens; longer ones are cut. */
  readonly maxLength?: number
}

const modes: Readonly<Record<string, Pooling>> = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
}

/**
 * Reads modules.json and what it names; undefined where the folder has none. `text` gives a file of the folder. Errors:
 * `unsupported-option` for a module or a way of pooling that is not built.
 */
export const readSentence = async (
  dir: string,
  text: (file: string) => Promise<string | undefined>,
): Promise<SentenceConfig | undefined> => {
  const json = async (file: string): Promise<JsonObject | undefined> => {
    const found = await text(file)
    const read = found === undefined ? undefined : strictJson(found, `${dir}/${file}`)
    return isJsonObject(read ?? null) ? (read as JsonObject) : undefined
  }
  const modules = await text('modules.json')
  if (modules === undefined) return undefined
  const listed = strictJson(modules, `${dir}/modules.json`)
  const kinds = (Array.isArray(listed) ? listed : []).map((m) =>
    isJsonObject(m) ? String(m.type).split('.').at(-1)! : '',
  )
  const other = kinds.find((kind) => !['Transformer', 'Pooling', 'Normalize'].includes(kind))
  if (other !== undefined) throw unsupported(`${dir}/modules.json`, other, 'Transformer, Pooling and Normalize')
  const pooling = (await json('1_Pooling/config.json')) ?? {}
  const most = (await json('sentence_bert_config.json'))?.max_seq_length
  return {
    pooling: poolingOf(pooling, `${dir}/1_Pooling/config.json`),
    normalise: kinds.includes('Normalize'),
    ...(typeof most === 'number' && { maxLength: most }),
  }
}

const poolingOf = (config: JsonObject, file: string): Pooling => {
  const chosen = Object.keys(config).filter((key) => key.startsWith('pooling_mode_') && config[key] === true)
  if (chosen.length === 0) return 'mean'
  const mode = modes[chosen[0]!]
  if (mode && chosen.length === 1) return mode
  throw unsupported(file, chosen.join(' and '), Object.keys(modes).join(', '))
}

const unsupported = (culprit: string, given: string, known: string): GraftError =>
  new GraftError({ code: 'unsupported-option', culprit, given, expected: known })
