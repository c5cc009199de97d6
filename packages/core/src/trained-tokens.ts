import {
  add,
  cast,
  equal,
  expandDims,
  gather,
  linear,
  mul,
  range,
  scope,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { plus } from './patch.ts'
import { select, sitesOf } from './select.ts'
import type { Dense, Model, Param, Params, Patch, Site } from './types.ts'

/** PEFT's `trainable_token_indices`: ids of the input embedding, or ids by the name of a module. */
export type TokenIndices = readonly number[] | Readonly<Record<string, readonly number[]>>

type Matrix = Site<'embedding'> | Site<'linear'>

/**
 * Single rows of an embedding as parameters `<path>.token_adapter.trainable_tokens_delta` [n, d], which stand in place of the
 * model's rows (they start as those) and are no difference, whatever PEFT's name says. A head that is tied to the embedding
 * has the same rows, as in PEFT. Errors: `bad-option` for ids outside the vocabulary or listed twice; `no-target`.
 */
export const trainedTokens = (model: Model, params: Params, indices: TokenIndices | null | undefined): Patch[] => {
  if (!indices) return []
  const named = new Map<Matrix, readonly number[]>()
  for (const [name, ids] of entriesOf(model, indices))
    for (const site of select(model, ['embedding', 'linear'], [name])) named.set(site, checked(ids, site))
  const patches: Patch[] = []
  for (const [site, ids] of named) {
    if (site.kind === 'linear' && tiedEmbeddings(named, site).some((other) => sameIds(named.get(other)!, ids))) continue
    const rows = params.add(`${site.path}.token_adapter.trainable_tokens_delta`, [ids.length, widthOf(site)], () =>
      rowsOf(site, ids),
    )
    const tied = site.kind === 'embedding' ? tiedHeads(model, site) : []
    const sharing = tied.filter((head) => sameIds(named.get(head) ?? ids, ids))
    for (const at of [site, ...sharing]) patches.push(tokensAt(at, ids, rows))
  }
  return patches
}

const entriesOf = (model: Model, indices: TokenIndices): [string, readonly number[]][] => {
  if (!Array.isArray(indices)) return Object.entries(indices as Record<string, readonly number[]>)
  const [embedding] = sitesOf(model, 'embedding')
  return [[embedding?.path ?? 'embed_tokens', indices as readonly number[]]]
}

const tiedHeads = (model: Model, { weight }: Site<'embedding'>): Site<'linear'>[] =>
  sitesOf(model, 'linear').filter((head) => head.weight.path === weight.path)

const tiedEmbeddings = (named: ReadonlyMap<Matrix, unknown>, { weight }: Site<'linear'>): Matrix[] =>
  [...named.keys()].filter((site) => site.kind === 'embedding' && site.weight.path === weight.path)

const sameIds = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join()

/** Rows and row length of the matrix [V, d], which a head has the other way round. */
const widthOf = (site: Matrix): number => site.weight.shape[1]!

const checked = (ids: readonly number[], { path, weight }: Matrix): readonly number[] => {
  const count = weight.shape[0]!
  const wrong = ids.find((id, i) => !Number.isInteger(id) || id < 0 || id >= count || ids.indexOf(id) !== i)
  if (ids.length > 0 && wrong === undefined) return ids
  throw new GraftError({
    code: 'bad-option',
    culprit: 'trainableTokenIndices',
    given: ids.length > 0 ? `${wrong} for ${path}` : `no ids for ${path}`,
    expected: `token ids from 0 to ${count - 1}, each once`,
  })
}

const rowsOf = (site: Matrix, ids: readonly number[]): Tensor =>
  scope(() => gather(site.weight.dense(), tensor([...ids], [ids.length], 'int32')))

/** y + (own row − y) where the token is one of them: additive, so a gain comes free. */
const tokensAt = (site: Matrix, ids: readonly number[], rows: Param): Patch => {
  const count = site.weight.shape[0]!
  const fold = ({ weight, ...rest }: Dense): Dense => ({
    weight: add(mul(weight, sub(1, sum(placed(ids, count), 1, true))), linear(placed(ids, count), transpose(rows()))),
    ...rest,
  })
  if (site.kind === 'linear')
    return plus(
      site,
      (x, y) => {
        const at = placed(ids, count) // [V, n]
        const bias = site.bias && gather(site.bias, tensor([...ids], [ids.length], 'int32'))
        const own = site.apply(x, { weight: rows(), ...(bias && { bias }) }) // [B, T, n]
        return sub(linear(own, at), mul(y, sum(at, 1)))
      },
      { fold },
    )
  return plus(
    site,
    (tokens, y) => {
      const at = cast(equal(expandDims(tokens, 2), tensor([...ids], [1, 1, ids.length], 'int32')), 'float32') // [B, T, n]
      // `apply` also does what the model does to its rows, such as Gemma's factor.
      const own = site.apply(range(0, ids.length), { weight: rows() }) // [n, d]
      return sub(linear(at, transpose(own)), mul(y, sum(at, 2, true)))
    },
    { fold },
  )
}

/** [V, n]: 1 where a row is one of the tokens. */
const placed = (ids: readonly number[], count: number): Tensor => {
  const values = new Float32Array(count * ids.length)
  ids.forEach((id, k) => {
    values[id * ids.length + k] = 1
  })
  return tensor(values, [count, ids.length])
}
