import { GraftError } from '@graftjs/tensor/error'
import { halfToFloats, upperHalvesToFloats } from './half.ts'

/** Bits of one number, by the names of safetensors, in the order of its writer. */
export const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const
export type Dtype = keyof typeof dtypeBits

/** A tensor as a file holds it: little endian, row-major. */
export interface NamedTensor {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** Numbers in the shape; `undefined` beyond 2^53, on the way too. */
export const countOf = (shape: readonly number[]): number | undefined => {
  const count = shape.reduce((product, n) => (Number.isSafeInteger(product * n) ? product * n : Number.NaN), 1)
  return Number.isNaN(count) ? undefined : count
}

/** The numbers of an F32, F16, BF16 or F64 tensor; those of an aligned F32 tensor are a view of its bytes. */
export const toFloat32 = ({ name, dtype, shape, bytes }: NamedTensor): Float32Array => {
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16' && dtype !== 'F64')
    throw new GraftError({ code: 'bad-dtype', culprit: name, given: dtype, expected: 'F32, F16, BF16 or F64' })
  checkBytes({ name, dtype, shape, bytes })
  if (dtype === 'F16') return halfToFloats(bytes)
  if (dtype === 'BF16') return upperHalvesToFloats(bytes)
  // Not slice(): that of a Buffer is no copy.
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes)
  if (dtype === 'F32') return new Float32Array(aligned.buffer, aligned.byteOffset, bytes.byteLength / 4)
  return Float32Array.from(new Float64Array(aligned.buffer, aligned.byteOffset, bytes.byteLength / 8))
}

/** An F32 tensor over these very numbers, not a copy. */
export const fromFloat32 = (name: string, shape: readonly number[], values: Float32Array): NamedTensor => ({
  name,
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
})

/** Refuses a tensor whose bytes do not fit its dtype and shape. */
export const checkBytes = ({ name, dtype, shape, bytes }: NamedTensor): void => {
  const expected = ((countOf(shape) ?? Number.NaN) * dtypeBits[dtype]) / 8
  if (bytes.byteLength === expected) return
  throw new GraftError({
    code: 'bad-tensor',
    culprit: name,
    given: `${bytes.byteLength} bytes`,
    expected: `${expected}, by ${dtype} and its shape [${shape}]`,
  })
}
