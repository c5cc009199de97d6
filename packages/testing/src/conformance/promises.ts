/** What a method says of itself. What it denies is tested too: that it is refused, by an error that names it. */
export interface Promises {
  /** Before any step the tuned model gives what the base model gives. */
  readonly identityAtStart?: boolean
  /** It folds into the model's weights. */
  readonly folds?: boolean
  /** It can be written as a LoRA: it changes weights of linear layers and nothing else. Default: as `folds`. */
  readonly foldsToLora?: boolean
  /**
   * `any`: its patches have a gain of their own (`plus`, `scaled`), one a token; `row`: one of their own a row;
   * `generic`: they are gated by the generic gate, so two such adapters cannot share a batch; `switch`: on or off by row
   * alone; `none`. Default `any`.
   */
  readonly gains?: 'any' | 'row' | 'generic' | 'switch' | 'none'
  /** It runs with a cache. Default true. */
  readonly caches?: boolean | BedNames
  /** It runs on packed rows. Default true. */
  readonly packs?: boolean | BedNames
  /** Nothing of the frozen backbone is walked back through (side networks). Default false. */
  readonly leavesBackbone?: boolean
  /** Most activations [B, T, d] that one more layer may cost at the peak. Default 2. */
  readonly activationsPerLayer?: number
  /** Of the training check, 25 steps of AdamW on one small batch. Default 0.02. */
  readonly learningRate?: number
  /** The part of the loss that these steps take away at least. Default 0.05; a method of a few numbers can do less. */
  readonly lossDrop?: number
}

/** The models on which it is so. */
export type BedNames = readonly ('decoder' | 'encoder-decoder' | 'encoder')[]

export const holds = (promise: boolean | BedNames | undefined, bed: BedNames[number], otherwise: boolean): boolean =>
  Array.isArray(promise) ? promise.includes(bed) : ((promise as boolean | undefined) ?? otherwise)
