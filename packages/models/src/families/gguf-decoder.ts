import { ggufNames, type JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { Family, GgufFacts } from '../family.ts'
import { readConfig } from '../read-config.ts'
import type { RopeScaling } from '../rope-frequencies.ts'
import type { LlamaConfig } from './llama.ts'

/** How a GGUF file of this architecture (`llama`, `qwen2`, `qwen3`) is read as a decoder of that kind. */
export const ggufDecoder = (architecture: string): NonNullable<Family<LlamaConfig>['gguf']> => {
  const names = ggufNames(architecture)!
  return {
    architecture,
    fromMetadata: (metadata, facts, file) => fromMetadata(architecture, metadata, facts, file),
    nameOf: (tensor) => names.toHf(tensor) ?? tensor,
    headsOf: (tensor, config) => {
      const which = names.interleaved(tensor)
      if (which === undefined) return undefined
      return { heads: which === 'q' ? config.numAttentionHeads : config.numKeyValueHeads, headDim: config.headDim }
    },
  }
}

/** A tied model stores no output matrix; what has a bias, and whether heads are normed, is seen by the tensors. */
const fromMetadata = (
  architecture: string,
  metadata: ReadonlyMap<string, unknown>,
  { tied, vocabRows, has, ropeFactors }: GgufFacts,
  file: string,
): LlamaConfig => {
  const of = (key: string): string => `${architecture}.${key}`
  const read = readConfig(Object.fromEntries(metadata) as JsonObject, file)
  const layers = read.number(of('block_count'))
  const heads = read.number(of('attention.head_count'))
  const hidden = read.number(of('embedding_length'))
  const scaling: RopeScaling | undefined = ropeFactors
    ? { kind: 'factors', factors: ropeFactors }
    : scalingOf(metadata, of('rope.scaling'), file)
  const window = metadata.get(of('attention.sliding_window'))
  return {
    type: architecture,
    vocabSize: vocabRows,
    hiddenSize: hidden,
    intermediateSize: read.number(of('feed_forward_length')),
    numHiddenLayers: layers,
    numAttentionHeads: heads,
    numKeyValueHeads: read.number(of('attention.head_count_kv'), heads),
    headDim: read.number(of('attention.key_length'), read.number(of('rope.dimension_count'), hidden / heads)),
    rmsNormEps: read.number(of('attention.layer_norm_rms_epsilon')),
    ropeTheta: read.number(of('rope.freq_base'), 10000),
    ...(scaling && { ropeScaling: scaling }),
    maxPositionEmbeddings: read.number(of('context_length')),
    tieWordEmbeddings: tied,
    biases: biased.filter(([part]) => has(`blk.0.${part}.bias`)).map(([, role]) => role),
    qkNorm: has('blk.0.attn_q_norm.weight'),
    ...(typeof window === 'number' && window > 0 && { windows: new Array<number>(layers).fill(window) }),
  }
}

const biased = [
  ['attn_q', 'q_proj'],
  ['attn_k', 'k_proj'],
  ['attn_v', 'v_proj'],
  ['attn_output', 'o_proj'],
  ['ffn_gate', 'gate_proj'],
  ['ffn_up', 'up_proj'],
  ['ffn_down', 'down_proj'],
] as const

const scalingOf = (metadata: ReadonlyMap<string, unknown>, key: string, file: string): RopeScaling | undefined => {
  const kind = metadata.get(`${key}.type`) ?? 'none'
  if (kind === 'none') return undefined
  const read = readConfig(Object.fromEntries(metadata) as JsonObject, file)
  if (kind === 'linear') return { kind, factor: read.number(`${key}.factor`) }
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: ${key}.type`,
    given: String(kind),
    expected: 'none or linear',
  })
}
