import type { Heads, Run, Site, Stream } from '@graftjs/core'
import { residual } from '@graftjs/kernels'
import { normed, project } from '@graftjs/models'
import { relu, reshape, silu, type Tensor } from '@graftjs/tensor'
import { attend } from './attend.ts'

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
  readonly wi: Site<'linear'>
  readonly wo: Site<'linear'>
}

/** Added to the scores: [B | 1, H, T, S]. */
export type Bias = (heads: Heads, run: Run) => Tensor

export interface SelfAttention {
  readonly heads: number
  readonly causal: boolean
  readonly bias: Bias
}

/** x + f(norm x), patches at the sublayer around f. */
const preNorm = (at: SublayerSites, x: Tensor, run: Run, f: (h: Tensor, run: Run) => Tensor): Tensor =>
  residual(x, run.at(at.sublayer, normed(at.norm, x, run), f))

/** x + SelfAttention(norm x). A causal one goes on from the keys in the cache. */
export const selfAttention = (
  at: AttentionSites,
  { heads, causal, bias }: SelfAttention,
  s: Stream,
  run: Run,
): Tensor =>
  preNorm(at, s.hidden, run, (x, r) => {
    const q = inHeads(project(at.q, x, r), heads)
    const k = inHeads(project(at.k, x, r), heads)
    const v = inHeads(project(at.v, x, r), heads)
    const { frame } = s
    const own = { k, v, segments: frame.segments }
    const cache = causal ? r.call.cache : undefined
    const { segments: keySegments, ...seen } = cache?.extend(at.sublayer.layer, k, v, frame.segments) ?? own
    const given: Heads = { x, q, ...seen, open: 0, causal, frame, keySegments }
    return project(at.o, merged(r.at(at.attention, given, (h, hr) => attend(h, bias(h, hr)))), r)
  })

/** x + CrossAttention(norm x, memory). Its keys are made anew in each call, so that patches at k and v act in all of them. */
export const crossAttention = (at: AttentionSites, heads: number, s: Stream, run: Run): Tensor =>
  preNorm(at, s.hidden, run, (x, r) => {
    const q = inHeads(project(at.q, x, r), heads)
    const k = inHeads(project(at.k, s.memory!, r), heads)
    const v = inHeads(project(at.v, s.memory!, r), heads)
    const { frame } = s
    const given: Heads = { x, q, k, v, open: 0, causal: false, frame, keySegments: frame.memorySegments! }
    return project(at.o, merged(r.at(at.attention, given, (h) => attend(h))), r)
  })

/** x + wo f(wi norm x). */
export const feedForward = (at: FeedForwardSites, f: Activation, x: Tensor, run: Run): Tensor =>
  preNorm(at, x, run, (h, r) => project(at.wo, activations[f](project(at.wi, h, r)), r))

const activations = { relu, silu }
export type Activation = keyof typeof activations

/** [B, T, H·D] -> [B, T, H, D]. */
const inHeads = (x: Tensor, heads: number): Tensor => {
  const [batch, length, inner] = x.shape as [number, number, number]
  return reshape(x, [batch, length, heads, inner / heads])
}

/** [B, T, H, D] -> [B, T, H·D]. */
const merged = (x: Tensor): Tensor => {
  const [batch, length, heads, dim] = x.shape as [number, number, number, number]
  return reshape(x, [batch, length, heads * dim])
}
