import { GraftError } from '@graftjs/tensor/error'
import { ggufLayout } from './gguf-types.ts'
import type { PackedType } from './repack.ts'
import { halfOf, rounded } from './round-floats.ts'

/**
 * Numbers as a GGUF tensor stores them, in whole rows: the counterpart of `dequantize`. Rounds as ggml's reference
 * (quantize_row_q8_0_ref and its like in ggml-quants.c), so that the bytes are those of gguf-py.
 * Errors: `bad-tensor` for a part of a block, for a number that is not finite, and for one that float16 cannot hold.
 */
export const quantize = (type: PackedType, values: Float32Array, name = 'tensor'): Uint8Array => {
  const { numbers } = ggufLayout(type)
  if (values.length % numbers !== 0)
    throw bad(name, `${values.length} numbers`, `a multiple of ${numbers}, the block of ${type}`)
  checkFinite(type, values, name)
  return encoders[type](values)
}

const bad = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-tensor', culprit, given, expected })

/** The scales of blocks are float16: what is out of its range would come back as infinity, or as not a number. */
const widest: Readonly<Record<PackedType, number>> = {
  F32: Number.POSITIVE_INFINITY,
  BF16: 3.3895e38,
  F16: 65504,
  Q8_0: 65504 * 127,
  Q4_0: 65504 * 8,
  Q4_1: 65504,
}

const checkFinite = (type: PackedType, values: Float32Array, name: string): void => {
  // A file may hold what is not finite as float32: there nothing is lost.
  if (type === 'F32') return
  for (let i = 0; i < values.length; i++)
    if (!(Math.abs(values[i]!) <= widest[type]))
      throw bad(name, `the weight ${values[i]}`, `at most ${widest[type]} in ${type}: write F32`)
}

type Encode = (values: Float32Array) => Uint8Array

const encoders: Readonly<Record<PackedType, Encode>> = {
  F32: (values) => new Uint8Array(values.slice().buffer),
  F16: (values) => new Uint8Array(rounded(values, 'f16').buffer),
  BF16: (values) => new Uint8Array(rounded(values, 'bf16').buffer),
  Q8_0: (values) => encodeBlocks(values, 34, encodeQ8),
  Q4_0: (values) => encodeBlocks(values, 18, encodeQ40),
  Q4_1: (values) => encodeBlocks(values, 20, encodeQ41),
}

type EncodeBlock = (block: Float32Array, out: DataView) => void

const encodeBlocks = (values: Float32Array, size: number, encode: EncodeBlock): Uint8Array => {
  const blocks = values.length / 32
  const out = new Uint8Array(blocks * size)
  for (let b = 0; b < blocks; b++)
    encode(values.subarray(b * 32, b * 32 + 32), new DataView(out.buffer, b * size, size))
  return out
}

// All arithmetic is that of float32, as in C: each step is rounded.
const f = Math.fround
/** A scale below the least float32 has no finite inverse: then the block is stored as zeros, as its float16 scale is. */
const inverse = (d: number): number => (Number.isFinite(f(1 / d)) ? f(1 / d) : 0)

const encodeQ8: EncodeBlock = (block, out) => {
  let most = 0
  for (const value of block) most = Math.max(most, Math.abs(value))
  const d = f(most / 127)
  const id = inverse(d)
  out.setUint16(0, halfOf(d), true)
  for (let i = 0; i < 32; i++) {
    const scaled = f(block[i]! * id)
    // roundf: halves away from zero.
    out.setInt8(2 + i, Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5))
  }
}

const encodeQ40: EncodeBlock = (block, out) => {
  let extreme = block[0]!
  for (const value of block) if (Math.abs(value) > Math.abs(extreme)) extreme = value
  const d = f(extreme / -8)
  const id = inverse(d)
  out.setUint16(0, halfOf(d), true)
  encodeNibbles(block, out, 2, (value) => f(f(value * id) + 8.5))
}

const encodeQ41: EncodeBlock = (block, out) => {
  let [least, most] = [block[0]!, block[0]!]
  for (const value of block) {
    if (value < least) least = value
    if (value > most) most = value
  }
  const d = f(f(most - least) / 15)
  const id = inverse(d)
  out.setUint16(0, halfOf(d), true)
  out.setUint16(2, halfOf(least), true)
  encodeNibbles(block, out, 4, (value) => f(f(f(value - least) * id) + 0.5))
}

/** The first 16 numbers go to the low halves of the bytes, the others to the high ones. */
const encodeNibbles = (block: Float32Array, out: DataView, at: number, of: (value: number) => number): void => {
  const nibble = (i: number): number => Math.min(15, Math.trunc(of(block[i]!)))
  for (let i = 0; i < 16; i++) out.setUint8(at + i, nibble(i) | (nibble(i + 16) << 4))
}
