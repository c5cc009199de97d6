import type { Model } from '@graftjs/core'
import type { JsonObject } from '@graftjs/files'
import type { HeadConfig, Serves } from './heads/head-config.ts'
import type { WeightSource } from './weight-source.ts'

/** What every configuration says. */
export interface ModelConfig {
  readonly vocabSize: number
  /** The longest text; none where positions are relative. */
  readonly maxPositionEmbeddings: number
  /** The matrix that makes logits is the embedding's. */
  readonly tieWordEmbeddings?: boolean
  /** Of a family that has several heads. */
  readonly head?: HeadConfig
}

/** What of a GGUF file a family needs to know beside its metadata. */
export interface GgufFacts {
  /** Rows of the embedding. */
  readonly vocabRows: number
  /** No output matrix is stored. */
  readonly tied: boolean
  has(tensor: string): boolean
  /** What each rotary frequency is divided by (`rope_freqs.weight`), where the file says so: Llama 3's scaling. */
  readonly ropeFactors?: Float32Array
}

/** One architecture: how its configuration is read, and the model itself. */
export interface Family<C extends ModelConfig = ModelConfig> {
  /** `model_type` of config.json. */
  readonly types: readonly string[]
  /** `file` is for errors. Options that would change the mathematics and are not built are refused by name. */
  fromJson(json: JsonObject, file: string, head?: HeadConfig): C
  /** How transformers' class names begin, such as `Bert`. */
  readonly classPrefix?: string
  /** The tasks that it has heads for. Default: `causal-lm` alone. */
  readonly tasks?: Serves
  build(config: C, source: WeightSource): Model
  /** Where the tensors of a safetensors file are not named or shaped as the model's weights. */
  readonly stored?: {
    /** The weight's name, such as `transformer.wte.weight`, for a tensor of the file. */
    nameOf(tensor: string, config: C): string
    /** The name that a tensor of the file gets where a model is saved. Default: its own. */
    savedAs?(tensor: string, config: C): string
    /** Whether the file holds the weight of this name as [in, out]. */
    turned?(name: string): boolean
  }
  /** What a weight that the file lacks starts as: that of a new head. Undefined where it must be there. */
  fresh?(config: C, name: string, shape: readonly number[]): Float32Array | undefined
  readonly gguf?: {
    /** `general.architecture`. */
    readonly architecture: string
    fromMetadata(metadata: ReadonlyMap<string, unknown>, facts: GgufFacts, file: string): C
    /** transformers' name for a tensor of the file; its own where there is none. */
    nameOf(tensor: string): string
    /** The heads that the rows of this tensor are to be put in order for; undefined where they are in order. */
    headsOf?(tensor: string, config: C): { readonly heads: number; readonly headDim: number } | undefined
  }
}
