import type { JsonObject } from '@graftjs/core'
import { describe, expect, it } from 'vitest'
import { lora } from './lora.ts'

describe('lora', () => {
  it('refuses options that make no sense, by name', () => {
    expect(() => lora({ r: 0 })).toThrow('lora.r: given 0; expected a whole number ≥ 1')
    expect(() => lora({ r: 2.5 })).toThrow('lora.r')
    expect(() => lora({ loraAlpha: Number.NaN })).toThrow('lora.loraAlpha')
    expect(() => lora({ loraDropout: 1 })).toThrow('lora.loraDropout: given 1; expected a probability in [0, 1)')
  })

  it('writes the keys that PEFT reads, and reads them back to the same method', () => {
    const method = lora({
      r: 16,
      loraAlpha: 32,
      targetModules: ['v_proj', 'q_proj'],
      loraDropout: 0.1,
      useRslora: true,
    })
    const json = lora.kind.write(method)
    expect(json).toMatchObject({
      peft_type: 'LORA',
      r: 16,
      lora_alpha: 32,
      lora_dropout: 0.1,
      use_rslora: true,
      target_modules: ['q_proj', 'v_proj'],
      bias: 'none',
      inference_mode: true,
    })
    expect(lora.kind.read(json).config).toEqual({ ...method.config, targetModules: ['q_proj', 'v_proj'] })
  })

  it.each([
    ['use_dora', true],
    ['bias', 'all'],
    ['modules_to_save', ['lm_head']],
    ['rank_pattern', { q_proj: 4 }],
    ['fan_in_fan_out', true],
    ['layers_to_transform', [0]],
    ['lora_bias', true],
  ])('refuses an adapter whose %s it would have to drop', (key, value) => {
    expect(() => lora.kind.read({ peft_type: 'LORA', [key]: value } as JsonObject)).toThrow(
      `adapter_config.json: ${key}`,
    )
  })

  it('refuses a rank that is no number', () => {
    expect(() => lora.kind.read({ r: '8' })).toThrow('adapter_config.json: r: given "8"; expected a number')
  })
})
