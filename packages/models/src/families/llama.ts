import type { Frame, Heads, Model, Output, Run, Site, Stage, Stream } from '@graftjs/core'
import { attention, crossEntropy, residual, rope, type StoredWeight, swiglu } from '@graftjs/kernels'
import { reshape, slice, type Tensor } from '@graftjs/tensor'
import { beginFrame } from '../begin-frame.ts'
import { labelRows, nllFromLogits } from '../nll.ts'
import { replacedSource } from '../replaced-source.ts'
import { type RopeTables, ropeTables } from '../rope-tables.ts'
import { embed, embeddingSite, linearSite, normed, normSite, owning, placeAt, project } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'

export interface LlamaConfig {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  readonly numKeyValueHeads: number
  readonly headDim: number
  readonly rmsNormEps: number
  readonly ropeTheta: number
  readonly maxPositionEmbeddings: number
  readonly tieWordEmbeddings: boolean
}

/** Llama (Touvron et al. 2023): pre-norm, rotary positions, grouped heads, SwiGLU. SmolLM2 is one. */
export const llama = (config: LlamaConfig, source: WeightSource): Model => {
  const { vocabSize, hiddenSize: d, rmsNormEps } = config
  const weights = owning(source)
  const tables = ropeTables(config.headDim, config.ropeTheta, config.maxPositionEmbeddings)
  const embedTokens = embeddingSite('model.embed_tokens', weights.matrix('model.embed_tokens.weight', [vocabSize, d]))
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerSites(config, weights, i))
  const finalNorm = normSite('model.norm', -1, weights.vector('model.norm.weight', d), rmsNormEps)
  const output = config.tieWordEmbeddings
    ? (embedTokens.weight as StoredWeight)
    : weights.matrix('lm_head.weight', [vocabSize, d])
  const lmHead = linearSite('lm_head', -1, output)
  const embedSite: Site<'layer'> = { kind: 'layer', ...placeAt('model.embed', -1, { inDim: 1, outDim: d }) }
  const backbone: Site<'backbone'> = { kind: 'backbone', ...placeAt('model', -1, { inDim: d, outDim: d }) }
  const headSite: Site<'head'> = { kind: 'head', ...placeAt('head', -1, { inDim: d, outDim: vocabSize }) }
  const sites: Site[] = [
    embedTokens,
    embedSite,
    ...layers.flatMap((l) => Object.values(l) as Site[]),
    finalNorm,
    lmHead,
    backbone,
    headSite,
  ]
  return {
    type: 'llama',
    sites,
    backbone,
    causal: true,
    targetModules: ['q_proj', 'v_proj'],
    begin: (batch, call) => beginFrame(batch, config, call),
    embed: {
      site: embedSite,
      uses: [],
      apply: (s, run) => ({ ...s, hidden: embed(embedTokens, s.frame.ids, run) }),
    },
    stages: layers.map(
      (l): Stage => ({ site: l.layer, uses: ['hidden'], apply: (s, run) => layer(config, l, tables, s, run) }),
    ),
    head: { site: headSite, apply: (s, run) => head(finalNorm, lmHead, config, s, run) },
    withWeights: (replace) => {
      const next = replacedSource(sites, replace)
      // Tied matrices part where one of them is replaced; where both are, each has its own.
      const tied = config.tieWordEmbeddings && !next.has(embedTokens) && !next.has(lmHead)
      return llama({ ...config, tieWordEmbeddings: tied }, next)
    },
    dispose: () => {
      weights.dispose()
      tables.dispose()
    },
  }
}

type LayerSites = ReturnType<typeof layerSites>

