import type { Memory, Model, Output, Run, Site, Stage, Stream } from '@graftjs/core'
import { crossEntropy, type StoredWeight } from '@graftjs/kernels'
import { clone, mul, reshape, type Tensor } from '@graftjs/tensor'
import { beginEncoderDecoder } from '../begin-encoder-decoder.ts'
import { fromPlace } from '../heads/head.ts'
import { labelRows, nllFromLogits } from '../nll.ts'
import { replacedSource } from '../replaced-source.ts'
import { embed, embeddingSite, linearSite, normed, owning, placeAt, project } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import type { Activation } from './activations.ts'
import { relativeBias } from './relative-bias.ts'
import { type SelfAttention, t5Block } from './t5-block.ts'
import { type BlockSites, flatSites, sideSites } from './t5-sites.ts'

/** Named as in T5's config.json. */
export interface T5Config {
  readonly vocabSize: number
  /** Infinite: positions are relative. */
  readonly maxPositionEmbeddings: number
  readonly dModel: number
  /** Of each head; heads · dKv need not be dModel. */
  readonly dKv: number
  readonly dFf: number
  readonly numHeads: number
  readonly numLayers: number
  readonly numDecoderLayers: number
  readonly relativeAttentionNumBuckets: number
  readonly relativeAttentionMaxDistance: number
  readonly layerNormEpsilon: number
  readonly activation: Activation
  /** The feed-forward has two matrices in (T5 1.1 and Flan-T5). */
  readonly isGated: boolean
  /** The last hidden state is scaled by 1/√dModel before the logits (T5, not 1.1 and Flan-T5). */
  readonly scaleOutputs: boolean
  /** lm_head has a matrix of its own. Default: where the file has one, else it is the embedding's. */
  readonly ownHead?: boolean
  readonly decoderStartTokenId: number
  readonly padTokenId: number
  /** Linear layers with a bias, such as `wi`. No T5 has any. */
  readonly biases?: readonly string[]
}

/**
 * T5 (Raffel et al. 2020): pre-norm without biases, relative positions whose table the layers of a side share, scores without
 * 1/√D. Flan-T5 (Chung et al. 2022) and T5 1.1 are it with gated GELU and a head of their own.
 */
export const t5 = (c: T5Config, source: WeightSource): Model => {
  const weights = owning(source)
  const ownHead = c.ownHead ?? source.holds?.('lm_head.weight') ?? false
  const shared = embeddingSite('shared', weights.matrix('shared.weight', [c.vocabSize, c.dModel]))
  const encoder = sideSites(c, weights, 'encoder', c.numLayers, 0)
  const decoder = sideSites(c, weights, 'decoder', c.numDecoderLayers, c.numLayers)
  const output = ownHead ? weights.matrix('lm_head.weight', [c.vocabSize, c.dModel]) : (shared.weight as StoredWeight)
  const lmHead = linearSite('lm_head', -1, output)
  const layerSite = (path: string, inDim: number): Site<'layer'> => ({
    kind: 'layer',
    ...placeAt(path, -1, { inDim, outDim: c.dModel }),
  })
  const embedSite = layerSite('encoder.embed', 1)
  // Unpublished: a patch around it would stand around a change of frames.
  const bridgeSite = layerSite('bridge', c.dModel)
  const decoderEmbedSite = layerSite('decoder.embed', 1)
  const backbone: Site<'backbone'> = {
    kind: 'backbone',
    ...placeAt('model', -1, { inDim: c.dModel, outDim: c.dModel }),
  }
  const headSite: Site<'head'> = { kind: 'head', ...placeAt('head', -1, { inDim: c.dModel, outDim: c.vocabSize }) }
  const sites: Site[] = [
    shared,
    embedSite,
    ...flatSites(encoder),
    decoderEmbedSite,
    ...flatSites(decoder),
    lmHead,
    backbone,
    headSite,
  ]
  const embedStage = (site: Site<'layer'>): Stage => ({
    site,
    uses: [],
    apply: (s, run) => ({ ...s, hidden: embed(shared, s.frame.ids, run) }),
  })
  return {
    type: 't5',
    sites,
    backbone,
    causal: false,
    labelShift: 0,
    startId: c.decoderStartTokenId,
    targetModules: ['q', 'v'],
    begin: (batch, call) => beginEncoderDecoder(batch, c, call),
    embed: { ...embedStage(embedSite), once: true },
    stages: [
      ...blockStages(c, encoder.blocks, encoder.relativeBias, false).map((stage) => ({ ...stage, once: true })),
      { site: bridgeSite, uses: ['hidden'], apply: (s, run) => bridge(encoder.finalNorm, s, run) },
      embedStage(decoderEmbedSite),
      ...blockStages(c, decoder.blocks, decoder.relativeBias, true),
    ],
    head: { site: headSite, apply: (s, run) => head(c, decoder.finalNorm, lmHead, s, run) },
    withWeights: (replace) => {
      const next = replacedSource(sites, replace)
      // Tied matrices part where one of them is replaced; where both are, each has its own.
      return t5({ ...c, ownHead: ownHead || next.has(shared) || next.has(lmHead) }, next)
    },
    dispose: () => weights.dispose(),
  }
}

const blockStages = (
  c: T5Config,
  blocks: readonly BlockSites[],
  table: Site<'embedding'>,
  causal: boolean,
): Stage[] => {
  const buckets = {
    bidirectional: !causal,
    count: c.relativeAttentionNumBuckets,
    maxDistance: c.relativeAttentionMaxDistance,
  }
  const attends: SelfAttention = {
    heads: c.numHeads,
    causal,
    bias: (heads, run) => relativeBias(table, buckets, heads, run),
  }
  return blocks.map((block) => ({
    site: block.layer,
    uses: block.cross ? ['hidden', 'memory'] : ['hidden'],
    apply: (s, run) => t5Block(block, attends, c.activation, s, run),
  }))
}

/**
 * From encoder to decoder: its result becomes the memory and the decoder's tokens the frame. The decoder is embedded by
 * a stage of its own, since a stage sees one frame; until then its ids stand in for the hidden state.
 */
const bridge = (finalNorm: Site<'norm'>, s: Stream, run: Run): Stream => {
  const make = (): Memory => ({ hidden: normed(finalNorm, s.hidden, run), segments: s.frame.segments })
  const { hidden: memory, segments: memorySegments } = run.call.cache?.memory(make) ?? make()
  const { task } = s.frame
  const tokens = s.frame.decoder!
  return {
    ...s,
    frame: { ...tokens, memorySegments, ...(task && { task }) },
    hidden: clone(tokens.ids),
    memory: clone(memory), // the cache's own stays the cache's
  }
}

const head = (c: T5Config, finalNorm: Site<'norm'>, lmHead: Site<'linear'>, s: Stream, run: Run): Output => {
  const hidden = normed(finalNorm, s.hidden, run) // [B, T, d]
  const [batch, length] = hidden.shape as [number, number]
  const scaled = (): Tensor => (c.scaleOutputs ? mul(hidden, c.dModel ** -0.5) : hidden)
  const logits = (from = 0): Tensor => project(lmHead, fromPlace(scaled(), from), run)
  return {
    hidden,
    logits,
    nll: (labels) => {
      const rows = labelRows(labels, batch, length, c.vocabSize, 0)
      if (run.patched(lmHead)) return nllFromLogits(logits(), rows)
      const flat = reshape(scaled(), [batch * length, c.dModel])
      return reshape(crossEntropy(flat, lmHead.weight as StoredWeight, rows), [batch, length])
    },
  }
}
