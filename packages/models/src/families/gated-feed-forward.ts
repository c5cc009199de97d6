import type { Run, Site } from '@graftjs/core'
import type { Tensor } from '@graftjs/tensor'
import { project, sublayerSite } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import { biasedLinear, type RotaryConfig } from './rotary-attention.ts'

export interface GatedFeedForwardSites {
  readonly mlp: Site<'sublayer'>
  readonly gate: Site<'linear'>
  readonly up: Site<'linear'>
  readonly down: Site<'linear'>
}

/** The sites of `<at>.mlp`. */
export const gatedFeedForwardSites = (
  c: Pick<RotaryConfig, 'hiddenSize' | 'biases'> & { readonly intermediateSize: number },
  source: WeightSource,
  at: string,
  layer: number,
): GatedFeedForwardSites => {
  const { hiddenSize: d, intermediateSize: f } = c
  const proj = (name: string, out: number, inner: number) =>
    biasedLinear(c, source, `${at}.mlp.${name}`, layer, [out, inner])
  return {
    mlp: sublayerSite(`${at}.mlp`, layer, 'feed-forward', d),
    gate: proj('gate_proj', f, d),
    up: proj('up_proj', f, d),
    down: proj('down_proj', d, f),
  }
}

/** down(gated(gate x, up x)) of a normed x [B, T, d], patches at the sublayer around it. */
export const gatedFeedForward = (
  { mlp, gate, up, down }: GatedFeedForwardSites,
  gated: (gate: Tensor, up: Tensor) => Tensor,
  input: Tensor,
  outer: Run,
): Tensor => outer.at(mlp, input, (x, run) => project(down, gated(project(gate, x, run), project(up, x, run)), run))
