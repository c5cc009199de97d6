import type { Json, JsonObject } from '@graftjs/files'
import { type Facts, totals } from './facts.ts'
import { jsonOf } from './model-facts.ts'
import { safetensorsFacts } from './read-headers.ts'

/** A folder in PEFT's layout. */
export const adapterFacts = async (path: string): Promise<Facts> => {
  const config = await jsonOf(`${path}/adapter_config.json`)
  const { tensors } = await safetensorsFacts(`${path}/adapter_model.safetensors`)
  return {
    kind: 'adapter',
    path,
    method: config.peft_type ?? null,
    baseModel: config.base_model_name_or_path ?? null,
    ...(config.r !== undefined && { rank: config.r }),
    ...(config.lora_alpha !== undefined && { alpha: config.lora_alpha }),
    ...(config.lora_dropout !== undefined && { dropout: config.lora_dropout }),
    targetModules: config.target_modules ?? null,
    ...used(config),
    task: config.task_type ?? null,
    ...totals(tensors),
    tensors,
  }
}

/** What few adapters have, by PEFT's key and ours. */
const RARE = {
  rank_pattern: 'rankPattern',
  alpha_pattern: 'alphaPattern',
  layers_to_transform: 'layers',
  exclude_modules: 'excludeModules',
  bias: 'biases',
  lora_bias: 'loraBias',
  use_rslora: 'rslora',
  use_dora: 'dora',
  modules_to_save: 'modulesToSave',
  trainable_token_indices: 'trainableTokens',
}

const used = (config: JsonObject): Record<string, Json> =>
  Object.fromEntries(
    Object.entries(RARE)
      .map(([key, name]) => [name, config[key] ?? null] as const)
      .filter(([, value]) => !isIdle(value)),
  )

const isIdle = (value: Json): boolean =>
  value === null ||
  value === false ||
  value === 'none' ||
  (typeof value === 'object' && Object.keys(value).length === 0)
