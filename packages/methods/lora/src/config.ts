import type { JsonObject, Method, TargetModules } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import type { LoraOptions } from './lora.ts'

/** Options of PEFT's LoraConfig that change the mathematics and are not built here: refused, never dropped. */
const unsupported: Record<string, (value: unknown) => boolean> = {
  use_dora: Boolean,
  use_qalora: Boolean,
  lora_bias: Boolean,
  use_bdlora: Boolean,
  alora_invocation_tokens: (v) => v != null,
  bias: (v) => v !== 'none',
  fan_in_fan_out: Boolean,
  layer_replication: (v) => v != null,
  layers_to_transform: (v) => v != null,
  modules_to_save: (v) => Array.isArray(v) && v.length > 0,
  rank_pattern: (v) => Object.keys((v as object) ?? {}).length > 0,
  alpha_pattern: (v) => Object.keys((v as object) ?? {}).length > 0,
  target_parameters: (v) => Array.isArray(v) && v.length > 0,
  trainable_token_indices: (v) => v != null,
}

/** adapter_config.json, as PEFT writes it, to the method that it describes. */
export const readLora =
  (lora: (options: LoraOptions) => Method) =>
  (json: JsonObject): Method => {
    for (const [key, isUsed] of Object.entries(unsupported)) {
      if (json[key] === undefined || json[key] === null || !isUsed(json[key])) continue
      throw new GraftError({
        code: 'unsupported-option',
        culprit: `adapter_config.json: ${key}`,
        given: JSON.stringify(json[key]),
        expected: 'a LoRA adapter without it; this version cannot apply it',
      })
    }
    return lora({
      r: number(json, 'r', 8),
      loraAlpha: number(json, 'lora_alpha', 8),
      targetModules: (json.target_modules ?? null) as TargetModules,
      excludeModules: (json.exclude_modules ?? null) as string[] | string | null,
      loraDropout: number(json, 'lora_dropout', 0),
      useRslora: json.use_rslora === true,
    })
  }

const number = (json: JsonObject, key: string, absent: number): number => {
  const value = json[key] ?? absent
  if (typeof value === 'number') return value
  throw new GraftError({
    code: 'bad-file',
    culprit: `adapter_config.json: ${key}`,
    given: JSON.stringify(value),
    expected: 'a number',
  })
}

/** The keys that PEFT's LoraConfig writes, with this method's values. */
export const writeLora = (method: Method): JsonObject => {
  const { r, loraAlpha, targetModules, excludeModules, loraDropout, useRslora } = method.config as Required<LoraOptions>
  const names = (targets: TargetModules): string | string[] | null =>
    typeof targets === 'string' || !targets ? (targets ?? null) : [...targets].sort()
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: null,
    bias: 'none',
    exclude_modules: names(excludeModules),
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: loraAlpha,
    lora_bias: false,
    lora_dropout: loraDropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r,
    rank_pattern: {},
    revision: null,
    target_modules: names(targetModules),
    target_parameters: null,
    task_type: 'CAUSAL_LM',
    trainable_token_indices: null,
    use_dora: false,
    use_rslora: useRslora,
  }
}
