import { isJsonObject, type Json, type JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { bertFamily, robertaFamily } from './families/bert-family.ts'
import { gemma2Family, gemma3Family, gemmaFamily } from './families/gemma-family.ts'
import { gpt2Family } from './families/gpt2-family.ts'
import { llamaFamily } from './families/llama-family.ts'
import { mistralFamily } from './families/mistral-family.ts'
import { qwen2Family, qwen3Family } from './families/qwen-family.ts'
import { t5Family } from './families/t5-family.ts'
import type { Family } from './family.ts'
import { withScore } from './heads/with-score.ts'

/** The one list of what `loadModel` knows. */
export const families: readonly Family[] = [
  withScore('Llama', llamaFamily) as Family,
  withScore('Mistral', mistralFamily) as Family,
  withScore('Qwen2', qwen2Family) as Family,
  withScore('Qwen3', qwen3Family) as Family,
  withScore('GPT2', gpt2Family) as Family,
  gemmaFamily as Family,
  gemma2Family as Family,
  gemma3Family as Family,
  bertFamily as Family,
  robertaFamily as Family,
  t5Family as Family,
]

/** By `model_type`. */
export const familyOf = (json: Json, file: string): { family: Family; json: JsonObject } => {
  if (!isJsonObject(json))
    throw new GraftError({ code: 'bad-file', culprit: file, given: 'no object', expected: 'a JSON object' })
  const family = families.find(({ types }) => types.includes(String(json.model_type)))
  if (family) {
    requirePlain(json, file)
    return { family, json }
  }
  throw unknown(
    file,
    `model_type ${JSON.stringify(json.model_type ?? null)}`,
    families.flatMap(({ types }) => types),
  )
}

/** Weights in the packing of another library would be read as if they were plain numbers. */
const requirePlain = (json: JsonObject, file: string): void => {
  const { quantization_config: packing = null } = json
  if (packing === null) return
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: quantization_config`,
    given: JSON.stringify(isJsonObject(packing) ? (packing.quant_method ?? packing) : packing),
    expected: 'none: a folder with weights of float32, float16 or bfloat16, or a GGUF file',
  })
}

/** Whether files of this kind of model hold the weight of this name as [in, out]; here it is [out, in]. */
export const isTurned = (type: string, name: string): boolean =>
  families.find(({ types }) => types.includes(type))?.stored?.turned?.(name) ?? false

/** By `general.architecture`. */
export const ggufFamilyOf = (
  metadata: ReadonlyMap<string, unknown>,
  file: string,
): { family: Family; gguf: NonNullable<Family['gguf']> } => {
  const architecture = metadata.get('general.architecture')
  for (const family of families) if (family.gguf?.architecture === architecture) return { family, gguf: family.gguf! }
  const known = families.flatMap(({ gguf }) => (gguf ? [gguf.architecture] : []))
  throw unknown(file, `general.architecture ${String(architecture)}`, known)
}

/**
 * The last part of the path that a linear layer of a GGUF file has in transformers: `q_proj` for `blk.0.attn_q.weight`.
 * Undefined for what is no such layer, and where the architecture is unknown.
 */
export const ggufRole = (tensor: string, architecture: string): string | undefined => {
  const gguf = families.find((family) => family.gguf?.architecture === architecture)?.gguf
  if (!gguf || !/^blk\.\d+\.\w+(?<!_norm)\.weight$/.test(tensor)) return undefined
  const name = gguf.nameOf(tensor)
  return name === tensor ? undefined : name.split('.').at(-2)
}

const unknown = (culprit: string, given: string, known: readonly string[]): GraftError =>
  new GraftError({ code: 'unknown-architecture', culprit, given, expected: `one of ${known.join(', ')}` })
