import { type Encoded, encodeExamples, readRows } from '@graftjs/data'
import { GraftError } from '@graftjs/tensor/error'
import type { OpenTokenizer } from './open-tokenizer.ts'
import { readText } from './read-text.ts'
import type { Recipe } from './recipe.ts'

/** The rows of one file, encoded. */
export interface DataSet {
  /** What reports call it: its name in the recipe, else its path. */
  readonly name: string
  readonly path: string
  readonly encoded: Encoded
}

export interface ReadData {
  /** One set, or those that are to be mixed. */
  readonly train: readonly DataSet[]
  readonly eval?: DataSet
  /** Rows to learn went through the chat template. */
  readonly chat: boolean
}

export interface ReadDataOptions {
  /** What chat templates take for today. Default: the clock. A run that is resumed wants that of its start. */
  readonly now?: Date
}

/**
 * The samples that a recipe's `data` names. Packing, buckets and mixing are the trainer's. Every file is read before any is
 * encoded, so that a path with a fault is said at once.
 */
export const readData = async (
  data: Recipe['data'],
  { tokenizer, context }: OpenTokenizer,
  { now }: ReadDataOptions = {},
): Promise<ReadData> => {
  const named = typeof data.train === 'string' ? [{ path: data.train }] : data.train
  const files = named.map(({ path, name = path }: { path: string; name?: string | undefined }) => ({ path, name }))
  const held = data.eval === undefined ? [] : [{ path: data.eval, name: data.eval }]
  checkNames(files.map(({ name }) => name))
  const texts = await Promise.all([...files, ...held].map(({ path }) => readText(path)))
  const maxLength = Math.min(data.maxLength ?? context, context)
  let conversations = data.chat === true
  const sets = [...files, ...held].map(({ path, name }, i): DataSet => {
    const { format, columns, chat, system, learn, truncate } = data
    const rows = readRows(texts[i]!, { name: path, ...(format && { format }), ...(columns && { columns }) })
    conversations ||= rows.some((row) => 'messages' in row)
    const options = {
      ...(chat !== undefined && { chat }),
      ...(system !== undefined && { system }),
      ...(learn && { learn }),
      ...(truncate && { truncate }),
      ...(now && { now }),
    }
    return { name, path, encoded: encodeExamples(tokenizer, rows, { maxLength, name: path, ...options }) }
  })
  return {
    train: sets.slice(0, files.length),
    ...(held.length > 0 && { eval: sets.at(-1)! }),
    chat: conversations,
  }
}

const checkNames = (names: readonly string[]): void => {
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice === undefined) return
  throw new GraftError({
    code: 'bad-recipe',
    culprit: 'data.train',
    given: `two sets named ${twice}`,
    expected: 'a name of its own for each',
  })
}
