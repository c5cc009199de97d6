import type { Json, JsonObject, Method, TargetModules, TokenIndices } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { type LoraConfig, type LoraOptions, loraConfig } from './options.ts'

const isThere = (value: unknown): boolean => value != null

/** Options of PEFT's LoraConfig that change the mathematics and are not built here: refused, never dropped. */
const unsupported: Record<string, (value: unknown) => boolean> = {
  use_dora: Boolean,
  use_qalora: Boolean,
  use_bdlora: Boolean,
  alora_invocation_tokens: isThere,
  arrow_config: isThere,
  kasa_config: isThere,
  monteclora_config: isThere,
  velora_config: isThere,
  ensure_weight_tying: Boolean,
  layer_replication: isThere,
  target_parameters: (v) => Array.isArray(v) && v.length > 0,
  // What begins so has changed the base model too, which the file does not hold.
  init_lora_weights: (v) => !inits.includes(v),
}

/** Ways to start that leave the base as it is; how a loaded adapter started matters no more. */
const inits: unknown[] = [true, false, 'gaussian', 'eva', 'orthogonal']

/** The options that adapter_config.json describes, as PEFT writes it. */
export const readLora = (json: JsonObject): LoraOptions => {
  for (const [key, isUsed] of Object.entries(unsupported)) {
    if (json[key] === undefined || json[key] === null || !isUsed(json[key])) continue
    throw new GraftError({
      code: 'unsupported-option',
      culprit: `adapter_config.json: ${key}`,
      given: JSON.stringify(json[key]),
      expected: 'a LoRA adapter without it; this version cannot apply it',
    })
  }
  const at = reader(json)
  const init = json.init_lora_weights
  return {
    r: at('r', 8, isNumber, 'a number'),
    loraAlpha: at('lora_alpha', 8, isNumber, 'a number'),
    targetModules: at<TargetModules>('target_modules', null, isNames, 'a list of names, or a string'),
    excludeModules: at<string[] | string | null>('exclude_modules', null, isNames, 'a list of names, or a string'),
    layersToTransform: at<number[] | number | null>(
      'layers_to_transform',
      null,
      isLayers,
      'a number, or a list of them',
    ),
    layersPattern: emptyAsNull(
      at<string[] | string | null>('layers_pattern', null, isNames, 'a list of names, or a string'),
    ),
    rankPattern: at('rank_pattern', {}, isNumbers, 'numbers by pattern'),
    alphaPattern: at('alpha_pattern', {}, isNumbers, 'numbers by pattern'),
    loraDropout: at('lora_dropout', 0, isNumber, 'a number'),
    useRslora: at('use_rslora', false, isBoolean, 'true or false'),
    loraBias: at('lora_bias', false, isBoolean, 'true or false'),
    bias: at<LoraConfig['bias']>('bias', 'none', isString, 'none, all or lora_only'),
    initLoraWeights: init === false || init === 'gaussian' ? init : true,
    modulesToSave: emptyAsNull(at<string[] | null>('modules_to_save', null, isList(isString), 'a list of names')),
    trainableTokenIndices: at<TokenIndices | null>('trainable_token_indices', null, isTokens, 'ids, or ids by module'),
    fanInFanOut: at('fan_in_fan_out', false, isBoolean, 'true or false'),
    taskType: at<string | null>('task_type', null, isString, 'the name of a task'),
  }
}

const isNumber = (v: Json): boolean => typeof v === 'number'
const isString = (v: Json): boolean => typeof v === 'string'
const isBoolean = (v: Json): boolean => typeof v === 'boolean'
const isList =
  (of: (v: Json) => boolean) =>
  (v: Json): boolean =>
    Array.isArray(v) && v.every(of)
const isRecord =
  (of: (v: Json) => boolean) =>
  (v: Json): boolean =>
    typeof v === 'object' && v !== null && !Array.isArray(v) && Object.values(v).every(of)
const isNumbers = isRecord(isNumber)
const isNames = (v: Json): boolean => isString(v) || isList(isString)(v)
const isLayers = (v: Json): boolean => isNumber(v) || isList(isNumber)(v)
const isTokens = (v: Json): boolean => isList(isNumber)(v) || isRecord(isList(isNumber))(v)

const emptyAsNull = <T extends readonly unknown[] | string>(v: T | null): T | null => (v?.length ? v : null)

const reader =
  (json: JsonObject) =>
  <T>(key: string, absent: T, fits: (value: Json) => boolean, expected: string): T => {
    const value = json[key]
    if (value === undefined || value === null) return absent
    if (fits(value)) return value as T
    throw new GraftError({
      code: 'bad-file',
      culprit: `adapter_config.json: ${key}`,
      given: JSON.stringify(value),
      expected,
    })
  }

/** The keys that PEFT's LoraConfig writes, with this method's values. */
export const writeLora = (method: Method): JsonObject => {
  const config = loraConfig(method.config)
  return {
    alpha_pattern: { ...config.alphaPattern },
    auto_mapping: null,
    base_model_name_or_path: null,
    bias: config.bias,
    exclude_modules: names(config.excludeModules),
    fan_in_fan_out: config.fanInFanOut,
    inference_mode: true,
    init_lora_weights: config.initLoraWeights,
    layer_replication: null,
    layers_pattern: names(config.layersPattern),
    layers_to_transform: listed(config.layersToTransform),
    lora_alpha: config.loraAlpha,
    lora_bias: config.loraBias,
    lora_dropout: config.loraDropout,
    modules_to_save: config.modulesToSave && [...config.modulesToSave],
    peft_type: 'LORA',
    r: config.r,
    rank_pattern: { ...config.rankPattern },
    revision: null,
    target_modules: names(config.targetModules),
    target_parameters: null,
    task_type: config.taskType,
    trainable_token_indices: tokens(config.trainableTokenIndices),
    use_dora: false,
    use_rslora: config.useRslora,
  }
}

const names = (targets: TargetModules): string | string[] | null =>
  typeof targets === 'string' || !targets ? (targets ?? null) : [...targets].sort()

const listed = (layers: LoraConfig['layersToTransform']): number | number[] | null =>
  typeof layers === 'number' || !layers ? layers : [...layers]

const tokens = (indices: TokenIndices | null): Json => {
  if (!indices) return null
  if (Array.isArray(indices)) return [...(indices as readonly number[])]
  return Object.fromEntries(Object.entries(indices).map(([name, ids]) => [name, [...(ids as readonly number[])]]))
}
