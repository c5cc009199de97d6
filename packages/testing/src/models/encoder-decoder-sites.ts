import type { Site, SublayerPart } from '@graftjs/core'
import { embeddingSite, linearSite, normSite, placeAt, type WeightSource } from '@graftjs/models'
import type { AttentionSites, FeedForwardSites } from './block.ts'
import type { EncoderDecoderConfig } from './encoder-decoder.ts'

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

/** `first`: the number of its first block among all of the model's. */
export const sideSites = (
  c: EncoderDecoderConfig,
  source: WeightSource,
  side: 'encoder' | 'decoder',
  count: number,
  first: number,
): SideSites => {
  const d = c.dModel
  const table = `${side}.block.0.layer.0.SelfAttention.relative_attention_bias`
  return {
    blocks: Array.from({ length: count }, (_, i) => blockSites(c, source, side, i, first + i)),
    // Of no layer, whatever its path says: every block reads it.
    relativeBias: embeddingSite(table, source.matrix(`${table}.weight`, [c.relativeAttentionNumBuckets, c.numHeads])),
    finalNorm: norm(c, source, `${side}.final_layer_norm`, -1, d),
  }
}

const blockSites = (
  c: EncoderDecoderConfig,
  source: WeightSource,
  side: 'encoder' | 'decoder',
  i: number,
  layer: number,
): BlockSites => {
  const path = `${side}.block.${i}`
  const [d, inner] = [c.dModel, c.numHeads * c.dKv]
  const proj = (name: string, out: number, from: number, biased: boolean): Site<'linear'> =>
    linearSite(
      name,
      layer,
      source.matrix(`${name}.weight`, [out, from]),
      biased ? source.vector(`${name}.bias`, out) : undefined,
    )
  const sublayer = (at: string, role: string, part: SublayerPart) => ({
    norm: norm(c, source, `${at}.layer_norm`, layer, d),
    sublayer: { kind: 'sublayer', ...placeAt(`${at}.${role}`, layer, { inDim: d, outDim: d }), part } as const,
  })
  const attention = (at: string, role: string): AttentionSites => ({
    ...sublayer(at, role, role === 'SelfAttention' ? 'self-attention' : 'cross-attention'),
    q: proj(`${at}.${role}.q`, inner, d, c.bias === true),
    k: proj(`${at}.${role}.k`, inner, d, c.bias === true),
    v: proj(`${at}.${role}.v`, inner, d, c.bias === true),
    attention: {
      kind: 'attention',
      ...placeAt(`${at}.${role}.attention`, layer, { inDim: inner, outDim: inner }),
      heads: c.numHeads,
      keyHeads: c.numHeads,
    },
    o: proj(`${at}.${role}.o`, d, inner, c.bias === true),
  })
  const last = side === 'encoder' ? 1 : 2
  return {
    layer: { kind: 'layer', ...placeAt(path, layer, { inDim: d, outDim: d }), role: 'block' },
    self: attention(`${path}.layer.0`, 'SelfAttention'),
    ...(side === 'decoder' && { cross: attention(`${path}.layer.1`, 'EncDecAttention') }),
    feedForward: {
      ...sublayer(`${path}.layer.${last}`, 'DenseReluDense', 'feed-forward'),
      wi: proj(`${path}.layer.${last}.DenseReluDense.wi`, c.dFf, d, c.bias !== false),
      wo: proj(`${path}.layer.${last}.DenseReluDense.wo`, d, c.dFf, c.bias !== false),
    },
  }
}

const norm = (c: EncoderDecoderConfig, source: WeightSource, path: string, layer: number, d: number): Site<'norm'> =>
  normSite(path, layer, source.vector(`${path}.weight`, d), c.layerNormEpsilon)

/** All sites of one side, in the order in which they run. */
export const flatSites = ({ blocks, relativeBias, finalNorm }: SideSites): Site[] => [
  relativeBias,
  ...blocks.flatMap(({ layer, self, cross, feedForward }) => [
    layer,
    ...[self, cross ?? {}, feedForward].flatMap((part) => Object.values(part) as Site[]),
  ]),
  finalNorm,
]
