import type { JsonObject } from '@graftjs/core'
import { describe, expect, it } from 'vitest'
import { lora } from './lora.ts'
import { type LoraConfig, type LoraOptions, loraAt, loraConfig } from './options.ts'

const every: LoraConfig = {
  r: 16,
  loraAlpha: 32,
  targetModules: ['v_proj', 'q_proj'],
  excludeModules: 'lm_head',
  layersToTransform: [0, 2],
  layersPattern: ['layers'],
  rankPattern: { q_proj: 4 },
  alphaPattern: { 'layers.2.self_attn.q_proj': 3 },
  loraDropout: 0.1,
  useRslora: true,
  loraBias: true,
  bias: 'lora_only',
  initLoraWeights: false,
  modulesToSave: ['norm'],
  trainableTokenIndices: { embed_tokens: [3, 1] },
  fanInFanOut: true,
  taskType: 'SEQ_CLS',
}

describe('lora', () => {
  it.each([
    [{ r: 0 }, 'lora.r: given 0; expected a whole number ≥ 1'],
    [{ r: 2.5 }, 'lora.r'],
    [{ loraAlpha: Number.NaN }, 'lora.loraAlpha'],
    [{ loraDropout: 1 }, 'lora.loraDropout: given 1; expected a probability in [0, 1)'],
    [{ rankPattern: { q_proj: 0 } }, 'lora.rankPattern["q_proj"]: given 0; expected a whole number ≥ 1'],
    [{ alphaPattern: { q_proj: Number.POSITIVE_INFINITY } }, 'lora.alphaPattern["q_proj"]'],
    [{ bias: 'some' as 'all' }, 'lora.bias: given some; expected none, all or lora_only'],
    [{ initLoraWeights: 'pissa' as 'gaussian' }, 'lora.initLoraWeights: given pissa; expected true, false or gaussian'],
    [{ targetModules: 'all-linear', layersToTransform: [0] }, 'lora.layersToTransform'],
    [{ layersPattern: 'layers' }, 'lora.layersPattern: given "layers"; expected layersToTransform beside it'],
    [{ loraBias: true, initLoraWeights: 'gaussian' }, 'lora.loraBias'],
  ] satisfies [LoraOptions, string][])('refuses %j by name', (options, message) => {
    expect(() => lora(options)).toThrow(message)
  })

  it('takes an option that is undefined as one that is not there, and keeps none that it does not know', () => {
    expect(lora({ r: undefined, rank: 4 } as unknown as LoraOptions).config).toEqual(lora().config)
  })

  it('writes the keys that PEFT reads, and reads them back to the same method', () => {
    const json = lora.kind.write(lora(every))
    expect(json).toMatchObject({
      peft_type: 'LORA',
      r: 16,
      lora_alpha: 32,
      lora_dropout: 0.1,
      use_rslora: true,
      target_modules: ['q_proj', 'v_proj'],
      exclude_modules: 'lm_head',
      layers_to_transform: [0, 2],
      layers_pattern: ['layers'],
      rank_pattern: { q_proj: 4 },
      lora_bias: true,
      bias: 'lora_only',
      init_lora_weights: false,
      modules_to_save: ['norm'],
      trainable_token_indices: { embed_tokens: [3, 1] },
      fan_in_fan_out: true,
      task_type: 'SEQ_CLS',
      inference_mode: true,
    })
    expect(lora.kind.read(json).config).toEqual({ ...every, targetModules: ['q_proj', 'v_proj'] })
    const plain = lora.kind.write(lora())
    expect(lora.kind.read(plain).config).toEqual(lora().config)
  })

  it.each([
    ['use_dora', true],
    ['init_lora_weights', 'pissa_niter_4'],
    ['init_lora_weights', 'olora'],
    ['layer_replication', [[0, 2]]],
    ['target_parameters', ['experts.gate_up_proj']],
    ['ensure_weight_tying', true],
  ])('refuses an adapter whose %s it would have to drop', (key, value) => {
    expect(() => lora.kind.read({ peft_type: 'LORA', [key]: value } as JsonObject)).toThrow(
      `adapter_config.json: ${key}`,
    )
  })

  it.each([
    ['r', '8', 'a number'],
    ['rank_pattern', { q_proj: '4' }, 'numbers by pattern'],
    ['modules_to_save', 'lm_head', 'a list of names'],
    ['trainable_token_indices', { embed_tokens: 3 }, 'ids, or ids by module'],
    ['target_modules', [1], 'a list of names, or a string'],
    ['bias', true, 'none, all or lora_only'],
  ])('refuses a %s of another kind', (key, value, expected) => {
    expect(() => lora.kind.read({ [key]: value } as JsonObject)).toThrow(
      `adapter_config.json: ${key}: given ${JSON.stringify(value)}; expected ${expected}`,
    )
  })

  it('takes rank and alpha from the first pattern that matches the path or an end of it', () => {
    const config = loraConfig({
      r: 8,
      loraAlpha: 4,
      rankPattern: { 'layers.1.q': 2, 'q|v': 16, '^q$': 99 },
      alphaPattern: { '^m\\.layers\\.0\\.k': 12 },
    })
    expect(loraAt(config, 'm.layers.1.q')).toEqual({ r: 2, scale: 2 })
    expect(loraAt(config, 'm.layers.0.v')).toEqual({ r: 16, scale: 0.25 })
    expect(loraAt(config, 'm.layers.0.qv')).toEqual({ r: 8, scale: 0.5 })
    expect(loraAt(config, 'm.layers.0.k')).toEqual({ r: 8, scale: 1.5 })
    expect(loraAt({ ...config, useRslora: true }, 'm.layers.0.v').scale).toBe(1)
    expect(() => loraAt(loraConfig({ rankPattern: { '(': 2 } }), 'q')).toThrow(
      'lora.rankPattern: given "("; expected a valid regular expression',
    )
  })
})
