import type { Dense, Run, Site, SublayerPart } from '@graftjs/core'
import { layerNorm, linear, rmsNorm, type StoredWeight } from '@graftjs/kernels'
import { add, gather, mul, linear as plainLinear, type Tensor, zerosLike } from '@graftjs/tensor'
import type { VectorWeight } from './vector-weight.ts'
import type { WeightSource } from './weight-source.ts'

interface Dims {
  readonly inDim: number
  readonly outDim: number
}

/** Everything about a site but its kind. */
export const placeAt = (path: string, layer: number, { inDim, outDim }: Dims) => ({
  path,
  layer,
  role: path.split('.').at(-1)!,
  inDim,
  outDim,
})

/** y = x·Wᵀ + b from `<path>.weight` [out, in]. */
export const linearSite = (
  path: string,
  layer: number,
  weight: StoredWeight,
  bias?: VectorWeight | undefined,
): Site<'linear'> => ({
  kind: 'linear',
  ...placeAt(path, layer, { inDim: weight.shape[1]!, outDim: weight.shape[0]! }),
  weight,
  ...(bias && { bias: bias.data }),
  apply: (x, { weight: w, bias: b }: Dense) => (b ? add(plainLinear(x, w), b) : plainLinear(x, w)),
})

export const normSite = (path: string, layer: number, weight: VectorWeight, eps: number): Site<'norm'> => ({
  kind: 'norm',
  ...placeAt(path, layer, { inDim: weight.shape[0]!, outDim: weight.shape[0]! }),
  weight,
  apply: (x, { weight: w }: Dense) => rmsNorm(x, w, eps),
})

/** RMSNorm whose factor is 1 + `<path>.weight` (Gemma). */
export const shiftedNormSite = (path: string, layer: number, weight: VectorWeight, eps: number): Site<'norm'> => ({
  ...normSite(path, layer, weight, eps),
  apply: (x, { weight: w }: Dense) => rmsNorm(x, add(w, 1), eps),
})

/** LayerNorm from `<path>.weight` and `<path>.bias`. */
export const layerNormSite = (
  path: string,
  layer: number,
  weight: VectorWeight,
  bias: VectorWeight,
  eps: number,
): Site<'norm'> => ({
  kind: 'norm',
  ...placeAt(path, layer, { inDim: weight.shape[0]!, outDim: weight.shape[0]! }),
  weight,
  bias: bias.data,
  apply: (x, { weight: w, bias: b }: Dense) => layerNorm(x, w, b ?? zerosLike(w), eps),
})

/** A linear layer with a bias, from `<path>.weight` [out, in] and `<path>.bias` [out]. */
export const biasedLinearFrom = (
  source: WeightSource,
  path: string,
  layer: number,
  [out, inner]: readonly [number, number],
): Site<'linear'> =>
  linearSite(path, layer, source.matrix(`${path}.weight`, [out, inner]), source.vector(`${path}.bias`, out))

/** LayerNorm of `size` features, from `<path>.weight` and `<path>.bias`. */
export const layerNormFrom = (
  source: WeightSource,
  path: string,
  layer: number,
  size: number,
  eps: number,
): Site<'norm'> =>
  layerNormSite(path, layer, source.vector(`${path}.weight`, size), source.vector(`${path}.bias`, size), eps)

/** A whole layer of width `size`. */
export const layerSite = (path: string, layer: number, size: number): Site<'layer'> => ({
  kind: 'layer',
  ...placeAt(path, layer, { inDim: size, outDim: size }),
  role: 'layer',
})

/** One half of a layer of width `size`, its norm left out. */
export const sublayerSite = (path: string, layer: number, part: SublayerPart, size: number): Site<'sublayer'> => ({
  kind: 'sublayer',
  ...placeAt(path, layer, { inDim: size, outDim: size }),
  part,
})

/** Rows of `<path>.weight` [count, out]. */
export const embeddingSite = (path: string, weight: StoredWeight): Site<'embedding'> => ({
  kind: 'embedding',
  ...placeAt(path, -1, { inDim: weight.shape[0]!, outDim: weight.shape[1]! }),
  weight,
  apply: (ids, { weight: w }: Dense) => gather(w, ids),
})

/** The same, each row times `factor` (Gemma). */
export const scaledEmbeddingSite = (path: string, weight: StoredWeight, factor: number): ScaledEmbedding => ({
  ...embeddingSite(path, weight),
  factor,
  apply: (ids, { weight: w }: Dense) => mul(gather(w, ids), factor),
})
type ScaledEmbedding = Site<'embedding'> & { readonly factor?: number }

/** A linear site: the fused kernel where every patch is a low-rank product, the onion otherwise. */
export const project = (site: Site<'linear'>, x: Tensor, run: Run): Tensor => {
  const base = (input: Tensor, lowRank: { a: Tensor; b: Tensor; scale: number }[] = []): Tensor =>
    linear(input, site.weight as StoredWeight, { ...(site.bias && { bias: site.bias }), lowRank })
  const plan = run.plan(site)
  if (plan === 'generic') return run.at(site, x, (input) => base(input))
  return base(
    x,
    plan.map(({ a, b, scale }) => ({ a: a(), b: b(), scale })),
  )
}

export const normed = (site: Site<'norm'>, x: Tensor, run: Run): Tensor =>
  run.at(site, x, (input) =>
    site.apply(input, { weight: (site.weight as VectorWeight).data, ...(site.bias && { bias: site.bias }) }),
  )

export const embed = (site: ScaledEmbedding, ids: Tensor, run: Run): Tensor =>
  run.at(site, ids, (places) => {
    const rows = (site.weight as StoredWeight).rows(places)
    return site.factor === undefined ? rows : mul(rows, site.factor)
  })

/** The source, and a way to free all that it gave. */
export const owning = (source: WeightSource): WeightSource & { dispose(): void } => {
  const given = new Set<StoredWeight | VectorWeight>()
  const note = <W extends StoredWeight | VectorWeight>(weight: W): W => {
    given.add(weight)
    return weight
  }
  return {
    matrix: (name, shape) => note(source.matrix(name, shape)),
    vector: (name, size) => note(source.vector(name, size)),
    dispose: () => {
      for (const weight of given) weight.dispose()
    },
  }
}
