import type { Memory, Model, Output, Run, Site, Stage, Stream } from '@graftjs/core'
import { crossEntropy, type StoredWeight } from '@graftjs/kernels'
import {
  beginEncoderDecoder,
  embed,
  embeddingSite,
  labelRows,
  linearSite,
  nllFromLogits,
  normed,
  owning,
  placeAt,
  project,
  replacedSource,
  type WeightSource,
} from '@graftjs/models'
import { clone, mul, reshape, slice, type Tensor } from '@graftjs/tensor'
import { randomSource } from '../random-source.ts'
import { type Activation, crossAttention, feedForward, type SelfAttention, selfAttention } from './block.ts'
import { type BlockSites, flatSites, sideSites } from './encoder-decoder-sites.ts'
import { relativeBias } from './relative-bias.ts'

/** Named as in T5's config.json. */
export interface EncoderDecoderConfig {
  readonly vocabSize: number
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
  /** lm_head is the transposed embedding, on a hidden state scaled by 1/√dModel. */
  readonly tieWordEmbeddings: boolean
  /** Linear sites with a bias, which T5's have not: wi and wo (the default), all but lm_head (true), or none. */
  readonly bias: boolean | 'feed-forward'
  /** T5's is `relu`; a smooth one serves finite differences. */
  readonly denseActFn: Activation
}

export interface TinyEncoderDecoderOptions extends Partial<EncoderDecoderConfig> {
  /** Of the weights. Default 0. */
  readonly seed?: number
}

/** Sizes that are all different, so that a swapped one is seen. */
export const tinySizes: EncoderDecoderConfig = {
  vocabSize: 29,
  dModel: 12,
  dKv: 5,
  dFf: 14,
  numHeads: 3,
  numLayers: 2,
  numDecoderLayers: 2,
  relativeAttentionNumBuckets: 8,
  relativeAttentionMaxDistance: 16,
  layerNormEpsilon: 1e-6,
  tieWordEmbeddings: true,
  bias: 'feed-forward',
  denseActFn: 'relu',
}

/** A T5 of random weights. */
export const tinyEncoderDecoder = ({ seed = 0, ...options }: TinyEncoderDecoderOptions = {}): Model => {
  const config: EncoderDecoderConfig = { ...tinySizes, ...options }
  return encoderDecoder(config, randomSource(seed), config.tieWordEmbeddings)
}

/** T5 (Raffel et al. 2020): pre-norm, relative positions, no 1/√D. `tied`: lm_head is the embedding's matrix still. */
const encoderDecoder = (c: EncoderDecoderConfig, source: WeightSource, tied: boolean): Model => {
  const weights = owning(source)
  const shared = embeddingSite('shared', weights.matrix('shared.weight', [c.vocabSize, c.dModel]))
  const encoder = sideSites(c, weights, 'encoder', c.numLayers, 0)
  const decoder = sideSites(c, weights, 'decoder', c.numDecoderLayers, c.numLayers)
  const output = tied ? (shared.weight as StoredWeight) : weights.matrix('lm_head.weight', [c.vocabSize, c.dModel])
  const lmHead = linearSite('lm_head', -1, output)
  const inside = { inDim: c.dModel, outDim: c.dModel }
  const layerSite = (path: string, inDim: number): Site<'layer'> => ({
    kind: 'layer',
    ...placeAt(path, -1, { inDim, outDim: c.dModel }),
  })
  const embedSite = layerSite('encoder.embed', 1)
  // Unpublished: a patch around it would stand around a change of frames.
  const bridgeSite = layerSite('bridge', c.dModel)
  const decoderEmbedSite = layerSite('decoder.embed', 1)
  const backbone: Site<'backbone'> = { kind: 'backbone', ...placeAt('model', -1, inside) }
  const headSite: Site<'head'> = {
    kind: 'head',
    ...placeAt('head', -1, { inDim: c.dModel, outDim: c.vocabSize }),
  }
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
  const attentionOf = (table: Site<'embedding'>, causal: boolean): SelfAttention => {
    const buckets = {
      bidirectional: !causal,
      count: c.relativeAttentionNumBuckets,
      maxDistance: c.relativeAttentionMaxDistance,
    }
    return { heads: c.numHeads, causal, bias: (heads, run) => relativeBias(table, buckets, heads, run) }
  }
  const blocks = (of: readonly BlockSites[], attention: SelfAttention): Stage[] =>
    of.map((block) => ({
      site: block.layer,
      uses: block.cross ? ['hidden', 'memory'] : ['hidden'],
      apply: (s, run) => blockOf(block, attention, c.denseActFn, s, run),
    }))
  return {
    type: 't5',
    sites,
    backbone,
    causal: false,
    targetModules: ['q', 'v'],
    begin: (batch, call) => beginEncoderDecoder(batch, c, call),
    embed: { ...embedStage(embedSite), once: true },
    stages: [
      ...blocks(encoder.blocks, attentionOf(encoder.relativeBias, false)).map((stage) => ({ ...stage, once: true })),
      { site: bridgeSite, uses: ['hidden'], apply: (s, run) => bridge(encoder.finalNorm, s, run) },
      embedStage(decoderEmbedSite),
      ...blocks(decoder.blocks, attentionOf(decoder.relativeBias, true)),
    ],
    head: { site: headSite, apply: (s, run) => head(decoder.finalNorm, lmHead, c, s, run) },
    withWeights: (replace) => {
      const next = replacedSource(sites, replace)
      // Tied matrices part where one of them is replaced; where both are, each has its own.
      return encoderDecoder(c, next, tied && !next.has(shared) && !next.has(lmHead))
    },
    dispose: () => weights.dispose(),
  }
}

const blockOf = (
  { self, cross, feedForward: ff }: BlockSites,
  attention: SelfAttention,
  activation: Activation,
  s: Stream,
  run: Run,
): Stream => {
  const x = selfAttention(self, attention, s, run)
  const y = cross ? crossAttention(cross, attention.heads, { ...s, hidden: x }, run) : x
  return { ...s, hidden: feedForward(ff, activation, y, run) }
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

const head = (
  finalNorm: Site<'norm'>,
  lmHead: Site<'linear'>,
  { dModel, vocabSize, tieWordEmbeddings }: EncoderDecoderConfig,
  s: Stream,
  run: Run,
): Output => {
  const hidden = normed(finalNorm, s.hidden, run) // [B, T, d]
  const [batch, length] = hidden.shape as [number, number]
  const scaled = (): Tensor => (tieWordEmbeddings ? mul(hidden, dModel ** -0.5) : hidden)
  const logits = (from = 0): Tensor =>
    project(lmHead, from === 0 ? scaled() : slice(scaled(), [0, from < 0 ? length + from : from, 0]), run)
  return {
    hidden,
    logits,
    nll: (labels) => {
      const rows = labelRows(labels, batch, length, vocabSize, 0)
      if (run.patched(lmHead)) return nllFromLogits(logits(), rows)
      const flat = reshape(scaled(), [batch * length, dModel])
      return reshape(crossEntropy(flat, lmHead.weight as StoredWeight, rows), [batch, length])
    },
  }
}
