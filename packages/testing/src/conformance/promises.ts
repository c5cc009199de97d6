/** What a method says of itself. What it denies is tested too: that it is refused, by an error that names it. */
export interface Promises {
  /** Before any step the tuned model gives what the base model gives. */
  readonly identityAtStart?: boolean
  /** It folds into the model's weights. */
  readonly folds?: boolean
  /** It can be written as a LoRA: it changes weights of linear layers and nothing else. Default: as `folds`. */
  readonly foldsToLora?: boolean
  /**
   * `any`: its patches have a gain of their own (`plus`, `scaled`); `generic`: they are gated by the generic gate, so two
   * such adapters cannot share a batch; `rows`: on or off by row alone; `none`. Default `any`.
   */
  readonly gains?: 'any' | 'generic' | 'rows' | 'none'
  /** It runs with a cache. Default true. */
  readonly caches?: boolean | BedNames
  /** It runs on packed rows. Default true. */
  readonly packs?: boolean | BedNames
  /** Nothing of the frozen backbone is walked back through (side networks). Default false. */
  readonly leavesBackbone?: boolean
  /** Most activations [B, T, d] that one more layer may cost at the peak. Default 2. */
  readonly activationsPerLayer?: number
  /** Of the training check. Default 0.02. */
  readonly learningRate?: number
}

/** The models on which it is so. */
export type BedNames = readonly ('decoder' | 'encoder-decoder')[]

export const holds = (promise: boolean | BedNames | undefined, bed: BedNames[number], otherwise: boolean): boolean =>
  Array.isArray(promise) ? promise.includes(bed) : ((promise as boolean | undefined) ?? otherwise)
