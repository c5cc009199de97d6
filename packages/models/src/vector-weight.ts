import { clone, dispose, keep, linear, type Tensor, tensor, type Weight } from '@graftjs/tensor'

/** The weight of a norm: float32 numbers [n], held as they are. */
export interface VectorWeight extends Weight {
  readonly data: Tensor
  dispose(): void
}

export const vectorWeight = (path: string, values: Float32Array): VectorWeight =>
  vectorOf(path, tensor(values, [values.length]))

/** The same from a tensor [n], which it takes over. */
export const vectorOf = (path: string, values: Tensor): VectorWeight => {
  const data = keep(values)
  return {
    path,
    shape: data.shape,
    bytes: data.size * 4,
    data,
    matmul: (x) => linear(x, data),
    dense: () => clone(data),
    dispose: () => dispose(data),
  }
}
