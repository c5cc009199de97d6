/** A tensor as a header tells of it. */
export interface TensorFact {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: number
}

/** What `graft inspect` says of a thing: lines for people are made of the same values as its JSON. */
export interface Facts {
  /** What it is: `model`, `adapter`, `checkpoint`, `run`, `safetensors`. */
  readonly kind: string
  readonly path: string
  readonly [fact: string]: unknown
  readonly tensors: readonly TensorFact[]
}

export const countOf = ({ shape }: TensorFact): number => shape.reduce((a, b) => a * b, 1)

/** Numbers, bytes, and numbers by dtype. */
export const totals = (tensors: readonly TensorFact[]) => {
  const dtypes: Record<string, number> = {}
  for (const tensor of tensors) dtypes[tensor.dtype] = (dtypes[tensor.dtype] ?? 0) + countOf(tensor)
  return {
    parameters: tensors.reduce((sum, tensor) => sum + countOf(tensor), 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes,
  }
}
