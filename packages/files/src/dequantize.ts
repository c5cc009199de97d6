import { GraftError } from '@graftjs/tensor/error'
import { type GgufType, ggufLayout } from './gguf-types.ts'
import { halfToFloat, halfToFloats, upperHalvesToFloats } from './half.ts'
import { decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from './k-quants.ts'

/** The first `count` numbers of a GGUF tensor's stored bytes. */
export const dequantize = (type: GgufType, bytes: Uint8Array, count: number): Float32Array => {
  const { numbers, bytes: size } = ggufLayout(type)
  const blocks = Math.ceil(count / numbers)
  if (!(blocks * size <= bytes.byteLength))
    throw new GraftError({
      code: 'bad-tensor',
      culprit: `${type} tensor`,
      given: `${bytes.byteLength} bytes for ${count} numbers`,
      expected: `at least ${blocks * size}`,
    })
  return decoders[type](bytes.subarray(0, blocks * size), blocks).subarray(0, count)
}

type Decode = (bytes: Uint8Array, blocks: number) => Float32Array

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const decoders: Readonly<Record<GgufType, Decode>> = {
  F32: (bytes) => new Float32Array(Uint8Array.from(bytes).buffer),
  F16: halfToFloats,
  BF16: upperHalvesToFloats,
  Q8_0: (bytes, blocks) => {
    const [view, out] = [viewOf(bytes), new Float32Array(blocks * 32)]
    for (let b = 0; b < blocks; b++) {
      const d = halfToFloat(view.getUint16(b * 34, true))
      for (let i = 0; i < 32; i++) out[b * 32 + i] = d * view.getInt8(b * 34 + 2 + i)
    }
    return out
  },
  Q4_0: (bytes, blocks) => nibbles(bytes, blocks, 18, (q, d) => d * (q - 8)),
  Q4_1: (bytes, blocks) => nibbles(bytes, blocks, 20, (q, d, m) => d * q + m),
  Q5_0: (bytes, blocks) => nibbles(bytes, blocks, 22, (q, d) => d * (q - 16), true),
  Q5_1: (bytes, blocks) => nibbles(bytes, blocks, 24, (q, d, m) => d * q + m, true),
  Q2_K: decodeQ2K,
  Q3_K: decodeQ3K,
  Q4_K: decodeQ4K,
  Q5_K: decodeQ5K,
  Q6_K: decodeQ6K,
}

/**
 * Blocks of 32 four-bit numbers: the low halves of the 16 bytes are the first 16. With `fifths`, the four bytes in front of
 * them hold a fifth bit of each.
 */
const nibbles = (
  bytes: Uint8Array,
  blocks: number,
  size: number,
  value: (q: number, d: number, m: number) => number,
  fifths = false,
): Float32Array => {
  const [view, out] = [viewOf(bytes), new Float32Array(blocks * 32)]
  for (let b = 0; b < blocks; b++) {
    const at = b * size
    const d = halfToFloat(view.getUint16(at, true))
    const m = halfToFloat(view.getUint16(at + 2, true))
    const high = fifths ? view.getUint32(at + size - 20, true) : 0
    for (let i = 0; i < 16; i++) {
      const byte = view.getUint8(at + size - 16 + i)
      out[b * 32 + i] = value((byte & 15) | (((high >>> i) & 1) << 4), d, m)
      out[b * 32 + 16 + i] = value((byte >> 4) | (((high >>> (i + 16)) & 1) << 4), d, m)
    }
  }
  return out
}
