/** How a model stretches its rotary positions beyond the texts that it was first trained on. */
export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalMaxPositions: number
    }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      /** On cos and sin. */
      readonly attentionFactor: number
      readonly betaFast: number
      readonly betaSlow: number
      readonly originalMaxPositions: number
      readonly truncate: boolean
    }
  /** Each frequency by a factor of its own: how GGUF stores Llama 3's. */
  | { readonly kind: 'factors'; readonly factors: ArrayLike<number> }

export interface RopeFrequencies {
  /** Radians a position, [D/2]. */
  readonly inverse: Float32Array
  /** On cos and sin: 1 but for YaRN. */
  readonly amplitude: number
}

/**
 * The frequencies of rotary positions (Su et al. 2021), as they are or scaled: linearly (Chen et al. 2023), by Llama 3.1's
 * rule, or by YaRN (Peng et al. 2023). As transformers computes them, in float32.
 */
export const ropeFrequencies = (headDim: number, theta: number, scaling?: RopeScaling): RopeFrequencies => {
  const plain = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / Math.fround(theta ** ((2 * i) / headDim)))
  switch (scaling?.kind) {
    case undefined:
      return { inverse: plain, amplitude: 1 }
    case 'linear':
      return { inverse: plain.map((f) => f / scaling.factor), amplitude: 1 }
    case 'factors':
      return { inverse: plain.map((f, i) => f / scaling.factors[i]!), amplitude: 1 }
    case 'llama3':
      return { inverse: plain.map(llama3(scaling)), amplitude: 1 }
    case 'yarn':
      return { inverse: yarn(plain, headDim, theta, scaling), amplitude: scaling.attentionFactor }
  }
}

type Of<K extends RopeScaling['kind']> = Extract<RopeScaling, { kind: K }>

/** Long waves are stretched, short ones are not, and those between in part. */
const llama3 =
  ({ factor, lowFreqFactor, highFreqFactor, originalMaxPositions }: Of<'llama3'>) =>
  (f: number): number => {
    const turns = (originalMaxPositions * f) / (2 * Math.PI)
    if (turns < lowFreqFactor) return f / factor
    if (turns > highFreqFactor) return f
    const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    return ((1 - kept) * f) / factor + kept * f
  }

const yarn = (
  plain: Float32Array,
  dim: number,
  theta: number,
  { factor, betaFast, betaSlow, originalMaxPositions, truncate }: Of<'yarn'>,
): Float32Array => {
  // The place, of dim / 2, of the wave that turns so often in the original context.
  const placeOf = (turns: number): number =>
    (dim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [first, last] = [placeOf(betaFast), placeOf(betaSlow)]
  const low = Math.max(truncate ? Math.floor(first) : first, 0)
  const high = Math.min(truncate ? Math.ceil(last) : last, dim - 1)
  return plain.map((f, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)))
    return (f / factor) * stretched + f * (1 - stretched)
  })
}
