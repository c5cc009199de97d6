import type { Site, SublayerPart } from '@graftjs/core'
import { embeddingSite, linearSite, normSite, placeAt } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import type { T5Config } from './t5.ts'

interface SublayerSites {
  readonly norm: Site<'norm'>
  readonly sublayer: Site<'sublayer'>
}
export interface AttentionSites extends SublayerSites {
  readonly q: Site<'linear'>
  readonly k: Site<'linear'>
  readonly v: Site<'linear'>
  readonly attention: Site<'attention'>
  readonly o: Site<'linear'>
}
export interface FeedForwardSites extends SublayerSites {
  /** What goes through the activation. */
  readonly wi: Site<'linear'>
  /** Of a gated one: what that is multiplied with. */
  readonly gated?: Site<'linear'>
  readonly wo: Site<'linear'>
}

export interface BlockSites {
  readonly layer: Site<'layer'>
  readonly self: AttentionSites
  /** A decoder's. */
  readonly cross?: AttentionSites
  readonly feedForward: FeedForwardSites
}

/** `encoder` or `decoder`: its blocks, the table of distances that they share, the norm behind them. */
export interface SideSites {
  readonly blocks: readonly BlockSites[]
  readonly relativeBias: Site<'embedding'>
  readonly finalNorm: Site<'norm'>
}

type Side = 'encoder' | 'decoder'

/** `first`: the number of its first block among all of the model's. */
export const sideSites = (c: T5Config, source: WeightSource, side: Side, count: number, first: number): SideSites => {
  const table = `${side}.block.0.layer.0.SelfAttention.relative_attention_bias`
  return {
    blocks: Array.from({ length: count }, (_, i) => blockSites(c, source, side, i, first + i)),
    // Of no layer, whatever its path says: every block reads it.
    relativeBias: embeddingSite(table, source.matrix(`${table}.weight`, [c.relativeAttentionNumBuckets, c.numHeads])),
    finalNorm: norm(c, source, `${side}.final_layer_norm`, -1),
  }
}

const blockSites = (c: T5Config, source: WeightSource, side: Side, i: number, layer: number): BlockSites => {
  const path = `${side}.block.${i}`
  const inside = { inDim: c.dModel, outDim: c.dModel }
  const feedForward = `${path}.layer.${side === 'encoder' ? 1 : 2}`
  return {
    layer: { kind: 'layer', ...placeAt(path, layer, inside), role: 'block' },
    self: attentionSites(c, source, `${path}.layer.0`, 'SelfAttention', layer),
    ...(side === 'decoder' && { cross: attentionSites(c, source, `${path}.layer.1`, 'EncDecAttention', layer) }),
    feedForward: feedForwardSites(c, source, feedForward, layer),
  }
}

const sublayerSites = (
  c: T5Config,
  source: WeightSource,
  at: string,
  role: string,
  part: SublayerPart,
  layer: number,
): SublayerSites => ({
  norm: norm(c, source, `${at}.layer_norm`, layer),
  sublayer: { kind: 'sublayer', ...placeAt(`${at}.${role}`, layer, { inDim: c.dModel, outDim: c.dModel }), part },
})

const attentionSites = (
  c: T5Config,
  source: WeightSource,
  at: string,
  role: 'SelfAttention' | 'EncDecAttention',
  layer: number,
): AttentionSites => {
  const inner = c.numHeads * c.dKv
  const proj = (name: string, out: number, from: number) => linear(c, source, `${at}.${role}.${name}`, layer, out, from)
  return {
    ...sublayerSites(c, source, at, role, role === 'SelfAttention' ? 'self-attention' : 'cross-attention', layer),
    q: proj('q', inner, c.dModel),
    k: proj('k', inner, c.dModel),
    v: proj('v', inner, c.dModel),
    attention: {
      kind: 'attention',
      ...placeAt(`${at}.${role}.attention`, layer, { inDim: inner, outDim: inner }),
      heads: c.numHeads,
      keyHeads: c.numHeads,
    },
    o: proj('o', c.dModel, inner),
  }
}

const feedForwardSites = (c: T5Config, source: WeightSource, at: string, layer: number): FeedForwardSites => {
  const role = 'DenseReluDense'
  const proj = (name: string, out: number, from: number) => linear(c, source, `${at}.${role}.${name}`, layer, out, from)
  return {
    ...sublayerSites(c, source, at, role, 'feed-forward', layer),
    ...(c.isGated
      ? { wi: proj('wi_0', c.dFf, c.dModel), gated: proj('wi_1', c.dFf, c.dModel) }
      : { wi: proj('wi', c.dFf, c.dModel) }),
    wo: proj('wo', c.dModel, c.dFf),
  }
}

const linear = (
  { biases = [] }: T5Config,
  source: WeightSource,
  path: string,
  layer: number,
  out: number,
  from: number,
): Site<'linear'> => {
  const bias = biases.includes(path.split('.').at(-1)!) ? source.vector(`${path}.bias`, out) : undefined
  return linearSite(path, layer, source.matrix(`${path}.weight`, [out, from]), bias)
}

const norm = (c: T5Config, source: WeightSource, path: string, layer: number): Site<'norm'> =>
  normSite(path, layer, source.vector(`${path}.weight`, c.dModel), c.layerNormEpsilon)

/** All sites of one side, in the order in which they run. */
export const flatSites = ({ blocks, relativeBias, finalNorm }: SideSites): Site[] => [
  relativeBias,
  ...blocks.flatMap(({ layer, self, cross, feedForward }) => [
    layer,
    ...[self, cross ?? {}, feedForward].flatMap((part) => Object.values(part) as Site[]),
  ]),
  finalNorm,
]
