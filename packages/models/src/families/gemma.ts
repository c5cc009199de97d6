import type { Model, Run, Stream } from '@graftjs/core'
import { gelu, residual } from '@graftjs/kernels'
import { mul, type Tensor } from '@graftjs/tensor'
import type { RopeTables } from '../rope-tables.ts'
import { layerSite, normed, owning, scaledEmbeddingSite, shiftedNormSite } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import { causalModel } from './causal-model.ts'
import { gatedFeedForward, gatedFeedForwardSites } from './gated-feed-forward.ts'
import type { Rope } from './read-rope.ts'
import { type RotaryConfig, rotaryAttention, rotaryAttentionSites, rotaryTables } from './rotary-attention.ts'

export interface GemmaConfig extends RotaryConfig {
  /** `model_type`. */
  readonly type: string
  readonly vocabSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly rmsNormEps: number
  readonly tieWordEmbeddings: boolean
  /** A norm behind the attention and one behind the feed-forward (Gemma 2 and 3). */
  readonly postNorms: boolean
  /** Logits l become cap · tanh(l / cap) (Gemma 2). */
  readonly logitCap?: number | undefined
  /** The rotary positions of the layers with a window (Gemma 3). */
  readonly localRope?: Rope
}

/**
 * Gemma 1, 2 and 3 (Gemma Team 2024, 2025), text: words scaled by √d, norms whose factor is 1 + w, GeGLU; since Gemma 2
 * norms behind the sublayers too and windows in some layers.
 */
export const gemma = (config: GemmaConfig, source: WeightSource): Model => {
  const { vocabSize, hiddenSize: d, rmsNormEps } = config
  const weights = owning(source)
  const tables = rotaryTables(config)
  const local = config.localRope ? rotaryTables({ ...config, ...config.localRope }) : tables
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerSites(config, weights, i))
  const words = weights.matrix('model.embed_tokens.weight', [vocabSize, d])
  return causalModel({
    type: config.type,
    targetModules: ['q_proj', 'v_proj'],
    limits: config,
    path: 'model',
    words: scaledEmbeddingSite('model.embed_tokens', words, Math.sqrt(d)),
    layers: layers.map((sites, i) => {
      const own = config.windows?.[i] ? local : tables
      return {
        sites: Object.values(sites),
        stage: { site: sites.layer, uses: ['hidden'], apply: (s, run) => layer(config, sites, own, s, run) },
      }
    }),
    finalNorm: shiftedNormSite('model.norm', -1, weights.vector('model.norm.weight', d), rmsNormEps),
    tied: config.tieWordEmbeddings,
    logitCap: config.logitCap,
    weights,
    remake: (other, tied) => gemma({ ...config, tieWordEmbeddings: tied }, other),
    dispose: () => {
      tables.dispose()
      local.dispose()
    },
  })
}

type LayerSites = ReturnType<typeof layerSites>

const layerSites = (c: GemmaConfig, source: WeightSource, i: number) => {
  const at = `model.layers.${i}`
  const { hiddenSize: d } = c
  const norm = (path: string, size = d) => shiftedNormSite(path, i, source.vector(`${path}.weight`, size), c.rmsNormEps)
  return {
    layer: layerSite(at, i, d),
    beforeAttention: norm(`${at}.input_layernorm`),
    ...rotaryAttentionSites(c, source, at, i, norm),
    ...(c.postNorms && { afterAttention: norm(`${at}.post_attention_layernorm`) }),
    beforeMlp: norm(`${at}.${c.postNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'}`),
    ...gatedFeedForwardSites(c, source, at, i),
    ...(c.postNorms && { afterMlp: norm(`${at}.post_feedforward_layernorm`) }),
  }
}

const geglu = (gate: Tensor, up: Tensor): Tensor => mul(gelu(gate, 'tanh'), up)

const layer = (c: GemmaConfig, sites: LayerSites, tables: RopeTables, s: Stream, run: Run): Stream => {
  const x = s.hidden
  const attended = rotaryAttention(c, sites, tables, normed(sites.beforeAttention, x, run), s.frame, run)
  const mid = residual(x, sites.afterAttention ? normed(sites.afterAttention, attended, run) : attended)
  const fed = gatedFeedForward(sites, geglu, normed(sites.beforeMlp, mid, run), run)
  return { ...s, hidden: residual(mid, sites.afterMlp ? normed(sites.afterMlp, fed, run) : fed) }
}
