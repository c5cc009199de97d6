import type { Frame, Heads, Run, Site } from '@graftjs/core'
import { attention, rope } from '@graftjs/kernels'
import { range, reshape, type Tensor, tile } from '@graftjs/tensor'
import type { RopeScaling } from '../rope-frequencies.ts'
import { type RopeTables, ropeTables } from '../rope-tables.ts'
import { linearSite, normed, placeAt, project, sublayerSite } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'

/** What the self-attention of a decoder with rotary positions is told. */
export interface RotaryConfig {
  readonly hiddenSize: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  /** heads · headDim need not be hiddenSize. */
  readonly headDim: number
  readonly ropeTheta: number
  readonly ropeScaling?: RopeScaling | undefined
  readonly maxPositionEmbeddings: number
  /** The linear layers that have a bias, such as `q_proj`. Default: none. */
  readonly biases?: readonly string[]
  /** RMSNorm over each head of the queries and of the keys (Qwen3). */
  readonly qkNorm?: boolean
  /** How many keys a query sees in each layer, its own counted; null for all. Default: all. */
  readonly windows?: readonly (number | null)[]
  /** On the scores. Default 1/√headDim. */
  readonly scoreScale?: number
  /** Scores s become cap · tanh(s / cap) (Gemma 2). */
  readonly scoreCap?: number | undefined
}

export const rotaryTables = (c: RotaryConfig): RopeTables =>
  ropeTables(c.headDim, c.ropeTheta, c.maxPositionEmbeddings, c.ropeScaling)

/** `<at>.<name>`, with the bias that the config gives its role. */
export const biasedLinear = (
  { biases = [] }: Pick<RotaryConfig, 'biases'>,
  source: WeightSource,
  path: string,
  layer: number,
  [out, inner]: readonly [number, number],
): Site<'linear'> => {
  const bias = biases.includes(path.split('.').at(-1)!) ? source.vector(`${path}.bias`, out) : undefined
  return linearSite(path, layer, source.matrix(`${path}.weight`, [out, inner]), bias)
}

export interface RotaryAttentionSites {
  readonly selfAttn: Site<'sublayer'>
  readonly q: Site<'linear'>
  readonly k: Site<'linear'>
  readonly v: Site<'linear'>
  readonly qNorm?: Site<'norm'>
  readonly kNorm?: Site<'norm'>
  readonly attention: Site<'attention'>
  readonly o: Site<'linear'>
}

/** The sites of `<at>.self_attn`. `norm` makes those of q_norm and k_norm, where there are any. */
export const rotaryAttentionSites = (
  c: RotaryConfig,
  source: WeightSource,
  at: string,
  layer: number,
  norm: (path: string, size: number) => Site<'norm'>,
): RotaryAttentionSites => {
  const d = c.hiddenSize
  const [heads, kv] = [c.numAttentionHeads * c.headDim, c.numKeyValueHeads * c.headDim]
  const path = `${at}.self_attn`
  const proj = (name: string, out: number, inner: number) =>
    biasedLinear(c, source, `${path}.${name}`, layer, [out, inner])
  return {
    selfAttn: sublayerSite(path, layer, 'self-attention', d),
    q: proj('q_proj', heads, d),
    k: proj('k_proj', kv, d),
    v: proj('v_proj', kv, d),
    ...(c.qkNorm && { qNorm: norm(`${path}.q_norm`, c.headDim), kNorm: norm(`${path}.k_norm`, c.headDim) }),
    attention: {
      kind: 'attention',
      ...placeAt(`${path}.attention`, layer, { inDim: kv, outDim: heads }),
      heads: c.numAttentionHeads,
      keyHeads: c.numKeyValueHeads,
    },
    o: proj('o_proj', d, heads),
  }
}

/** Causal self-attention of a normed x [B, T, d], patches at the sublayer around it; it goes on from the keys in the cache. */
export const rotaryAttention = (
  c: RotaryConfig,
  sites: RotaryAttentionSites,
  tables: RopeTables,
  input: Tensor,
  frame: Frame,
  outer: Run,
): Tensor =>
  outer.at(sites.selfAttn, input, (x, run) => {
    const [batch, length] = x.shape as [number, number, number]
    const inHeads = (site: Site<'linear'>, n: number): Tensor =>
      reshape(project(site, x, run), [batch, length, n, c.headDim]) // [B, T, H, D]
    const { cos, sin } = tables.upTo(frame.span)
    const turned = (t: Tensor, norm?: Site<'norm'>): Tensor =>
      rope(norm ? normed(norm, t, run) : t, frame.positions, cos, sin)
    const q = turned(inHeads(sites.q, c.numAttentionHeads), sites.qNorm)
    const k = turned(inHeads(sites.k, c.numKeyValueHeads), sites.kNorm)
    const v = inHeads(sites.v, c.numKeyValueHeads)
    const own = { k, v, segments: frame.segments }
    const { layer } = sites.attention
    const { segments: keySegments, ...seen } = run.call.cache?.extend(layer, k, v, frame.segments) ?? own
    const heads: Heads = { x, q, ...seen, open: 0, causal: true, frame, keySegments }
    const context = run.at(sites.attention, heads, (h) => attend(c, layer, h, run.past > 0)) // [B, T, H, D]
    return project(sites.o, reshape(context, [batch, length, c.numAttentionHeads * c.headDim]), run)
  })

const attend = (
  c: RotaryConfig,
  layer: number,
  { q, k, v, open, causal, frame, keySegments }: Heads,
  cached: boolean,
): Tensor => {
  const size = c.windows?.[layer]
  return attention(q, k, v, {
    scale: c.scoreScale ?? 1 / Math.sqrt(c.headDim),
    causal,
    open,
    // Shorter texts see all of themselves.
    window: size && frame.span > size ? { size, ...positionsOf(q, k, open, frame, cached) } : undefined,
    cap: c.scoreCap,
    querySegments: frame.segments,
    keySegments,
  })
}

/** A cache holds no positions; there tokens are counted by their places, as transformers counts them. */
const positionsOf = (q: Tensor, k: Tensor, open: number, { positions }: Frame, cached: boolean) => {
  if (!cached) return { queryPositions: positions, keyPositions: positions }
  const [batch, length] = q.shape as [number, number]
  const keys = k.shape[1]! - open
  const places = (from: number): Tensor => tile(reshape(range(from, keys), [1, keys - from]), [batch, 1])
  return { queryPositions: places(keys - length), keyPositions: places(0) }
}
