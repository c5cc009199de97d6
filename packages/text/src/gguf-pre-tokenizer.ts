import { isMap, type JsonMap } from './check-tokenizer-json.ts'
import { preTokenizers } from './tokenizer-from-gguf.ts'
import { unicodeExact } from './unicode-exact.ts'

/** The names that `tokenizer.ggml.pre` may have here. */
export const preTokenizerNames: readonly string[] = [...preTokenizers.keys()]

/** The name that GGUF has for how a tokenizer.json cuts a text before byte-pair encoding; undefined where it has none. */
export const preTokenizerOf = (json: { readonly [key: string]: unknown }): string | undefined => {
  const steps = stepsOf(unicodeExact(json.pre_tokenizer))
  const model: JsonMap = isMap(json.model) ? json.model : {}
  for (const [name, { pre, normalizer, ignoreMerges = false }] of preTokenizers) {
    const sameSteps = steps !== undefined && stepsOf(pre)?.join('\n') === steps.join('\n')
    const sameForm = typeOf(json.normalizer) === typeOf(normalizer) && (model.ignore_merges === true) === ignoreMerges
    if (sameSteps && sameForm) return name
  }
  return undefined
}

const typeOf = (part: unknown): string => (isMap(part) ? String(part.type) : 'none')

/** What is done one after the other, nested sequences laid flat; undefined for what GGUF cannot say. */
const stepsOf = (part: unknown): string[] | undefined => {
  if (!isMap(part)) return undefined
  if (part.type === 'Sequence' && Array.isArray(part.pretokenizers)) {
    const steps = part.pretokenizers.map(stepsOf)
    return steps.every((step) => step !== undefined) ? steps.flat() : undefined
  }
  if (
    part.type === 'Split' &&
    isMap(part.pattern) &&
    String(part.behavior).toLowerCase() === 'isolated' &&
    !part.invert
  )
    return [`split ${String(part.pattern.Regex)}`]
  if (part.type === 'ByteLevel' && part.use_regex === false && !part.add_prefix_space) return ['bytes']
  return undefined
}
