import { dequantize } from './dequantize.ts'
import type { GgufType } from './gguf-types.ts'
import { rounded } from './round-floats.ts'

/** The types that the kernels of Graft multiply with as they are. */
export type PackedType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1'

export interface Repacked {
  readonly type: PackedType
  readonly bytes: Uint8Array
}

/**
 * A GGUF tensor in a type that the kernels know. What they know is handed on. Q5_0 becomes Q8_0: the same numbers in 34
 * bytes for 22. Q5_1 and the K-quants become F16, 2 bytes a number, each within 2^-11 of its size (or 2^-25, where that is
 * more); F32 where a number is beyond 65504.
 */
export const repack = (type: GgufType, bytes: Uint8Array, count: number): Repacked => {
  if (isPacked(type)) return { type, bytes }
  if (type === 'Q5_0') return { type: 'Q8_0', bytes: eightBits(bytes, count / 32) }
  const values = dequantize(type, bytes, count)
  // Not values.every(): a model has hundreds of millions of these.
  let fits = true
  for (let i = 0; i < values.length && fits; i++) fits = Math.abs(values[i]!) <= 65504
  if (!fits) return { type: 'F32', bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
  return { type: 'F16', bytes: new Uint8Array(rounded(values, 'f16').buffer) }
}

const packed: readonly GgufType[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1']
const isPacked = (type: GgufType): type is PackedType => packed.includes(type)

/** Q5_0 to Q8_0: -16 … 15 fit in eight bits, and the scale stays. */
const eightBits = (bytes: Uint8Array, blocks: number): Uint8Array => {
  // With a scale of one the numbers are the whole numbers themselves.
  const unit = Uint8Array.from(bytes.subarray(0, blocks * 22))
  for (let b = 0; b < blocks; b++) unit.set([0, 0x3c], b * 22)
  const whole = dequantize('Q5_0', unit, blocks * 32)
  const out = new Uint8Array(blocks * 34)
  for (let b = 0; b < blocks; b++) {
    out.set(bytes.subarray(b * 22, b * 22 + 2), b * 34)
    for (let i = 0; i < 32; i++) out[b * 34 + 2 + i] = whole[b * 32 + i]!
  }
  return out
}
