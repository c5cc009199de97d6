import { GraftError } from '@graftjs/tensor/error'

/** Bits of one number, by the names of safetensors. */
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

/** The numbers of an F32, F16, BF16 or F64 tensor. */
export const toFloat32 = ({ name, dtype, bytes }: NamedTensor): Float32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = (bytes.byteLength * 8) / dtypeBits[dtype]
  if (dtype === 'F32') {
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
    return new Float32Array(aligned.buffer, aligned.byteOffset, count)
  }
  if (dtype === 'F64') return Float32Array.from({ length: count }, (_, i) => view.getFloat64(i * 8, true))
  if (dtype === 'BF16') {
    const out = new Uint32Array(count)
    for (let i = 0; i < count; i++) out[i] = view.getUint16(i * 2, true) << 16
    return new Float32Array(out.buffer)
  }
  if (dtype === 'F16') return Float32Array.from({ length: count }, (_, i) => half(view.getUint16(i * 2, true)))
  throw new GraftError({ code: 'bad-dtype', culprit: name, given: dtype, expected: 'F32, F16, BF16 or F64' })
}

const half = (bits: number): number => {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 0x3ff]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

export const fromFloat32 = (name: string, shape: readonly number[], values: Float32Array): NamedTensor => ({
  name,
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
})
