import { describe, expect, test } from 'vitest'
import { faultOf } from './files.test-util.ts'
import { ggufNames, interleaveRows, partRows } from './index.ts'

describe('ggufNames', () => {
  test('both ways', () => {
    const names = ggufNames('llama')!
    for (const [hf, gguf] of [
      ['model.embed_tokens.weight', 'token_embd.weight'],
      ['model.norm.weight', 'output_norm.weight'],
      ['lm_head.weight', 'output.weight'],
      ['model.layers.11.self_attn.q_proj.weight', 'blk.11.attn_q.weight'],
      ['model.layers.0.mlp.down_proj.bias', 'blk.0.ffn_down.bias'],
      ['model.layers.2.post_attention_layernorm.weight', 'blk.2.ffn_norm.weight'],
    ] as const) {
      expect(names.toGguf(hf)).toBe(gguf)
      expect(names.toHf(gguf)).toBe(hf)
    }
  })

  test('what an architecture has not', () => {
    expect(ggufNames('bert')).toBeUndefined()
    expect(ggufNames('constructor')).toBeUndefined()
    const { toGguf, toHf } = ggufNames('llama')!
    expect(toGguf('model.layers.0.self_attn.q_norm.weight')).toBeUndefined()
    expect(ggufNames('qwen3')!.toGguf('model.layers.0.self_attn.q_norm.weight')).toBe('blk.0.attn_q_norm.weight')
    for (const name of ['blk.0.toString.weight', 'blk.0.attn_q', '__proto__', 'rope_freqs.weight'])
      expect(toHf(name)).toBeUndefined()
  })

  test('llama alone interleaves, and only queries and keys', () => {
    const { interleaved } = ggufNames('llama')!
    expect(interleaved('model.layers.0.self_attn.q_proj.weight')).toBe('q')
    expect(interleaved('blk.3.attn_k.bias')).toBe('k')
    expect(interleaved('model.layers.0.self_attn.v_proj.weight')).toBeUndefined()
    expect(interleaved('blk.3.attn_norm.weight')).toBeUndefined()
    expect(ggufNames('qwen2')!.interleaved('blk.3.attn_k.weight')).toBeUndefined()
  })
})

describe('interleaveRows', () => {
  // Two heads of six rows of two; convert_hf_to_gguf.py reshapes to [heads, 2, half, columns] and swaps the middle two.
  const layout = { heads: 2, headDim: 6, rowSize: 2 }
  const rows = Float32Array.from({ length: 24 }, (_, i) => i)

  test('puts the two rows of a pair beside each other', () => {
    const firsts = [...interleaveRows(rows, layout)].filter((_, i) => i % 2 === 0).map((value) => value / 2)
    expect(firsts).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
  })

  test('and back, for bytes too', () => {
    expect(partRows(interleaveRows(rows, layout), layout)).toEqual(rows)
    const bytes = Uint8Array.from(rows)
    expect(interleaveRows(partRows(bytes, layout), layout)).toEqual(bytes)
    expect(bytes).toEqual(Uint8Array.from(rows))
  })

  test('rows that do not fit the heads', async () => {
    await faultOf(() => interleaveRows(rows, { ...layout, heads: 3 }))
    expect((await faultOf(() => partRows(rows, { heads: 1, headDim: 3, rowSize: 8 }))).message).toMatch(/even number/)
  })
})
