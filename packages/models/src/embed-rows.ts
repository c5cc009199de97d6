import { asTuned, type Call, forward, type Model, type Tuned } from '@graftjs/core'
import {
  cast,
  div,
  matMul,
  max,
  maximum,
  mul,
  reshape,
  scope,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Pooling, SentenceConfig } from './heads/read-sentence.ts'
import type { LoadedModel } from './load-model.ts'
import { padRows } from './pad.ts'

export interface EmbedOptions {
  /** Over the tokens of a row, or the first one's state. Default: as the model's folder says, else `mean`. */
  readonly pooling?: Pooling
  /** To length 1, so that a product of two is their cosine similarity. Default: as the model's folder says, else true. */
  readonly normalise?: boolean
  /** Rows a pass. Default 32. */
  readonly batchSize?: number
  /** The one that acts; the active one when absent. */
  readonly adapter?: Call['adapter'] & (string | null)
}

/**
 * One vector [d] for each row of ids, from the last hidden state: sentence embeddings (Reimers & Gurevych 2019). Rows of like
 * length run together, so order costs nothing. Errors: `bad-batch` for a row without tokens.
 */
export const embedRows = async (
  model: Tuned | Model,
  rows: readonly (readonly number[])[],
  { batchSize = 32, adapter, ...options }: EmbedOptions = {},
): Promise<Float32Array[]> => {
  const empty = rows.findIndex((row) => row.length === 0)
  if (empty >= 0)
    throw new GraftError({
      code: 'bad-batch',
      culprit: `rows[${empty}]`,
      given: 'no tokens',
      expected: 'at least one token a row',
    })
  const tuned = asTuned(model)
  const { pooling = 'mean', normalise = true } = { ...(tuned.model as Partial<LoadedModel>).sentence, ...options }
  const order = rows.map((_, i) => i).sort((a, b) => rows[a]!.length - rows[b]!.length)
  const made: Float32Array[] = new Array(rows.length)
  for (let at = 0; at < order.length; at += batchSize) {
    const chosen = order.slice(at, at + batchSize)
    const batch = padRows(
      chosen.map((i) => rows[i]!),
      0,
      'right',
    )
    const vectors = scope(() => {
      const { hidden } = forward(tuned, batch, adapter === undefined ? {} : { adapter })
      const pooled = pool(hidden, batch.mask, pooling)
      return normalise ? unit(pooled) : pooled
    })
    const values = (await vectors.data()) as Float32Array
    const width = vectors.shape[1]!
    vectors.dispose()
    for (const [n, i] of chosen.entries()) made[i] = values.slice(n * width, (n + 1) * width)
  }
  return made
}

/** [B, T, d] -> [B, d]. */
const pool = (hidden: Tensor, mask: readonly (readonly number[])[], pooling: Pooling): Tensor => {
  const [batch, length, d] = hidden.shape as [number, number, number]
  if (pooling === 'cls') return reshape(slice(hidden, [0, 0, 0], [batch, 1, d]), [batch, d])
  const real = cast(tensor(Int32Array.from(mask.flat()), [batch, 1, length], 'int32'), 'float32')
  if (pooling === 'max') return max(sub(hidden, mul(sub(1, reshape(real, [batch, length, 1])), 1e30)), 1)
  return div(reshape(matMul(real, hidden), [batch, d]), sum(real, 2))
}

/** Rows of length 1. */
const unit = (x: Tensor): Tensor => div(x, maximum(sqrt(sum(square(x), 1, true)), 1e-12))

/**
 * The same for texts, by the model's tokenizer. A text that is longer than the model reads is cut at its end, as
 * sentence-transformers cuts it. Errors: `no-tokenizer`.
 */
export const embedTexts = async (
  model: LoadedModel,
  texts: readonly string[],
  options: EmbedOptions & Pick<SentenceConfig, 'maxLength'> = {},
): Promise<Float32Array[]> => {
  const { tokenizer, name, sentence, config } = model
  if (!tokenizer)
    throw new GraftError({
      code: 'no-tokenizer',
      culprit: name,
      given: 'a model without tokenizer.json',
      expected: 'one with it; embedRows works on ids',
    })
  const { maxLength = Number.POSITIVE_INFINITY } = { ...sentence, ...options }
  const most = Math.min(maxLength, config.maxPositionEmbeddings)
  const bare = tokenizer.encode('')
  return embedRows(
    model,
    texts.map((text) => cut(tokenizer.encode(text), bare, most)),
    options,
  )
}

/** What the tokenizer puts at the end of every text (`bare` is the empty one) stays there. */
const cut = (ids: readonly number[], bare: readonly number[], most: number): readonly number[] => {
  if (ids.length <= most) return ids
  let tail = 0
  while (tail < bare.length && bare.at(-1 - tail) === ids.at(-1 - tail)) tail++
  return [...ids.slice(0, most - tail), ...ids.slice(ids.length - tail)]
}
