import type { Model } from '@graftjs/core'
import type { JsonObject } from '@graftjs/files'
import type { WeightSource } from './weight-source.ts'

/** What every configuration says. */
export interface ModelConfig {
  readonly vocabSize: number
  /** The longest text; none where positions are relative. */
  readonly maxPositionEmbeddings: number
}

/** What of a GGUF file a family needs to know beside its metadata. */
export interface GgufFacts {
  /** Rows of the embedding. */
  readonly vocabRows: number
  /** No output matrix is stored. */
  readonly tied: boolean
}

/** One architecture: how its configuration is read, and the model itself. */
export interface Family<C extends ModelConfig = ModelConfig> {
  /** `model_type` of config.json. */
  readonly types: readonly string[]
  /** `file` is for errors. Options that would change the mathematics and are not built are refused by name. */
  fromJson(json: JsonObject, file: string): C
  build(config: C, source: WeightSource): Model
  readonly gguf?: {
    /** `general.architecture`. */
    readonly architecture: string
    fromMetadata(metadata: ReadonlyMap<string, unknown>, facts: GgufFacts, file: string): C
    /** transformers' name for a tensor of the file, and how many heads its rows are to be put in order for. */
    nameOf(tensor: string, config: C): { readonly name: string; readonly heads?: number; readonly headDim?: number }
  }
}
