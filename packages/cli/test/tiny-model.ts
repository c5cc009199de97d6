import { mkdirSync, writeFileSync } from 'node:fs'
import { fromFloat32, type NamedTensor, writeSafetensors } from '@graftjs/files'
import { random } from '@graftjs/tensor'
import { tinyJson } from '../../text/src/tiny-tokenizer.test-util.ts'

const [vocab, d, f, heads, kv, dim, layers] = [320, 24, 40, 3, 1, 8, 2]

/** Writes a Llama of random weights with a tokenizer, as transformers lays a folder out. */
export const writeTinyModel = (dir: string): void => {
  mkdirSync(dir, { recursive: true })
  const config = {
    model_type: 'llama',
    vocab_size: vocab,
    hidden_size: d,
    intermediate_size: f,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kv,
    head_dim: dim,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 128,
    tie_word_embeddings: true,
  }
  const draw = (name: string, shape: number[]): NamedTensor => {
    const values = random(1, name).fill(new Float32Array(shape.reduce((a, b) => a * b)), 'normal')
    return fromFloat32(
      name,
      shape,
      values.map((v) => (shape.length === 1 ? 1 + 0.1 * v : 0.2 * v)),
    )
  }
  const layer = (i: number): NamedTensor[] => {
    const at = `model.layers.${i}`
    return [
      draw(`${at}.input_layernorm.weight`, [d]),
      draw(`${at}.post_attention_layernorm.weight`, [d]),
      draw(`${at}.self_attn.q_proj.weight`, [heads * dim, d]),
      draw(`${at}.self_attn.k_proj.weight`, [kv * dim, d]),
      draw(`${at}.self_attn.v_proj.weight`, [kv * dim, d]),
      draw(`${at}.self_attn.o_proj.weight`, [d, heads * dim]),
      draw(`${at}.mlp.gate_proj.weight`, [f, d]),
      draw(`${at}.mlp.up_proj.weight`, [f, d]),
      draw(`${at}.mlp.down_proj.weight`, [d, f]),
    ]
  }
  const tensors = [
    draw('model.embed_tokens.weight', [vocab, d]),
    draw('model.norm.weight', [d]),
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
  ]
  const { tokenizer, config: tokenizerConfig } = tinyJson()
  writeFileSync(`${dir}/config.json`, JSON.stringify(config))
  writeFileSync(`${dir}/model.safetensors`, writeSafetensors(tensors, { format: 'pt' }))
  writeFileSync(`${dir}/tokenizer.json`, JSON.stringify(tokenizer))
  writeFileSync(`${dir}/tokenizer_config.json`, JSON.stringify(tokenizerConfig))
}
