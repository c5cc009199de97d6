import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attach, forward, type Model, merge, type Tuned } from '@graftjs/core'
import { bytesSource, type NamedTensor, openSafetensors, writeSafetensors } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { loadModel, saveGguf, saveModel } from '@graftjs/models'
import { mul, scope } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { moveAll } from '../src/conformance/subject.ts'
import { fixtureDir } from './fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-families-'))
afterAll(() => rmSync(scratch, { recursive: true }))
beforeAll(() => useSimd({ threads: 1 }))

const base = (name: string): string => fixtureDir(`families/${name}`)
const logits = (model: Tuned | Model): Float32Array =>
  scope(() =>
    Float32Array.from(
      forward(model, { ids: [[5, 6, 7, 8, 1, 9, 2, 3]] })
        .logits()
        .dataSync(),
    ),
  )
const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0)

/** A copy of a fixture's folder with other keys in config.json; a null takes one away. */
const changed = (name: string, keys: Record<string, unknown>): string => {
  const dir = mkdtempSync(join(scratch, name))
  cpSync(base(name), dir, { recursive: true })
  const config = { ...JSON.parse(readFileSync(`${dir}/config.json`, 'utf8')), ...keys } as Record<string, unknown>
  writeFileSync(`${dir}/config.json`, JSON.stringify(config))
  return dir
}

describe.each(['qwen2', 'qwen3', 'gpt2', 'mistral', 'gemma2'])('saveModel of %s', (name) => {
  it('writes a model that nobody changed as it was, to the bit', async () => {
    const model = await loadModel(base(name))
    await saveModel(model, join(scratch, `${name}-same`))
    for (const file of ['model.safetensors', 'config.json'])
      expect(readFileSync(join(scratch, `${name}-same/${file}`)).equals(readFileSync(`${base(name)}/${file}`))).toBe(
        true,
      )
    model.dispose()
  })

  it('writes a merged one that loads to the logits of base and adapter', async () => {
    const model = await loadModel(base(name))
    const tuned = attach(model, lora({ targetModules: 'all-linear' }), { seed: 3 })
    moveAll(tuned)
    const merged = merge(tuned)
    await saveModel(merged, join(scratch, `${name}-merged`), { dtype: 'f32' })
    const again = await loadModel(join(scratch, `${name}-merged`))
    expect(furthest(logits(tuned), logits(model))).toBeGreaterThan(0.1)
    expect(furthest(logits(again), logits(tuned))).toBeLessThan(1e-4)
    for (const m of [again, merged, tuned, model]) m.dispose()
  })
})

it.each(['llama3', 'qwen2', 'qwen3', 'mistral'])('saveGguf of %s reads back to the same logits', async (name) => {
  // GGUF's Llama has no windows: llama.cpp sees all keys, so a text shorter than the window is compared.
  const model = await loadModel(changed(name, name === 'mistral' ? { sliding_window: 64 } : {}))
  await saveGguf(model, join(scratch, `${name}.gguf`), { type: 'f32' })
  const again = await loadModel(join(scratch, `${name}.gguf`))
  expect(furthest(logits(again), logits(model))).toBeLessThan(1e-5)
  for (const m of [again, model]) m.dispose()
})

/** As OpenAI's own file of GPT-2 is: the names of the bare model, the causal mask among the tensors. */
const bareGpt2 = async (to: string): Promise<void> => {
  mkdirSync(to)
  const file = await openSafetensors(bytesSource(readFileSync(`${base('gpt2')}/model.safetensors`)))
  const tensors: NamedTensor[] = []
  for (const name of file.tensors.keys())
    tensors.push({ ...(await file.read(name)), name: name.replace('transformer.', '') })
  tensors.push({ name: 'h.0.attn.bias', dtype: 'F32', shape: [1, 1, 2, 2], bytes: new Uint8Array(16).fill(3) })
  writeFileSync(`${to}/model.safetensors`, writeSafetensors(tensors, { format: 'pt' }))
  cpSync(`${base('gpt2')}/config.json`, `${to}/config.json`)
}

it("GPT-2 with the bare model's names: the same logits, and written back as it was", async () => {
  const bare = join(scratch, 'bare')
  await bareGpt2(bare)
  const [model, wanted] = [await loadModel(bare), await loadModel(base('gpt2'))]
  expect(logits(model)).toEqual(logits(wanted))
  await saveModel(model, join(scratch, 'bare-again'))
  expect(readFileSync(join(scratch, 'bare-again/model.safetensors'))).toEqual(readFileSync(`${bare}/model.safetensors`))
  model.dispose()
  wanted.dispose()
})

it('a head that parts from tied words is written and read, though config.json is silent about ties', async () => {
  const model = await loadModel(changed('gpt2', { tie_word_embeddings: undefined }))
  const parted = model.withWeights((site) =>
    site.path === 'lm_head' ? { weight: scope(() => mul(site.weight.dense(), 2)) } : undefined,
  )
  await saveModel(parted, join(scratch, 'parted'))
  const again = await loadModel(join(scratch, 'parted'))
  expect(
    furthest(
      logits(again),
      logits(model).map((l) => 2 * l),
    ),
  ).toBeLessThan(1e-4)
  for (const m of [again, parted, model]) m.dispose()
})

