import { madd } from './madd'

// One tile of 6 rows by 8 columns, the whole of K in one go; A packed [K][6], B packed [K][8].
// V8's revectorizer widens pairs of neighbouring 16-byte stores and all that leads to them: keep pairs together, no branches.
export const MR: i32 = 6
export const NR: i32 = 8

/** C = A·B */
export function micro(k: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0)
  let c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0)
  let c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0)
  let c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0)
  let c31 = f32x4.splat(0)
  let c40 = f32x4.splat(0)
  let c41 = f32x4.splat(0)
  let c50 = f32x4.splat(0)
  let c51 = f32x4.splat(0)
  for (let i: i32 = 0; i < k; i++) {
    const b0 = v128.load(b, 0)
    const b1 = v128.load(b, 16)
    const a0 = v128.load32_splat(a, 0)
    c00 = madd(a0, b0, c00)
    c01 = madd(a0, b1, c01)
    const a1 = v128.load32_splat(a, 4)
    c10 = madd(a1, b0, c10)
    c11 = madd(a1, b1, c11)
    const a2 = v128.load32_splat(a, 8)
    c20 = madd(a2, b0, c20)
    c21 = madd(a2, b1, c21)
    const a3 = v128.load32_splat(a, 12)
    c30 = madd(a3, b0, c30)
    c31 = madd(a3, b1, c31)
    const a4 = v128.load32_splat(a, 16)
    c40 = madd(a4, b0, c40)
    c41 = madd(a4, b1, c41)
    const a5 = v128.load32_splat(a, 20)
    c50 = madd(a5, b0, c50)
    c51 = madd(a5, b1, c51)
    a += 24
    b += 32
  }
  v128.store(c, c00, 0)
  v128.store(c, c01, 16)
  c += ldc
  v128.store(c, c10, 0)
  v128.store(c, c11, 16)
  c += ldc
  v128.store(c, c20, 0)
  v128.store(c, c21, 16)
  c += ldc
  v128.store(c, c30, 0)
  v128.store(c, c31, 16)
  c += ldc
  v128.store(c, c40, 0)
  v128.store(c, c41, 16)
  c += ldc
  v128.store(c, c50, 0)
  v128.store(c, c51, 16)
}

/** C += A·B */
export function microAdd(k: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0)
  let c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0)
  let c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0)
  let c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0)
  let c31 = f32x4.splat(0)
  let c40 = f32x4.splat(0)
  let c41 = f32x4.splat(0)
  let c50 = f32x4.splat(0)
  let c51 = f32x4.splat(0)
  for (let i: i32 = 0; i < k; i++) {
    const b0 = v128.load(b, 0)
    const b1 = v128.load(b, 16)
    const a0 = v128.load32_splat(a, 0)
    c00 = madd(a0, b0, c00)
    c01 = madd(a0, b1, c01)
    const a1 = v128.load32_splat(a, 4)
    c10 = madd(a1, b0, c10)
    c11 = madd(a1, b1, c11)
    const a2 = v128.load32_splat(a, 8)
    c20 = madd(a2, b0, c20)
    c21 = madd(a2, b1, c21)
    const a3 = v128.load32_splat(a, 12)
    c30 = madd(a3, b0, c30)
    c31 = madd(a3, b1, c31)
    const a4 = v128.load32_splat(a, 16)
    c40 = madd(a4, b0, c40)
    c41 = madd(a4, b1, c41)
    const a5 = v128.load32_splat(a, 20)
    c50 = madd(a5, b0, c50)
    c51 = madd(a5, b1, c51)
    a += 24
    b += 32
  }
  v128.store(c, f32x4.add(c00, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c01, v128.load(c, 16)), 16)
  c += ldc
  v128.store(c, f32x4.add(c10, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c11, v128.load(c, 16)), 16)
  c += ldc
  v128.store(c, f32x4.add(c20, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c21, v128.load(c, 16)), 16)
  c += ldc
  v128.store(c, f32x4.add(c30, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c31, v128.load(c, 16)), 16)
  c += ldc
  v128.store(c, f32x4.add(c40, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c41, v128.load(c, 16)), 16)
  c += ldc
  v128.store(c, f32x4.add(c50, v128.load(c, 0)), 0)
  v128.store(c, f32x4.add(c51, v128.load(c, 16)), 16)
}
