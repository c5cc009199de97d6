import { madd } from './madd'

// One tile of 5 rows by 16 columns, the whole of K in one go: C = [C +] [bias +] A·B with A packed [K][5], B packed [K][16].
export const MR: i32 = 5
export const NR: i32 = 16

export function micro(k: i32, a: usize, b: usize, c: usize, ldc: usize, bias: usize, accumulate: bool): void {
  let z0 = bias ? v128.load(bias, 0) : f32x4.splat(0)
  let z1 = bias ? v128.load(bias, 16) : f32x4.splat(0)
  let z2 = bias ? v128.load(bias, 32) : f32x4.splat(0)
  let z3 = bias ? v128.load(bias, 48) : f32x4.splat(0)
  let c00 = z0
  let c01 = z1
  let c02 = z2
  let c03 = z3
  let c10 = z0
  let c11 = z1
  let c12 = z2
  let c13 = z3
  let c20 = z0
  let c21 = z1
  let c22 = z2
  let c23 = z3
  let c30 = z0
  let c31 = z1
  let c32 = z2
  let c33 = z3
  let c40 = z0
  let c41 = z1
  let c42 = z2
  let c43 = z3
  for (let i: i32 = 0; i < k; i++) {
    const b0 = v128.load(b, 0)
    const b1 = v128.load(b, 16)
    const b2 = v128.load(b, 32)
    const b3 = v128.load(b, 48)
    const a0 = f32x4.splat(load<f32>(a, 0))
    c00 = madd(a0, b0, c00)
    c01 = madd(a0, b1, c01)
    c02 = madd(a0, b2, c02)
    c03 = madd(a0, b3, c03)
    const a1 = f32x4.splat(load<f32>(a, 4))
    c10 = madd(a1, b0, c10)
    c11 = madd(a1, b1, c11)
    c12 = madd(a1, b2, c12)
    c13 = madd(a1, b3, c13)
    const a2 = f32x4.splat(load<f32>(a, 8))
    c20 = madd(a2, b0, c20)
    c21 = madd(a2, b1, c21)
    c22 = madd(a2, b2, c22)
    c23 = madd(a2, b3, c23)
    const a3 = f32x4.splat(load<f32>(a, 12))
    c30 = madd(a3, b0, c30)
    c31 = madd(a3, b1, c31)
    c32 = madd(a3, b2, c32)
    c33 = madd(a3, b3, c33)
    const a4 = f32x4.splat(load<f32>(a, 16))
    c40 = madd(a4, b0, c40)
    c41 = madd(a4, b1, c41)
    c42 = madd(a4, b2, c42)
    c43 = madd(a4, b3, c43)
    a += 20
    b += 64
  }
  if (accumulate) {
    c00 = f32x4.add(c00, v128.load(c + 0 * ldc, 0))
    c01 = f32x4.add(c01, v128.load(c + 0 * ldc, 16))
    c02 = f32x4.add(c02, v128.load(c + 0 * ldc, 32))
    c03 = f32x4.add(c03, v128.load(c + 0 * ldc, 48))
    c10 = f32x4.add(c10, v128.load(c + 1 * ldc, 0))
    c11 = f32x4.add(c11, v128.load(c + 1 * ldc, 16))
    c12 = f32x4.add(c12, v128.load(c + 1 * ldc, 32))
    c13 = f32x4.add(c13, v128.load(c + 1 * ldc, 48))
    c20 = f32x4.add(c20, v128.load(c + 2 * ldc, 0))
    c21 = f32x4.add(c21, v128.load(c + 2 * ldc, 16))
    c22 = f32x4.add(c22, v128.load(c + 2 * ldc, 32))
    c23 = f32x4.add(c23, v128.load(c + 2 * ldc, 48))
    c30 = f32x4.add(c30, v128.load(c + 3 * ldc, 0))
    c31 = f32x4.add(c31, v128.load(c + 3 * ldc, 16))
    c32 = f32x4.add(c32, v128.load(c + 3 * ldc, 32))
    c33 = f32x4.add(c33, v128.load(c + 3 * ldc, 48))
    c40 = f32x4.add(c40, v128.load(c + 4 * ldc, 0))
    c41 = f32x4.add(c41, v128.load(c + 4 * ldc, 16))
    c42 = f32x4.add(c42, v128.load(c + 4 * ldc, 32))
    c43 = f32x4.add(c43, v128.load(c + 4 * ldc, 48))
  }
  v128.store(c + 0 * ldc, c00, 0)
  v128.store(c + 0 * ldc, c01, 16)
  v128.store(c + 0 * ldc, c02, 32)
  v128.store(c + 0 * ldc, c03, 48)
  v128.store(c + 1 * ldc, c10, 0)
  v128.store(c + 1 * ldc, c11, 16)
  v128.store(c + 1 * ldc, c12, 32)
  v128.store(c + 1 * ldc, c13, 48)
  v128.store(c + 2 * ldc, c20, 0)
  v128.store(c + 2 * ldc, c21, 16)
  v128.store(c + 2 * ldc, c22, 32)
  v128.store(c + 2 * ldc, c23, 48)
  v128.store(c + 3 * ldc, c30, 0)
  v128.store(c + 3 * ldc, c31, 16)
  v128.store(c + 3 * ldc, c32, 32)
  v128.store(c + 3 * ldc, c33, 48)
  v128.store(c + 4 * ldc, c40, 0)
  v128.store(c + 4 * ldc, c41, 16)
  v128.store(c + 4 * ldc, c42, 32)
  v128.store(c + 4 * ldc, c43, 48)
}
