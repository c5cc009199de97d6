import { patternFor, type TargetModules, type TokenIndices } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'

export interface LoraOptions {
  /** The rank. Default 8. */
  readonly r?: number
  /** The update is scaled by loraAlpha / r. Default 8. */
  readonly loraAlpha?: number
  /** Names of linear layers and embeddings as PEFT matches them: a list of suffixes, a regular expression over whole paths, `'all-linear'`; null for the architecture's own (q_proj and v_proj in a Llama). */
  readonly targetModules?: TargetModules
  /** Wins over `targetModules`, in the same two forms. */
  readonly excludeModules?: readonly string[] | string | null
  /** Only in these layers, counted from 0. Needs `targetModules` as a list (or null). */
  readonly layersToTransform?: readonly number[] | number | null
  /** With `layersToTransform`: what the counted list is called, such as `'layers'` or `'h'`; the first number in a path when absent. */
  readonly layersPattern?: readonly string[] | string | null
  /** Other ranks: by regular expression over the path or an end of it; the first that matches. */
  readonly rankPattern?: Readonly<Record<string, number>>
  /** Other values of `loraAlpha`, in the same way. */
  readonly alphaPattern?: Readonly<Record<string, number>>
  /** Probability that an element of A's input is dropped while training; the base path never sees it, nor does an embedding. Default 0. */
  readonly loraDropout?: number
  /** Rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732): the scale is loraAlpha / √r. */
  readonly useRslora?: boolean
  /** A bias on B, [out], inside the scale. Not with embeddings among the targets. */
  readonly loraBias?: boolean
  /** Which biases of the model are trained too: none, all of them, or those of the targets. Default `'none'`. */
  readonly bias?: 'none' | 'all' | 'lora_only'
  /** How A and B start: true as PEFT does (B zero), `'gaussian'` (A normal with a deviation of 1 / r, B zero), false (both random, so that the adapter acts from the start). Default true. */
  readonly initLoraWeights?: boolean | 'gaussian'
  /** Modules that are trained as wholes and saved with the adapter, such as a new head. Default null. */
  readonly modulesToSave?: readonly string[] | null
  /** Tokens whose rows of the input embedding are trained, or ids by the name of a module. Default null. */
  readonly trainableTokenIndices?: TokenIndices | null
  /** Said of layers whose weight lies transposed in the model's file (GPT-2). It changes no number: an update is [out, in] here. Default false. */
  readonly fanInFanOut?: boolean
  /** PEFT's name of the task, such as `'SEQ_CLS'`, for the file alone. Default null: the model's own. */
  readonly taskType?: string | null
}
export type LoraConfig = Required<LoraOptions>

const defaults: LoraConfig = {
  r: 8,
  loraAlpha: 8,
  targetModules: null,
  excludeModules: null,
  layersToTransform: null,
  layersPattern: null,
  rankPattern: {},
  alphaPattern: {},
  loraDropout: 0,
  useRslora: false,
  loraBias: false,
  bias: 'none',
  initLoraWeights: true,
  modulesToSave: null,
  trainableTokenIndices: null,
  fanInFanOut: false,
  taskType: null,
}

/** The options with their defaults; what makes no sense is refused by name. */
export const loraConfig = (options: LoraOptions): LoraConfig => {
  // Only what it knows: a recipe's misspelt option is found by its absence here.
  const known = Object.entries(options).filter(([key, value]) => key in defaults && value !== undefined)
  const config: LoraConfig = { ...defaults, ...Object.fromEntries(known) }
  const { targetModules, layersToTransform, layersPattern } = config
  checkRank('r', config.r)
  checkAlpha('loraAlpha', config.loraAlpha)
  for (const [key, r] of Object.entries(config.rankPattern)) checkRank(`rankPattern[${JSON.stringify(key)}]`, r)
  for (const [key, a] of Object.entries(config.alphaPattern)) checkAlpha(`alphaPattern[${JSON.stringify(key)}]`, a)
  if (!(config.loraDropout >= 0 && config.loraDropout < 1))
    bad('loraDropout', config.loraDropout, 'a probability in [0, 1)')
  if (!['none', 'all', 'lora_only'].includes(config.bias)) bad('bias', config.bias, 'none, all or lora_only')
  if (![true, false, 'gaussian'].includes(config.initLoraWeights))
    bad('initLoraWeights', config.initLoraWeights, 'true, false or gaussian')
  if (layersToTransform !== null && typeof targetModules === 'string')
    bad('layersToTransform', JSON.stringify(layersToTransform), 'to stand beside a list of targetModules, as in PEFT')
  if (layersPattern?.length && layersToTransform === null)
    bad('layersPattern', JSON.stringify(layersPattern), 'layersToTransform beside it')
  if (config.loraBias && config.initLoraWeights === 'gaussian')
    bad('loraBias', true, 'initLoraWeights true or false beside it, as in PEFT')
  return config
}

const bad = (culprit: string, given: unknown, expected: string): never => {
  throw new GraftError({ code: 'bad-option', culprit: `lora.${culprit}`, given: String(given), expected })
}

const checkRank = (name: string, r: number): void => {
  if (!Number.isInteger(r) || r < 1) bad(name, r, 'a whole number ≥ 1')
  // A config is untrusted, and a rank makes room before any tensor is compared with it.
  if (r > 65_536) bad(name, r, 'at most 65536')
}

const checkAlpha = (name: string, alpha: number): void => {
  if (!Number.isFinite(alpha)) bad(name, alpha, 'a finite number')
}

/** Rank and scale of the update at one module. */
export const loraAt = (config: LoraConfig, path: string): { readonly r: number; readonly scale: number } => {
  const r = patternFor(config.rankPattern, path, 'lora.rankPattern')?.[1] ?? config.r
  const alpha = patternFor(config.alphaPattern, path, 'lora.alphaPattern')?.[1] ?? config.loraAlpha
  return { r, scale: alpha / (config.useRslora ? Math.sqrt(r) : r) }
}
