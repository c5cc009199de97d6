import { dispose, matMul, random, scope, square, sub, sum, type Tensor, tensor, transpose } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { denseAt, foldedAt, requireFoldable } from './merge.ts'
import type { Value, Values } from './params.ts'
import { truncatedSvd } from './truncated-svd.ts'
import type { Tuned } from './tuned.ts'
import type { JsonObject, Patch, Site } from './types.ts'

export interface LoraFile {
  /** The keys of PEFT's LoraConfig that matter: r, lora_alpha (equal, so the scale is 1), target_modules. */
  readonly config: JsonObject
  readonly tensors: Values
  /** By site: how much of the change is lost, ‖ΔW − BA‖ / ‖ΔW‖ (0 where nothing changed). */
  readonly error: ReadonlyMap<string, number>
  /** The same of all sites together: √(Σ ‖ΔW − BA‖² / Σ ‖ΔW‖²). */
  readonly relativeError: number
}

export interface ToLoraOptions {
  /** The rank; each change of a weight is replaced by its nearest of this rank. */
  readonly r: number
}

/**
 * The active adapter as a LoRA that any engine loads, whatever method it is, so long as it folds into weights of linear
 * layers and embeddings: the truncated singular value decomposition of every change, by block power iteration (Halko et al. 2011).
 */
export const toLora = async (tuned: Tuned, { r }: ToLoraOptions): Promise<LoraFile> => {
  if (!Number.isInteger(r) || r < 1)
    throw new GraftError({ code: 'bad-option', culprit: 'toLora.r', given: String(r), expected: 'a whole number ≥ 1' })
  const tensors = new Map<string, Value>()
  const error = new Map<string, number>()
  const patches = [...requireFoldable(tuned.patches)]
  const sums = { missing: 0, total: 0 }
  for (const [site, list] of patches) {
    const delta = change(site, list)
    const { a, b, missing, total } = await nearest(delta, r, site.path)
    dispose(delta)
    const part = site.kind === 'embedding' ? '.lora_embedding_' : '.lora_'
    const end = site.kind === 'embedding' ? '' : '.weight'
    tensors.set(`${site.path}${part}A${end}`, a)
    tensors.set(`${site.path}${part}B${end}`, b)
    error.set(site.path, lost(missing, total))
    sums.missing += missing
    sums.total += total
  }
  const targets = patches.map(([site]) => site.path)
  const config = { peft_type: 'LORA', r, lora_alpha: r, target_modules: targets }
  return { config, tensors, error, relativeError: lost(sums.missing, sums.total) }
}

const lost = (missing: number, total: number): number => (total === 0 ? 0 : Math.sqrt(missing / total))

/** What the patches add to the site's weight, [out, in]; of an embedding [vocab, out] it is the transpose, as LoRA has it. */
const change = (site: Site, patches: readonly Patch[]): Tensor =>
  scope(() => {
    if (site.kind !== 'linear' && site.kind !== 'embedding') throw notLora(site, 'is no linear layer and no embedding')
    const [before, after] = [denseAt(site), foldedAt(site, patches)!]
    if (after.bias !== before.bias) throw notLora(site, 'its bias is changed too')
    const delta = sub(after.weight, before.weight)
    return site.kind === 'linear' ? delta : transpose(delta)
  })

const notLora = (site: Site, why: string): GraftError =>
  new GraftError({
    code: 'not-lora',
    culprit: site.path,
    message: `toLora: ${site.path} cannot be written as a LoRA: ${why}`,
  })

const nearest = async (
  delta: Tensor,
  r: number,
  path: string,
): Promise<{ a: Value; b: Value; missing: number; total: number }> => {
  const [out, inner] = delta.shape as [number, number]
  const { left, right, total } = await truncatedSvd(delta, r, random(0, path))
  const a = new Float32Array(r * inner)
  const b = new Float32Array(out * r)
  right.forEach((row, k) => {
    a.set(row, k * inner)
  })
  left.forEach((column, k) => {
    column.forEach((value, i) => {
      b[i * r + k] = value
    })
  })
  const rest = scope(() => sum(square(sub(delta, matMul(tensor(b, [out, r]), tensor(a, [r, inner]))))))
  const [missing] = await rest.data()
  dispose(rest)
  return { a: { shape: [r, inner], data: a }, b: { shape: [out, r], data: b }, missing: missing!, total }
}
