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
    task: config.task_type ?? null,
    ...totals(tensors),
    tensors,
  }
}
