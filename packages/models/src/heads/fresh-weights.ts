import { random } from '@graftjs/tensor'
import type { HeadConfig } from './head-config.ts'

/**
 * What a weight of a new head starts as, by transformers' rule: matrices normal with standard deviation `range`, biases 0,
 * norms 1. Fixed by the seed and its name.
 */
export const freshWeight = (
  { seed, range }: Pick<HeadConfig, 'seed' | 'range'>,
  name: string,
  shape: readonly number[],
): Float32Array => {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1))
  if (shape.length === 1) return values.fill(name.endsWith('.bias') ? 0 : 1)
  return random(seed, name)
    .fill(values, 'normal')
    .map((v) => v * range)
}
