// Weights as stored, turned into float32 a piece of a row at a time. Block formats are GGUF's, 32 numbers a block.
export const F32: i32 = 0
export const F16: i32 = 1
export const BF16: i32 = 2
export const Q8_0: i32 = 3
export const Q4_0: i32 = 4
export const Q4_1: i32 = 5

/** Bytes of a row of `cols` numbers. */
export function rowBytes(format: i32, cols: i32): usize {
  if (format == F32) return <usize>cols << 2
  if (format == F16 || format == BF16) return <usize>cols << 1
  const blocks = <usize>(cols >> 5)
  if (format == Q8_0) return blocks * 34
  if (format == Q4_0) return blocks * 18
  return blocks * 20
}

/** Exact for normal, subnormal, infinite and not-a-number halves. */
// @ts-ignore: decorator
@inline export function halfToFloat(h: u32): f32 {
  const sign = (h & 0x8000) << 16
  const body = h & 0x7fff
  if (body >= 0x7c00) return reinterpret<f32>(sign | 0x7f800000 | ((body & 0x3ff) << 13))
  // A shift into float32's exponent, then 2^112 corrects the bias; it normalises subnormals as well.
  const scaled = reinterpret<f32>(body << 13) * reinterpret<f32>(0x77800000)
  return reinterpret<f32>(reinterpret<u32>(scaled) | sign)
}

/** `count` numbers of the row at `row`, from column `from` (both multiples of 32 for block formats). */
export function dequantRow(format: i32, row: usize, from: i32, count: i32, out: usize): void {
  if (format == F32) {
    memory.copy(out, row + (<usize>from << 2), <usize>count << 2)
  } else if (format == F16) {
    const p = row + (<usize>from << 1)
    for (let i: i32 = 0; i < count; i++) store<f32>(out + (<usize>i << 2), halfToFloat(load<u16>(p + (<usize>i << 1))))
  } else if (format == BF16) {
    const p = row + (<usize>from << 1)
    for (let i: i32 = 0; i < count; i++) store<u32>(out + (<usize>i << 2), <u32>load<u16>(p + (<usize>i << 1)) << 16)
  } else if (format == Q8_0) {
    let p = row + <usize>(from >> 5) * 34
    for (let i: i32 = 0; i < count; i += 32) {
      const d = f32x4.splat(halfToFloat(load<u16>(p)))
      for (let j: usize = 0; j < 32; j += 8) {
        const w = v128.load8x8_s(p + 2 + j)
        const o = out + ((<usize>i + j) << 2)
        v128.store(o, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(w))))
        v128.store(o, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(w))), 16)
      }
      p += 34
    }
  } else {
    const withMin = format == Q4_1
    const head: usize = withMin ? 4 : 2
    const size: usize = withMin ? 20 : 18
    let p = row + <usize>(from >> 5) * size
    const mask = i16x8.splat(15)
    for (let i: i32 = 0; i < count; i += 32) {
      const scale = halfToFloat(load<u16>(p))
      const d = f32x4.splat(scale)
      const m = f32x4.splat(withMin ? halfToFloat(load<u16>(p + 2)) : scale * -8)
      for (let j: usize = 0; j < 16; j += 8) {
        const w = v128.load8x8_u(p + head + j)
        const low = v128.and(w, mask)
        const high = i16x8.shr_u(w, 4)
        const o = out + ((<usize>i + j) << 2)
        v128.store(o, f32x4.add(m, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)))))
        v128.store(o, f32x4.add(m, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)))), 16)
        v128.store(o, f32x4.add(m, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)))), 64)
        v128.store(o, f32x4.add(m, f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)))), 80)
      }
      p += size
    }
  }
}
