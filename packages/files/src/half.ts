/** The float16 with these bits, exactly. */
export const halfToFloat = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 0x3ff]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

// Every float16 there is, computed when first needed: a look-up is faster than the arithmetic.
let table: Float32Array | undefined

/** Little-endian float16 numbers. */
export const halfToFloats = (bytes: Uint8Array): Float32Array => {
  table ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits))
  const out = new Float32Array(bytes.byteLength >> 1)
  for (let i = 0; i < out.length; i++) out[i] = table[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!
  return out
}

/** Little-endian bfloat16 numbers: the upper halves of float32 ones. */
export const upperHalvesToFloats = (bytes: Uint8Array): Float32Array => {
  const out = new Uint32Array(bytes.byteLength >> 1)
  for (let i = 0; i < out.length; i++) out[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24)
  return new Float32Array(out.buffer)
}
