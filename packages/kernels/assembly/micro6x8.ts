import { madd } from './madd'

// One tile of 6 rows by 8 columns, the whole of K in one go: C = [C +] [bias +] A·B with A packed [K][6], B packed [K][8].
export const MR: i32 = 6
export const NR: i32 = 8

export function micro(k: i32, a: usize, b: usize, c: usize, ldc: usize, bias: usize, accumulate: bool): void {
  let z0 = bias ? v128.load(bias, 0) : f32x4.splat(0)
  let z1 = bias ? v128.load(bias, 16) : f32x4.splat(0)
  let c00 = z0
  let c01 = z1
  let c10 = z0
  let c11 = z1
  let c20 = z0
  let c21 = z1
  let c30 = z0
  let c31 = z1
  let c40 = z0
  let c41 = z1
  let c50 = z0
  let c51 = z1
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
  if (accumulate) {
    c00 = f32x4.add(c00, v128.load(c + 0 * ldc, 0))
    c01 = f32x4.add(c01, v128.load(c + 0 * ldc, 16))
    c10 = f32x4.add(c10, v128.load(c + 1 * ldc, 0))
    c11 = f32x4.add(c11, v128.load(c + 1 * ldc, 16))
    c20 = f32x4.add(c20, v128.load(c + 2 * ldc, 0))
    c21 = f32x4.add(c21, v128.load(c + 2 * ldc, 16))
    c30 = f32x4.add(c30, v128.load(c + 3 * ldc, 0))
    c31 = f32x4.add(c31, v128.load(c + 3 * ldc, 16))
    c40 = f32x4.add(c40, v128.load(c + 4 * ldc, 0))
    c41 = f32x4.add(c41, v128.load(c + 4 * ldc, 16))
    c50 = f32x4.add(c50, v128.load(c + 5 * ldc, 0))
    c51 = f32x4.add(c51, v128.load(c + 5 * ldc, 16))
  }
  v128.store(c + 0 * ldc, c00, 0)
  v128.store(c + 0 * ldc, c01, 16)
  v128.store(c + 1 * ldc, c10, 0)
  v128.store(c + 1 * ldc, c11, 16)
  v128.store(c + 2 * ldc, c20, 0)
  v128.store(c + 2 * ldc, c21, 16)
  v128.store(c + 3 * ldc, c30, 0)
  v128.store(c + 3 * ldc, c31, 16)
  v128.store(c + 4 * ldc, c40, 0)
  v128.store(c + 4 * ldc, c41, 16)
  v128.store(c + 5 * ldc, c50, 0)
  v128.store(c + 5 * ldc, c51, 16)
}
