import { clone, dispose, keep, linear, type Tensor, tensor, type Weight } from '@graftjs/tensor'

/** The weight of a norm: float32 numbers [n], held as they are. */
export interface VectorWeight extends Weight {
  readonly data: Tensor
  dispose(): void
}

export const vectorWeight = (path: string, values: Float32Array): VectorWeight => {
  const data = keep(tensor(values, [values.length]))
  return {
    path,
    shape: [values.length],
    bytes: values.byteLength,
    data,
    matmul: (x) => linear(x, data),
    dense: () => clone(data),
    dispose: () => dispose(data),
  }
}
