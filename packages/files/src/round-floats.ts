const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

/** The float16 nearest to a float32, ties to even; its 16 bits. Above 65504 it is infinite. */
export const halfOf = (value: number): number => {
  float[0] = value
  const [sign, exponent, fraction] = [(bits[0]! >>> 16) & 0x8000, ((bits[0]! >>> 23) & 255) - 112, bits[0]! & 0x7fffff]
  if (exponent === 143) return sign | (fraction ? 0x7e00 : 0x7c00)
  if (exponent >= 31) return sign | 0x7c00
  if (exponent < -10) return sign
  // A number below 2^-14 has no leading one, and its fraction moves right instead.
  const shift = exponent > 0 ? 13 : 14 - exponent
  const whole = exponent > 0 ? (exponent << 23) | fraction : fraction | 0x800000
  return sign | nearest(whole, shift)
}

/** The bfloat16 nearest to a float32, ties to even; its 16 bits. */
export const bfloatOf = (value: number): number => {
  float[0] = value
  if (Number.isNaN(value)) return (bits[0]! >>> 16) | 0x40
  return ((bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16) & 0xffff
}

/** Each of these numbers in 16 bits, as `halfOf` (for `f16`) or `bfloatOf` rounds it. */
export const rounded = (values: Float32Array, to: 'f16' | 'bf16'): Uint16Array<ArrayBuffer> => {
  const out = new Uint16Array(values.length)
  // A plain loop: Uint16Array.from takes ten times as long.
  if (to === 'f16') for (let i = 0; i < out.length; i++) out[i] = halfOf(values[i]!)
  else for (let i = 0; i < out.length; i++) out[i] = bfloatOf(values[i]!)
  return out
}

const nearest = (value: number, shift: number): number => {
  const [kept, rest, half] = [value >>> shift, value & ((1 << shift) - 1), 1 << (shift - 1)]
  return rest > half || (rest === half && kept & 1) ? kept + 1 : kept
}
