import { GraftError } from '@graftjs/tensor/error'
import type { AdapterFolder } from './adapter-folder.ts'
import { type NamedTensor, toFloat32 } from './named-tensor.ts'
import { isJsonObject, type Json, type JsonObject } from './strict-json.ts'

/** What a LoRA adds to one linear layer: scale · B A. */
export interface LoraPair {
  /** The layer, such as `model.layers.0.self_attn.q_proj`. */
  readonly path: string
  readonly rank: number
  readonly scale: number
  /** [rank, in]. */
  readonly a: Float32Array
  /** [out, rank]. */
  readonly b: Float32Array
  readonly inDim: number
  readonly outDim: number
}

/**
 * The pairs of an adapter in PEFT's form, for formats that know nothing else.
 * Errors: `unsupported-option` for an adapter that is more than a LoRA of linear layers (DoRA, embeddings, biases, whole
 * modules), `bad-file` for tensors that do not fit each other.
 */
export const loraPairs = ({ config, tensors }: AdapterFolder): LoraPair[] => {
  if (config.peft_type !== 'LORA') throw refuse('peft_type', config.peft_type, '"LORA"')
  for (const [key, plain] of Object.entries(plainOptions))
    if (!plain.includes(JSON.stringify(config[key] ?? null))) throw refuse(key, config[key], plain.at(-1)!)
  const left = new Set(tensors.keys())
  const pairs: LoraPair[] = []
  for (const [name, a] of tensors) {
    const path = /^(.*)\.lora_A\.weight$/.exec(name)?.[1]
    if (path === undefined) continue
    const b = tensors.get(`${path}.lora_B.weight`)
    pairs.push(pairOf(path, a, b, config))
    left.delete(name)
    left.delete(`${path}.lora_B.weight`)
  }
  const [other] = left
  if (other !== undefined) throw refuse('tensors', other, 'lora_A and lora_B of linear layers alone')
  return pairs
}

/** Values, as JSON, of options that change what is added; the last is the one to say. */
const plainOptions: Readonly<Record<string, readonly string[]>> = {
  use_dora: ['null', 'false'],
  lora_bias: ['null', 'false'],
  bias: ['null', '"none"'],
  modules_to_save: ['[]', 'null'],
  fan_in_fan_out: ['null', 'true', 'false'],
}

const refuse = (culprit: string, given: Json | undefined, expected: string): GraftError =>
  new GraftError({
    code: 'unsupported-option',
    culprit: `adapter: ${culprit}`,
    given: JSON.stringify(given ?? null).slice(0, 200),
    expected: `${expected}, in a format of LoRA alone: merge the adapter, or make a LoRA of it with toLora`,
  })

const pairOf = (path: string, a: NamedTensor, b: NamedTensor | undefined, config: JsonObject): LoraPair => {
  const [rank, inDim] = a.shape
  const [outDim, other] = b?.shape ?? []
  if (!b || a.shape.length !== 2 || b.shape.length !== 2 || other !== rank)
    throw new GraftError({
      code: 'bad-file',
      culprit: path,
      given: `lora_A [${a.shape}] and lora_B ${b ? `[${b.shape}]` : 'nowhere'}`,
      expected: '[rank, in] and [out, rank]',
    })
  const r = patterned(config.rank_pattern, path, 'rank_pattern') ?? numberOf(config.r, 'r')
  const alpha = patterned(config.alpha_pattern, path, 'alpha_pattern') ?? numberOf(config.lora_alpha, 'lora_alpha')
  const scale = alpha / (config.use_rslora === true ? Math.sqrt(r) : r)
  return { path, rank: rank!, scale, a: toFloat32(a), b: toFloat32(b), inDim: inDim!, outDim: outDim! }
}

const numberOf = (value: Json | undefined, key: string): number => {
  if (typeof value === 'number' && Number.isFinite(value) && (key !== 'r' || value > 0)) return value
  throw refuse(key, value, 'a number')
}

/** The value of the first key that is the path or an end of it. Keys that are more than names are refused. */
const patterned = (pattern: Json | undefined, path: string, key: string): number | undefined => {
  if (!isJsonObject(pattern)) return undefined
  for (const [name, value] of Object.entries(pattern)) {
    if (!/^[\w.]+$/.test(name)) throw refuse(`${key}[${JSON.stringify(name)}]`, value, 'names of layers')
    if (path === name || path.endsWith(`.${name}`)) return numberOf(value, key === 'rank_pattern' ? 'r' : key)
  }
  return undefined
}

/** The config that PEFT has for pairs of these layers. `scale` is alpha / r, whatever each one's rank. */
export const loraConfigOf = (pairs: readonly Pick<LoraPair, 'path' | 'rank'>[], scale: number): JsonObject => {
  const r = pairs[0]?.rank ?? 8
  const others = pairs.filter(({ rank }) => rank !== r)
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: null,
    bias: 'none',
    r,
    lora_alpha: scale * r,
    lora_dropout: 0,
    rank_pattern: Object.fromEntries(others.map(({ path, rank }) => [path, rank])),
    alpha_pattern: Object.fromEntries(others.map(({ path, rank }) => [path, scale * rank])),
    target_modules: pairs.map(({ path }) => path),
    use_rslora: false,
  }
}
