import { GraftError } from '@graftjs/tensor/error'
import { type Format, formatIds } from './simd/gemm.ts'

export type { Format }
export const formats = Object.keys(formatIds) as Format[]

/** Numbers and bytes of one block of a format. */
const blocks: Record<Format, { readonly numbers: number; readonly bytes: number }> = {
  f32: { numbers: 1, bytes: 4 },
  f16: { numbers: 1, bytes: 2 },
  bf16: { numbers: 1, bytes: 2 },
  q8_0: { numbers: 32, bytes: 34 },
  q4_0: { numbers: 32, bytes: 18 },
  q4_1: { numbers: 32, bytes: 20 },
}

/** Bytes of a row of `columns` numbers. */
export const rowBytes = (format: Format, columns: number): number => {
  const { numbers, bytes } = blocks[format]
  if (columns % numbers !== 0)
    throw new GraftError({
      code: 'bad-shape',
      culprit: `${format} weight`,
      given: `rows of ${columns} numbers`,
      expected: `a multiple of ${numbers}, the block of ${format}`,
    })
  return (columns / numbers) * bytes
}

/** The float16 with these bits, exactly. */
export const halfToFloat = (bits: number): number => {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 0x3ff]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The numbers of a row, or of several rows on end. */
export const decode = (format: Format, bytes: Uint8Array, count: number): Float32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(count)
  const { numbers, bytes: size } = blocks[format]
  for (let block = 0; block * numbers < count; block++) decodeBlock(format, view, block * size, out, block * numbers)
  return out
}

const decodeBlock = (format: Format, view: DataView, at: number, out: Float32Array, to: number): void => {
  if (format === 'f32') out[to] = view.getFloat32(at, true)
  else if (format === 'f16') out[to] = halfToFloat(view.getUint16(at, true))
  else if (format === 'bf16') {
    scratch.setUint32(0, view.getUint16(at, true) << 16)
    out[to] = scratch.getFloat32(0)
  } else if (format === 'q8_0') {
    const d = halfToFloat(view.getUint16(at, true))
    for (let i = 0; i < 32; i++) out[to + i] = d * view.getInt8(at + 2 + i)
  } else {
    const d = halfToFloat(view.getUint16(at, true))
    const [head, m] = format === 'q4_1' ? [4, halfToFloat(view.getUint16(at + 2, true))] : [2, -8 * d]
    for (let i = 0; i < 16; i++) {
      const byte = view.getUint8(at + head + i)
      // As the kernel rounds: the product first, then the sum.
      out[to + i] = Math.fround(d * (byte & 15)) + m
      out[to + 16 + i] = Math.fround(d * (byte >> 4)) + m
    }
  }
}
const scratch = new DataView(new ArrayBuffer(4))
