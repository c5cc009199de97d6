import { halfToFloat } from './half.ts'

/**
 * The K-quants of ggml (ggml-quants.c): blocks of 256 numbers whose parts of 16 or 32 have small scales of their own, which
 * the float16 scale of the block multiplies. Every product is exact in double precision, and each number is rounded to
 * float32 once, so that they come out bit for bit as ggml's.
 */
const BLOCK = 256

const halfAt = (bytes: Uint8Array, at: number): number => halfToFloat(bytes[at]! | (bytes[at + 1]! << 8))

/** 84 bytes: 16 bytes of a four-bit scale and minimum each, 64 bytes of two-bit numbers, d, dmin. */
export const decodeQ2K = (bytes: Uint8Array, blocks: number): Float32Array => {
  const out = new Float32Array(blocks * BLOCK)
  for (let b = 0; b < blocks; b++) {
    const at = b * 84
    const [d, dmin] = [halfAt(bytes, at + 80), halfAt(bytes, at + 82)]
    for (let i = 0; i < BLOCK; i++) {
      const scale = bytes[at + (i >> 4)]!
      const q = (bytes[at + 16 + byteOfPair(i)]! >> shiftOfPair(i)) & 3
      out[b * BLOCK + i] = d * (scale & 15) * q - dmin * (scale >> 4)
    }
  }
  return out
}

/** 110 bytes: 32 bytes of a third bit, 64 bytes of two-bit numbers, 16 six-bit scales in 12 bytes, d. */
export const decodeQ3K = (bytes: Uint8Array, blocks: number): Float32Array => {
  const out = new Float32Array(blocks * BLOCK)
  for (let b = 0; b < blocks; b++) {
    const at = b * 110
    const d = halfAt(bytes, at + 108)
    for (let i = 0; i < BLOCK; i++) {
      const part = i >> 4
      const low = part < 8 ? bytes[at + 96 + part]! & 15 : bytes[at + 88 + part]! >> 4
      const high = (bytes[at + 104 + (part & 3)]! >> (2 * (part >> 2))) & 3
      const q = (bytes[at + 32 + byteOfPair(i)]! >> shiftOfPair(i)) & 3
      const third = (bytes[at + (i & 31)]! >> (i >> 5)) & 1
      out[b * BLOCK + i] = d * ((low | (high << 4)) - 32) * (q - (third ? 0 : 4))
    }
  }
  return out
}

/** Where the two-bit numbers of Q2_K and Q3_K lie: four runs of 32 share 32 bytes, and there are two such halves. */
const byteOfPair = (i: number): number => ((i >> 7) << 5) | (i & 31)
const shiftOfPair = (i: number): number => ((i >> 5) & 3) << 1

/** 144 bytes: d, dmin, eight six-bit scales and minima in 12 bytes, 128 bytes of four-bit numbers. */
export const decodeQ4K = (bytes: Uint8Array, blocks: number): Float32Array => {
  const out = new Float32Array(blocks * BLOCK)
  for (let b = 0; b < blocks; b++) {
    const at = b * 144
    eighths(bytes, at, (part, scale, min) => {
      for (let i = part * 32; i < part * 32 + 32; i++)
        out[b * BLOCK + i] = scale * nibbleAt(bytes, at + 16, part, i) - min
    })
  }
  return out
}

/** 176 bytes: as Q4_K, with 32 bytes of a fifth bit before the four-bit numbers. */
export const decodeQ5K = (bytes: Uint8Array, blocks: number): Float32Array => {
  const out = new Float32Array(blocks * BLOCK)
  for (let b = 0; b < blocks; b++) {
    const at = b * 176
    eighths(bytes, at, (part, scale, min) => {
      for (let i = part * 32; i < part * 32 + 32; i++) {
        const fifth = (bytes[at + 16 + (i & 31)]! >> part) & 1
        out[b * BLOCK + i] = scale * (nibbleAt(bytes, at + 48, part, i) | (fifth << 4)) - min
      }
    })
  }
  return out
}

/** Two runs of 32 share 32 bytes: the first has the low halves. */
const nibbleAt = (bytes: Uint8Array, at: number, part: number, i: number): number =>
  (bytes[at + ((part >> 1) << 5) + (i & 31)]! >> ((part & 1) << 2)) & 15

/** The scales and minima of Q4_K and Q5_K: four plain ones, and four whose upper bits are left over in those. */
const eighths = (bytes: Uint8Array, at: number, use: (part: number, scale: number, min: number) => void): void => {
  const [d, dmin] = [halfAt(bytes, at), halfAt(bytes, at + 2)]
  const byte = (i: number): number => bytes[at + 4 + i]!
  for (let part = 0; part < 8; part++) {
    const scale = part < 4 ? byte(part) & 63 : (byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4)
    const min = part < 4 ? byte(part + 4) & 63 : (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4)
    use(part, d * scale, dmin * min)
  }
}

/** 210 bytes: 128 bytes of four-bit numbers, 64 bytes of two more bits each, 16 eight-bit scales, d. */
export const decodeQ6K = (bytes: Uint8Array, blocks: number): Float32Array => {
  const out = new Float32Array(blocks * BLOCK)
  for (let b = 0; b < blocks; b++) {
    const at = b * 210
    const d = halfAt(bytes, at + 208)
    for (let i = 0; i < BLOCK; i++) {
      // Each half of 128 has 64 bytes for the four bits, read twice, and 32 for the two, read four times.
      const [half, in128] = [i >> 7, i & 127]
      const four = (bytes[at + half * 64 + (in128 & 63)]! >> (in128 < 64 ? 0 : 4)) & 15
      const two = (bytes[at + 128 + half * 32 + (i & 31)]! >> ((in128 >> 5) << 1)) & 3
      const scale = (bytes[at + 192 + (i >> 4)]! << 24) >> 24
      out[b * BLOCK + i] = d * scale * ((four | (two << 4)) - 32)
    }
  }
  return out
}