it('GPT-2 refuses texts longer than its positions', async () => {
  const model = await loadModel(base('gpt2'))
  expect(() => forward(model, { ids: [Array<number>(65).fill(4)] })).toThrow(/a row of 65 tokens.*at most 64/)
  model.dispose()
})

describe('options that are built change the logits', () => {
  it.each([
    ['qwen2-sliding', { use_sliding_window: false }],
    ['qwen2-sliding', { layer_types: null, max_window_layers: 0 }],
    ['mistral', { sliding_window: null }],
    ['llama3', { rope_parameters: { rope_type: 'default', rope_theta: 500 } }],
    ['llama-linear', { rope_parameters: null }],
    ['llama-yarn', { rope_parameters: null, rope_scaling: { type: 'linear', factor: 4 } }],
    ['gpt2', { scale_attn_weights: false }],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }],
    ['gpt2', { activation_function: 'relu' }],
    ['gpt2', { layer_norm_epsilon: 0.1 }],
    ['gemma2', { attn_logit_softcapping: null }],
    ['gemma2', { final_logit_softcapping: null }],
    ['gemma2', { query_pre_attn_scalar: 12 }],
    ['gemma2', { layer_types: ['full_attention', 'sliding_attention'] }],
    ['gemma3', { rope_parameters: null, rope_local_base_freq: 100 }],
  ])('%s: %o', async (name, keys) => {
    const [model, other] = [await loadModel(base(name)), await loadModel(changed(name, keys))]
    expect(furthest(logits(model), logits(other))).toBeGreaterThan(1e-3)
    model.dispose()
    other.dispose()
  })

  it.each([
    ['qwen2-sliding', { layer_types: null }],
    ['mistral', { layer_types: ['full_attention', 'full_attention'] }],
    ['gemma2', { layer_types: null }],
    ['llama3', { rope_parameters: null, rope_theta: 500, rope_scaling: llama3() }],
    ['gemma3', { rope_parameters: null, rope_theta: 1e6, rope_local_base_freq: 1e4 }],
    ['gpt2', { activation_function: 'gelu_pytorch_tanh', attn_pdrop: 0.1 }],
  ])('%s in the words of older versions, or of another key that does nothing: %o', async (name, keys) => {
    const [model, other] = [await loadModel(base(name)), await loadModel(changed(name, keys))]
    expect(logits(other)).toEqual(logits(model))
    model.dispose()
    other.dispose()
  })
})

function llama3() {
  return {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 16,
  }
}

describe('options that are not built are refused by their key', () => {
  it.each([
    [
      'llama3',
      { rope_parameters: { rope_type: 'dynamic', factor: 2 } },
      /rope_type: given "dynamic".*"llama3" or "yarn"/,
    ],
    ['llama3', { rope_parameters: { rope_type: 'longrope' } }, /rope_type: given "longrope"/],
    ['llama3', { rope_parameters: { partial_rotary_factor: 0.5 } }, /partial_rotary_factor: given 0.5; expected 1/],
    ['llama3', { rope_parameters: { ...llama3(), factor: 0 } }, /factor: given 0; expected a number above 0/],
    ['llama3', { hidden_act: 'gelu' }, /hidden_act: given "gelu"; expected "silu"/],
    ['llama3', { attention_bias: 'yes' }, /attention_bias: given "yes"; expected true or false/],
    ['qwen2-sliding', { layer_types: ['full_attention', 'chunked_attention'] }, /layer_types\[1\]: given "chunked_a/],
    ['qwen2-sliding', { layer_types: ['full_attention'] }, /layer_types\[1\]: given null/],
    ['qwen2-sliding', { sliding_window: 0, layer_types: null }, /sliding_window: given 0/],
    ['gpt2', { add_cross_attention: true }, /add_cross_attention: given true; expected false/],
    ['gpt2', { activation_function: 'mish' }, /activation_function: given "mish"; expected "gelu_new" or/],
    ['gemma2', { hidden_activation: 'relu' }, /hidden_activation: given "relu"/],
    ['gemma2', { use_bidirectional_attention: true }, /use_bidirectional_attention: given true/],
    ['gemma3', { attn_logit_softcapping: 5 }, /attn_logit_softcapping: given 5; expected none/],
    [
      'qwen3',
      { quantization_config: { quant_method: 'awq', bits: 4 } },
      /quantization_config: given "awq"; expected none/,
    ],
    ['gemma3', { model_type: 'gemma3' }, /model_type "gemma3".*expected one of llama, mistral, qwen2, qwen3, gpt2/],
  ] as [string, object, RegExp][])('%s: %o', async (name, keys, message) => {
    await expect(loadModel(changed(name, { ...keys }))).rejects.toThrow(message)
  })
})
