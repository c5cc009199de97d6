import type { Heads, Model, Run, Site, Stream } from '@graftjs/core'
import { attention, residual, splitColumns } from '@graftjs/kernels'
import { reshape, type Tensor } from '@graftjs/tensor'
import { tooLong } from '../begin-frame.ts'
import type { HeadConfig } from '../heads/head-config.ts'
import {
  biasedLinearFrom,
  embed,
  embeddingSite,
  layerNormFrom,
  layerSite,
  normed,
  owning,
  placeAt,
  project,
  sublayerSite,
} from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import { type Activation, activations } from './activations.ts'
import { causalModel } from './causal-model.ts'

export interface Gpt2Config {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  readonly maxPositionEmbeddings: number
  readonly layerNormEpsilon: number
  readonly activation: Activation
  /** Scores are divided by √headDim. */
  readonly scaleAttnWeights: boolean
  /** Scores of layer i are divided by i + 1 too. */
  readonly scaleAttnByInverseLayerIdx: boolean
  readonly tieWordEmbeddings: boolean
  /** Of another task than causal-lm: seq-cls. */
  readonly head?: HeadConfig
}

/**
 * GPT-2 (Radford et al. 2019): pre-norm with LayerNorm, learned positions, one matrix for queries, keys and values. Its
 * files hold the matrices of the layers as [in, out]; here they are [out, in], as everywhere. DistilGPT2 is one.
 */
export const gpt2 = (config: Gpt2Config, source: WeightSource): Model => {
  const { vocabSize, hiddenSize: d, maxPositionEmbeddings: most } = config
  const weights = owning(source)
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerSites(config, weights, i))
  const table = (name: string, rows: number) =>
    embeddingSite(`transformer.${name}`, weights.matrix(`transformer.${name}.weight`, [rows, d]))
  const positions = table('wpe', most)
  return causalModel({
    type: 'gpt2',
    targetModules: ['c_attn'],
    limits: config,
    path: 'transformer',
    words: table('wte', vocabSize),
    entry: { sites: [positions], apply: (x, { frame }, run) => placed(positions, x, frame, run) },
    layers: layers.map((sites, i) => ({
      sites: Object.values(sites),
      stage: { site: sites.layer, uses: ['hidden'], apply: (s, run) => layer(config, sites, i, s, run) },
    })),
    finalNorm: layerNorm(config, weights, 'transformer.ln_f', -1),
    tied: config.tieWordEmbeddings,
    head: config.head,
    weights,
    remake: (other, tied) => gpt2({ ...config, tieWordEmbeddings: tied }, other),
  })
}

/** x + the embedding of each token's place. */
const placed = (table: Site<'embedding'>, x: Tensor, { positions, span }: Stream['frame'], run: Run): Tensor => {
  if (span > table.inDim) throw tooLong(span, table.inDim)
  return residual(x, embed(table, positions, run))
}

const layerNorm = (c: Gpt2Config, source: WeightSource, path: string, layer: number): Site<'norm'> =>
  layerNormFrom(source, path, layer, c.hiddenSize, c.layerNormEpsilon)

type LayerSites = ReturnType<typeof layerSites>

const layerSites = (c: Gpt2Config, source: WeightSource, i: number) => {
  const at = `transformer.h.${i}`
  const { hiddenSize: d, intermediateSize: f } = c
  const linear = (name: string, out: number, inner: number) =>
    biasedLinearFrom(source, `${at}.${name}`, i, [out, inner])
  return {
    layer: layerSite(at, i, d),
    norm1: layerNorm(c, source, `${at}.ln_1`, i),
    attn: sublayerSite(`${at}.attn`, i, 'self-attention', d),
    qkv: linear('attn.c_attn', 3 * d, d),
    attention: {
      kind: 'attention',
      ...placeAt(`${at}.attn.attention`, i, { inDim: d, outDim: d }),
      heads: c.numAttentionHeads,
      keyHeads: c.numAttentionHeads,
    } satisfies Site<'attention'>,
    out: linear('attn.c_proj', d, d),
    norm2: layerNorm(c, source, `${at}.ln_2`, i),
    mlp: sublayerSite(`${at}.mlp`, i, 'feed-forward', d),
    up: linear('mlp.c_fc', f, d),
    down: linear('mlp.c_proj', d, f),
  }
}

const layer = (c: Gpt2Config, sites: LayerSites, i: number, s: Stream, run: Run): Stream => {
  const x = s.hidden
  const attended = run.at(sites.attn, normed(sites.norm1, x, run), (h, r) => selfAttention(c, sites, i, h, s, r))
  const mid = residual(x, attended)
  const fed = run.at(sites.mlp, normed(sites.norm2, mid, run), (h, r) =>
    project(sites.down, activations[c.activation](project(sites.up, h, r)), r),
  )
  return { ...s, hidden: residual(mid, fed) }
}

const selfAttention = (c: Gpt2Config, sites: LayerSites, i: number, x: Tensor, { frame }: Stream, run: Run): Tensor => {
  const [batch, length, d] = x.shape as [number, number, number]
  const qkv = project(sites.qkv, x, run) // [B, T, 3 d]
  const shape = [batch, length, c.numAttentionHeads, d / c.numAttentionHeads]
  const [q, k, v] = splitColumns(qkv, 3).map((part) => reshape(part, shape)) as [Tensor, Tensor, Tensor]
  const own = { k, v, segments: frame.segments }
  const { segments: keySegments, ...seen } = run.call.cache?.extend(i, k, v, frame.segments) ?? own
  const heads: Heads = { x, q, ...seen, open: 0, causal: true, frame, keySegments }
  const scale = (c.scaleAttnWeights ? 1 / Math.sqrt(shape[3]!) : 1) / (c.scaleAttnByInverseLayerIdx ? i + 1 : 1)
  const context = run.at(sites.attention, heads, (h) =>
    attention(h.q, h.k, h.v, {
      scale,
      causal: h.causal,
      open: h.open,
      querySegments: h.frame.segments,
      keySegments: h.keySegments,
    }),
  )
  return project(sites.out, reshape(context, [batch, length, d]), run)
}