const layerSites = (c: LlamaConfig, source: WeightSource, i: number) => {
  const at = `model.layers.${i}`
  const { hiddenSize: d, intermediateSize: f, headDim } = c
  const [heads, kv] = [c.numAttentionHeads * headDim, c.numKeyValueHeads * headDim]
  const proj = (name: string, out: number, inner: number) =>
    linearSite(`${at}.${name}`, i, source.matrix(`${at}.${name}.weight`, [out, inner]))
  const norm = (name: string) => normSite(`${at}.${name}`, i, source.vector(`${at}.${name}.weight`, d), c.rmsNormEps)
  const place = { layer: i, inDim: d, outDim: d }
  return {
    layer: { kind: 'layer', path: at, role: 'layer', ...place } satisfies Site<'layer'>,
    inputNorm: norm('input_layernorm'),
    selfAttn: {
      kind: 'sublayer',
      path: `${at}.self_attn`,
      role: 'self_attn',
      part: 'self-attention',
      ...place,
    } satisfies Site<'sublayer'>,
    q: proj('self_attn.q_proj', heads, d),
    k: proj('self_attn.k_proj', kv, d),
    v: proj('self_attn.v_proj', kv, d),
    attention: {
      kind: 'attention',
      path: `${at}.self_attn.attention`,
      role: 'attention',
      layer: i,
      inDim: kv,
      outDim: heads,
      heads: c.numAttentionHeads,
      keyHeads: c.numKeyValueHeads,
    } satisfies Site<'attention'>,
    o: proj('self_attn.o_proj', d, heads),
    postNorm: norm('post_attention_layernorm'),
    mlp: {
      kind: 'sublayer',
      path: `${at}.mlp`,
      role: 'mlp',
      part: 'feed-forward',
      ...place,
    } satisfies Site<'sublayer'>,
    gate: proj('mlp.gate_proj', f, d),
    up: proj('mlp.up_proj', f, d),
    down: proj('mlp.down_proj', d, f),
  }
}

const layer = (c: LlamaConfig, sites: LayerSites, tables: RopeTables, s: Stream, run: Run): Stream => {
  const x = s.hidden
  const attended = run.at(sites.selfAttn, normed(sites.inputNorm, x, run), (h, r) =>
    selfAttention(c, sites, tables, h, s.frame, r),
  )
  const mid = residual(x, attended)
  const fed = run.at(sites.mlp, normed(sites.postNorm, mid, run), (h, r) => {
    return project(sites.down, swiglu(project(sites.gate, h, r), project(sites.up, h, r)), r)
  })
  return { ...s, hidden: residual(mid, fed) }
}

const selfAttention = (
  c: LlamaConfig,
  sites: LayerSites,
  tables: RopeTables,
  x: Tensor,
  frame: Frame,
  run: Run,
): Tensor => {
  const [batch, length] = x.shape as [number, number, number]
  const inHeads = (t: Tensor, n: number): Tensor => reshape(t, [batch, length, n, c.headDim]) // [B, T, H, D]
  const { cos, sin } = tables.upTo(frame.span)
  const q = rope(inHeads(project(sites.q, x, run), c.numAttentionHeads), frame.positions, cos, sin)
  const k = rope(inHeads(project(sites.k, x, run), c.numKeyValueHeads), frame.positions, cos, sin)
  const v = inHeads(project(sites.v, x, run), c.numKeyValueHeads)
  const own = { k, v, segments: frame.segments }
  const { segments: keySegments, ...seen } = run.call.cache?.extend(sites.layer.layer, k, v, frame.segments) ?? own
  const heads: Heads = { x, q, ...seen, open: 0, causal: true, frame, keySegments }
  const context = run.at(sites.attention, heads, (h) => attend(h, c.headDim)) // [B, T, H, D]
  return project(sites.o, reshape(context, [batch, length, c.numAttentionHeads * c.headDim]), run)
}

const attend = ({ q, k, v, open, causal, frame, keySegments }: Heads, headDim: number): Tensor =>
  attention(q, k, v, { scale: 1 / Math.sqrt(headDim), causal, open, querySegments: frame.segments, keySegments })

const head = (finalNorm: Site<'norm'>, lmHead: Site<'linear'>, c: LlamaConfig, s: Stream, run: Run): Output => {
  const hidden = normed(finalNorm, s.hidden, run)
  const [batch, length, d] = hidden.shape as [number, number, number]
  const logits = (from = 0): Tensor =>
    project(lmHead, from === 0 ? hidden : slice(hidden, [0, from < 0 ? length + from : from, 0]), run)
  return {
    hidden,
    logits,
    nll: (labels) => {
      const rows = labelRows(labels, batch, length, c.vocabSize)
      if (run.patched(lmHead)) return nllFromLogits(logits(), rows)
      return reshape(crossEntropy(reshape(hidden, [batch * length, d]), lmHead.weight as StoredWeight, rows), [
        batch,
        length,
      ])
    },
  }
}
