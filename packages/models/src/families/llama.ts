import type { Model, Run, Stream } from '@graftjs/core'
import { residual, swiglu } from '@graftjs/kernels'
import type { HeadConfig } from '../heads/head-config.ts'
import type { RopeTables } from '../rope-tables.ts'
import { embeddingSite, layerSite, normed, normSite, owning } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import { causalModel } from './causal-model.ts'
import { gatedFeedForward, gatedFeedForwardSites } from './gated-feed-forward.ts'
import { type RotaryConfig, rotaryAttention, rotaryAttentionSites, rotaryTables } from './rotary-attention.ts'

export interface LlamaConfig extends RotaryConfig {
  /** `model_type`. Default `llama`. */
  readonly type?: string
  readonly vocabSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly rmsNormEps: number
  readonly tieWordEmbeddings: boolean
  /** Of another task than causal-lm: seq-cls. */
  readonly head?: HeadConfig
}

/**
 * Llama (Touvron et al. 2023): pre-norm, rotary positions, grouped heads, SwiGLU. SmolLM2 is one; Mistral (Jiang et al.
 * 2023), Qwen2 and Qwen3 are it with a sliding window, biases, and norms of queries and keys.
 */
export const llama = (config: LlamaConfig, source: WeightSource): Model => {
  const { vocabSize, hiddenSize: d, rmsNormEps } = config
  const weights = owning(source)
  const tables = rotaryTables(config)
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerSites(config, weights, i))
  return causalModel({
    type: config.type ?? 'llama',
    targetModules: ['q_proj', 'v_proj'],
    limits: config,
    path: 'model',
    words: embeddingSite('model.embed_tokens', weights.matrix('model.embed_tokens.weight', [vocabSize, d])),
    layers: layers.map((sites) => ({
      sites: Object.values(sites),
      stage: { site: sites.layer, uses: ['hidden'], apply: (s, run) => layer(config, sites, tables, s, run) },
    })),
    finalNorm: normSite('model.norm', -1, weights.vector('model.norm.weight', d), rmsNormEps),
    tied: config.tieWordEmbeddings,
    head: config.head,
    weights,
    remake: (other, tied) => llama({ ...config, tieWordEmbeddings: tied }, other),
    dispose: tables.dispose,
  })
}

type LayerSites = ReturnType<typeof layerSites>

const layerSites = (c: LlamaConfig, source: WeightSource, i: number) => {
  const at = `model.layers.${i}`
  const { hiddenSize: d } = c
  const norm = (path: string, size: number) => normSite(path, i, source.vector(`${path}.weight`, size), c.rmsNormEps)
  return {
    layer: layerSite(at, i, d),
    inputNorm: norm(`${at}.input_layernorm`, d),
    ...rotaryAttentionSites(c, source, at, i, norm),
    postNorm: norm(`${at}.post_attention_layernorm`, d),
    ...gatedFeedForwardSites(c, source, at, i),
  }
}

const layer = (c: LlamaConfig, sites: LayerSites, tables: RopeTables, s: Stream, run: Run): Stream => {
  const x = s.hidden
  const mid = residual(x, rotaryAttention(c, sites, tables, normed(sites.inputNorm, x, run), s.frame, run))
  const fed = gatedFeedForward(sites, swiglu, normed(sites.postNorm, mid, run), run)
  return { ...s, hidden: residual(mid, fed) }
}
