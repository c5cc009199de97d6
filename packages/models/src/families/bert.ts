import type { Heads, Model, Run, Site, Stream } from '@graftjs/core'
import { attention, residual } from '@graftjs/kernels'
import { add, reshape, scalar, type Tensor, zeros } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { beginFrame, tooLong } from '../begin-frame.ts'
import type { HeadConfig } from '../heads/head-config.ts'
import { replacedSource } from '../replaced-source.ts'
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
import { bertHead } from './bert-heads.ts'

export interface BertConfig {
  readonly type: 'bert' | 'roberta'
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  /** The longest text. */
  readonly maxPositionEmbeddings: number
  /** Rows of the position table before that of a text's first token: RoBERTa's are its padding id and one. */
  readonly positionOffset: number
  readonly typeVocabSize: number
  readonly layerNormEps: number
  readonly activation: Activation
  /** Of the masked-LM head's matrix: it is the embedding. */
  readonly tieWordEmbeddings: boolean
  readonly head: HeadConfig
}

/** What stands before the names of the body: nothing where there is no head, as in transformers' `BertModel`. */
export const bodyPrefix = ({ type, head }: Pick<BertConfig, 'type' | 'head'>): string =>
  head.task === 'feature-extraction' ? '' : `${type}.`

/**
 * BERT (Devlin et al. 2019): every token sees every other, learned positions, LayerNorm behind each residual. MiniLM is
 * one; RoBERTa (Liu et al. 2019) counts its positions from the padding id on and has no token types.
 */
export const bert = (c: BertConfig, source: WeightSource): Model => {
  const weights = owning(source)
  const prefix = bodyPrefix(c)
  const tables = embeddingSites(c, weights, `${prefix}embeddings`)
  const layers = Array.from({ length: c.numHiddenLayers }, (_, i) =>
    layerSites(c, weights, `${prefix}encoder.layer.${i}`, i),
  )
  const head = bertHead(c, weights, tables.words)
  const { hiddenSize: d } = c
  const embedSite: Site<'layer'> = { kind: 'layer', ...placeAt(`${prefix}embed`, -1, { inDim: 1, outDim: d }) }
  const entrySite: Site<'layer'> = { kind: 'layer', ...placeAt(`${prefix}entry`, -1, { inDim: d, outDim: d }) }
  const backbone: Site<'backbone'> = { kind: 'backbone', ...placeAt(`${prefix}encoder`, -1, { inDim: d, outDim: d }) }
  const headSite: Site<'head'> = { kind: 'head', ...placeAt('head', -1, { inDim: d, outDim: head.outDim }) }
  const sites: Site[] = [
    tables.words,
    embedSite,
    ...Object.values(tables).filter((site) => site !== tables.words),
    ...layers.flatMap((layer) => Object.values(layer)),
    ...head.sites,
    backbone,
    headSite,
  ]
  return {
    type: c.type,
    sites,
    backbone,
    causal: false,
    labelShift: 0,
    targetModules: ['query', 'value'],
    ...(head.outputPath && { outputPath: head.outputPath }),
    begin: (batch, call) => {
      if (call?.cache) throw noCache(c.type)
      return beginFrame(batch, { ...c, tokenTypes: c.typeVocabSize }, call)
    },
    embed: { site: embedSite, uses: [], apply: (s, run) => ({ ...s, hidden: embed(tables.words, s.frame.ids, run) }) },
    stages: [
      // A stage of its own, so that it acts on virtual tokens too, as in PEFT. Its site is no place for patches.
      { site: entrySite, uses: ['hidden'], apply: (s, run) => ({ ...s, hidden: placed(c, tables, s, run) }) },
      ...layers.map((layer) => ({
        site: layer.layer,
        uses: ['hidden' as const],
        apply: (s: Stream, run: Run) => ({ ...s, hidden: layerOf(c, layer, s, run) }),
      })),
    ],
    head: { site: headSite, apply: (s, run) => head.apply(s.hidden, s.frame, run) },
    withWeights: (replace) => {
      const next = replacedSource(sites, replace)
      // Tied matrices part where one of them is replaced; where both are, each has its own.
      const tied = [tables.words, ...head.sites].filter(
        (site) => 'weight' in site && site.weight === tables.words.weight,
      )
      return bert({ ...c, tieWordEmbeddings: c.tieWordEmbeddings && !tied.some(next.has) }, next)
    },
    dispose: () => weights.dispose(),
  }
}

