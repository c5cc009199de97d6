import type { StoredWeight } from '@graftjs/kernels'
import type { VectorWeight } from './vector-weight.ts'

/** Where the weights come from: by the name that the checkpoint of transformers gives them. The model frees what it takes. */
export interface WeightSource {
  matrix(name: string, shape: readonly [number, number]): StoredWeight
  vector(name: string, size: number): VectorWeight
  /** Whether the checkpoint has it; absent where the source cannot tell. */
  holds?(name: string): boolean
}
