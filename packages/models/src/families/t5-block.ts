import type { Heads, Run, Site, Stream } from '@graftjs/core'
import { type AttentionOptions, attention, biasedAttention, residual } from '@graftjs/kernels'
import { mul, reshape, type Tensor } from '@graftjs/tensor'
import { normed, project } from '../sites.ts'
import { type Activation, activations } from './activations.ts'
import type { AttentionSites, BlockSites, FeedForwardSites } from './t5-sites.ts'

/** Added to the scores: [B | 1, H, T, S]. */
export type Bias = (heads: Heads, run: Run) => Tensor

export interface SelfAttention {
  readonly heads: number
  readonly causal: boolean
  readonly bias: Bias
}

/** One block: self-attention, attention to the memory in a decoder, feed-forward, each behind a norm. */
export const t5Block = (
  { self, cross, feedForward: ff }: BlockSites,
  attends: SelfAttention,
  activation: Activation,
  s: Stream,
  run: Run,
): Stream => {
  const x = selfAttention(self, attends, s, run)
  const y = cross ? crossAttention(cross, attends.heads, { ...s, hidden: x }, run) : x
  return { ...s, hidden: feedForward(ff, activation, y, run) }
}

/** x + f(norm x), patches at the sublayer around f. */
const preNorm = (
  at: { readonly norm: Site<'norm'>; readonly sublayer: Site<'sublayer'> },
  x: Tensor,
  run: Run,
  f: (h: Tensor, run: Run) => Tensor,
): Tensor => residual(x, run.at(at.sublayer, normed(at.norm, x, run), f))

/** x + SelfAttention(norm x). A causal one goes on from the keys in the cache. */
const selfAttention = (at: AttentionSites, { heads, causal, bias }: SelfAttention, s: Stream, run: Run): Tensor =>
  preNorm(at, s.hidden, run, (x, r) => {
    const q = inHeads(project(at.q, x, r), heads)
    const k = inHeads(project(at.k, x, r), heads)
    const v = inHeads(project(at.v, x, r), heads)
    const { frame } = s
    const own = { k, v, segments: frame.segments }
    const cache = causal ? r.call.cache : undefined
    const { segments: keySegments, ...seen } = cache?.extend(at.sublayer.layer, k, v, frame.segments) ?? own
    const given: Heads = { x, q, ...seen, open: 0, causal, frame, keySegments }
    const context = r.at(at.attention, given, (h, hr) =>
      biasedAttention(h.q, h.k, h.v, { ...seeing(h), bias: bias(h, hr) }),
    )
    return project(at.o, merged(context), r)
  })

/** x + CrossAttention(norm x, memory). Its keys are made anew in each call, so that patches at k and v act in all of them. */
const crossAttention = (at: AttentionSites, heads: number, s: Stream, run: Run): Tensor =>
  preNorm(at, s.hidden, run, (x, r) => {
    const q = inHeads(project(at.q, x, r), heads)
    const k = inHeads(project(at.k, s.memory!, r), heads)
    const v = inHeads(project(at.v, s.memory!, r), heads)
    const { frame } = s
    const given: Heads = { x, q, k, v, open: 0, causal: false, frame, keySegments: frame.memorySegments! }
    return project(at.o, merged(r.at(at.attention, given, (h) => attention(h.q, h.k, h.v, seeing(h)))), r)
  })

/** T5 does not scale its scores. */
const seeing = ({ causal, open, frame, keySegments }: Heads): AttentionOptions => ({
  scale: 1,
  causal,
  open,
  querySegments: frame.segments,
  keySegments,
})

/** x + wo (f(wi norm x) · gate), the gate where there is one. */
const feedForward = (at: FeedForwardSites, activation: Activation, x: Tensor, run: Run): Tensor =>
  preNorm(at, x, run, (h, r) => {
    const open = activations[activation](project(at.wi, h, r))
    return project(at.wo, at.gated ? mul(open, project(at.gated, h, r)) : open, r)
  })

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
