import { near } from '@graftjs/core'
import { decode, type Format, type StoredWeight, storedWeight } from '@graftjs/kernels'
import { GraftError } from '@graftjs/tensor/error'
import { type VectorWeight, vectorWeight } from './vector-weight.ts'
import type { WeightSource } from './weight-source.ts'

/** A matrix or vector as stored, under its name in transformers. */
export interface Stored {
  readonly format: Format
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}
export type Weights = Map<string, Stored>

/**
 * Hands weights out once each: what was taken is dropped, so that no second copy stays. `fresh` may make one that the file
 * lacks.
 */
export const storedSource = (
  weights: Weights,
  file: string,
  made: (StoredWeight | VectorWeight)[],
  fresh: (name: string, shape: readonly number[]) => Float32Array | undefined = () => undefined,
): WeightSource => {
  const names = [...weights.keys()]
  const take = (name: string, shape: readonly number[]): Stored => {
    const found = weights.get(name)
    if (!found) {
      const values = fresh(name, shape)
      if (values) return { format: 'f32', shape, bytes: new Uint8Array(values.buffer) }
      const close = near(name, names)
      throw new GraftError({
        code: 'bad-file',
        culprit: file,
        given: `no tensor ${name}`,
        expected: close.length ? `it; near names: ${close.join(', ')}` : 'it, by the config',
      })
    }
    if (found.shape.join() !== shape.join())
      throw new GraftError({
        code: 'bad-file',
        culprit: `${file}: ${name}`,
        given: `shape [${found.shape}]`,
        expected: `[${shape}], by the config`,
      })
    weights.delete(name)
    return found
  }
  const record = <W extends StoredWeight | VectorWeight>(weight: W): W => {
    made.push(weight)
    return weight
  }
  return {
    holds: (name) => weights.has(name),
    matrix: (name, shape) => {
      const { format, bytes } = take(name, shape)
      return record(storedWeight(name, format, bytes, shape))
    },
    vector: (name, size) => {
      const { format, bytes } = take(name, [size])
      return record(vectorWeight(name, decode(format, bytes, size)))
    },
  }
}