const noCache = (type: string): GraftError =>
  new GraftError({
    code: 'no-cache',
    culprit: 'cache',
    given: `a ${type}, in which every token sees those behind it too`,
    expected: 'no cache: run it on whole rows',
  })

const embeddingSites = (c: BertConfig, source: WeightSource, at: string) => {
  const table = (name: string, rows: number): Site<'embedding'> =>
    embeddingSite(`${at}.${name}`, source.matrix(`${at}.${name}.weight`, [rows, c.hiddenSize]))
  return {
    words: table('word_embeddings', c.vocabSize),
    positions: table('position_embeddings', c.maxPositionEmbeddings + c.positionOffset),
    types: table('token_type_embeddings', c.typeVocabSize),
    norm: norm(c, source, `${at}.LayerNorm`, -1),
  }
}

const norm = (c: BertConfig, source: WeightSource, path: string, layer: number): Site<'norm'> =>
  layerNormFrom(source, path, layer, c.hiddenSize, c.layerNormEps)

type LayerSites = ReturnType<typeof layerSites>

const layerSites = (c: BertConfig, source: WeightSource, at: string, i: number) => {
  const { hiddenSize: d, intermediateSize: f } = c
  const linear = (name: string, out: number, inner: number) =>
    biasedLinearFrom(source, `${at}.${name}`, i, [out, inner])
  return {
    layer: layerSite(at, i, d),
    selfAttention: sublayerSite(`${at}.attention`, i, 'self-attention', d),
    query: linear('attention.self.query', d, d),
    key: linear('attention.self.key', d, d),
    value: linear('attention.self.value', d, d),
    attention: {
      kind: 'attention',
      ...placeAt(`${at}.attention.self`, i, { inDim: d, outDim: d }),
      heads: c.numAttentionHeads,
      keyHeads: c.numAttentionHeads,
    } satisfies Site<'attention'>,
    attentionOut: linear('attention.output.dense', d, d),
    attentionNorm: norm(c, source, `${at}.attention.output.LayerNorm`, i),
    // transformers has no module around both halves.
    feedForward: sublayerSite(`${at}.feed_forward`, i, 'feed-forward', d),
    up: linear('intermediate.dense', f, d),
    down: linear('output.dense', d, f),
    norm: norm(c, source, `${at}.output.LayerNorm`, i),
  }
}

/** The norm of words + positions + token types (0 where the batch says none). */
const placed = (c: BertConfig, tables: ReturnType<typeof embeddingSites>, s: Stream, run: Run): Tensor => {
  const { positions, tokenTypes, span } = s.frame
  if (span > c.maxPositionEmbeddings) throw tooLong(span, c.maxPositionEmbeddings)
  const [batch, length] = positions.shape as [number, number]
  const rows = c.positionOffset ? add(positions, scalar(c.positionOffset, 'int32')) : positions
  const types = tokenTypes ?? zeros([batch, length], 'int32')
  const typed = residual(s.hidden, embed(tables.types, types, run))
  return normed(tables.norm, residual(typed, embed(tables.positions, rows, run)), run)
}

const layerOf = (c: BertConfig, sites: LayerSites, s: Stream, run: Run): Tensor => {
  const x = s.hidden
  const attended = run.at(sites.selfAttention, x, (h, r) => selfAttention(c, sites, h, s, r))
  const mid = normed(sites.attentionNorm, residual(x, attended), run)
  const fed = run.at(sites.feedForward, mid, (h, r) =>
    project(sites.down, activations[c.activation](project(sites.up, h, r)), r),
  )
  return normed(sites.norm, residual(mid, fed), run)
}

const selfAttention = (c: BertConfig, sites: LayerSites, x: Tensor, { frame }: Stream, run: Run): Tensor => {
  const [batch, length, d] = x.shape as [number, number, number]
  const dim = d / c.numAttentionHeads
  const inHeads = (site: Site<'linear'>): Tensor =>
    reshape(project(site, x, run), [batch, length, c.numAttentionHeads, dim]) // [B, T, H, D]
  const [q, k, v] = [inHeads(sites.query), inHeads(sites.key), inHeads(sites.value)]
  const heads: Heads = { x, q, k, v, open: 0, causal: false, frame, keySegments: frame.segments }
  const context = run.at(sites.attention, heads, (h) =>
    attention(h.q, h.k, h.v, {
      scale: 1 / Math.sqrt(dim),
      causal: h.causal,
      open: h.open,
      querySegments: h.frame.segments,
      keySegments: h.keySegments,
    }),
  )
  return project(sites.attentionOut, reshape(context, [batch, length, d]), run)
}
