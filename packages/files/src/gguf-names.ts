/** The names that the tensors of one architecture have in GGUF, and those that transformers gives them. */
export interface GgufNames {
  /** `blk.0.attn_q.weight` for `model.layers.0.self_attn.q_proj.weight`; undefined for a name that it has not. */
  toGguf(name: string): string | undefined
  /** The other way. */
  toHf(name: string): string | undefined
  /** Whose heads llama.cpp expects with interleaved halves; see `interleaveRows`. */
  interleaved(name: string): 'q' | 'k' | undefined
}

const whole = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}
const common = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}
const parts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  llama: common,
  qwen2: common,
  qwen3: { ...common, attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' },
}

/** By `general.architecture`: llama (Mistral too), qwen2, qwen3. Undefined for another. */
export const ggufNames = (architecture: string): GgufNames | undefined => {
  const known = Object.hasOwn(parts, architecture) ? parts[architecture]! : undefined
  if (!known) return undefined
  const [toGgufPart, toGgufWhole] = [inverted(known), inverted(whole)]
  const toGguf = (name: string): string | undefined => {
    const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? []
    const found = part === undefined ? undefined : toGgufPart.get(part)
    return found === undefined ? toGgufWhole.get(name) : `blk.${layer}.${found}.${kind}`
  }
  return {
    toGguf,
    toHf: (name) => {
      const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? []
      const found = part !== undefined && Object.hasOwn(known, part) ? known[part] : undefined
      if (found !== undefined) return `model.layers.${layer}.${found}.${kind}`
      return Object.hasOwn(whole, name) ? whole[name as keyof typeof whole] : undefined
    },
    interleaved: (name) => {
      if (architecture !== 'llama') return undefined
      const part = /\.attn_([qk])\.(?:weight|bias)$/.exec(toGguf(name) ?? name)?.[1]
      return part as 'q' | 'k' | undefined
    },
  }
}

const inverted = (table: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(table).map(([gguf, hf]) => [hf, gguf]))
