import { type JsonObject, type Model, type Site, savedSites, type Values } from '@graftjs/core'
import { dispose, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** How far a copy may lie from the model's weight (relative L2): rounding to bfloat16, or to the few bits of a packed format. */
const ROUNDED = 0.01
const PACKED = 0.25

/**
 * What PEFT saves beside an adapter is left out: the model's own matrices (beside the LoRA of an embedding or a head, or
 * where its caller asked for them), and second names of `modules_to_save`. A matrix that is not the model's own (a
 * vocabulary that was resized, another base model) would have to replace it and is refused. Errors: `adapter-mismatch`.
 */
export const withoutBaseCopies = async (model: Model, values: Values, config: JsonObject): Promise<Values> => {
  const kept = new Map(values)
  const isOwn = savedBy(model, config)
  for (const [key, { shape, data }] of values) {
    // bias="all" takes in what lies behind PEFT's wrappers: the replaced module, and the new one again.
    const plain = key.replace(/\.(original_module|modules_to_save(\.default)?)\./, '.')
    if (plain !== key && values.has(plain)) kept.delete(key)
    const site = matrixAt(model, key)
    if (!site || isOwn(site)) continue
    await requireSame(site, key, shape, data)
    kept.delete(key)
  }
  return kept
}

type Matrix = Site<'embedding'> | Site<'linear'>

const matrixAt = (model: Model, key: string): Matrix | undefined => {
  const path = /^(.*?)(\.base_layer)?\.weight$/.exec(key)?.[1]
  return model.sites.find(
    (site): site is Matrix => (site.kind === 'embedding' || site.kind === 'linear') && site.path === path,
  )
}

/** Whether the adapter holds the site's weight as its own. */
const savedBy = (model: Model, { modules_to_save: names }: JsonObject): ((site: Matrix) => boolean) => {
  if (!Array.isArray(names) || names.length === 0) return () => false
  const saved: readonly Site[] = savedSites(model, names.map(String))
  return (site) => saved.includes(site)
}

const requireSame = async ({ weight }: Matrix, key: string, shape: readonly number[], data: Float32Array) => {
  const wanted = weight.shape
  if (shape.join() !== wanted.join())
    throw differs(key, `a matrix [${shape}]`, `[${wanted}], the model's: was the vocabulary resized?`)
  const apart = await distance(data, weight.dense())
  const isPacked = weight.bytes < 2 * data.length
  if (apart <= (isPacked ? PACKED : ROUNDED)) return
  const given = `base weights that are ${apart.toFixed(3)} (relative) away from the model's`
  throw differs(key, given, 'the model that the adapter was trained on')
}

/** ‖a − b‖ / ‖b‖; frees b. */
const distance = async (a: Float32Array, b: Tensor): Promise<number> => {
  const values = (await b.data()) as Float32Array
  dispose(b)
  let [off, all] = [0, 0]
  values.forEach((v, i) => {
    off += (a[i]! - v) ** 2
    all += v * v
  })
  return off === 0 ? 0 : Math.sqrt(off / all)
}

const differs = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'adapter-mismatch', culprit, given, expected })
