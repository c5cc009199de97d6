import { argI, argP } from './control'
import { exp4, sigmoid4 } from './exp'
import { madd } from './madd'

/** Numbers a task. */
const CHUNK: i32 = 8192
const ROOT: f32 = 0.7978845608 // √(2/π)
const CUBE: f32 = 0.044715

/** erf x by Abramowitz & Stegun 7.1.26: within 2e-7. */
// @ts-ignore: decorator
@inline function erf4(x: v128): v128 {
  const one = f32x4.splat(1)
  const size = f32x4.abs(x)
  const t = f32x4.div(one, madd(f32x4.splat(0.3275911), size, one))
  let p = madd(f32x4.splat(1.061405429), t, f32x4.splat(-1.453152027))
  p = madd(p, t, f32x4.splat(1.421413741))
  p = madd(p, t, f32x4.splat(-0.284496736))
  p = madd(p, t, f32x4.splat(0.254829592))
  const y = f32x4.sub(one, f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(x, x)))))
  return v128.bitselect(y, x, f32x4.splat(reinterpret<f32>(0x7fffffff)))
}

/** The part of x that passes: Φ(x), or σ(2u) = (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³). */
// @ts-ignore: decorator
@inline function share4(x: v128, isTanh: bool): v128 {
  if (!isTanh) return f32x4.mul(f32x4.splat(0.5), f32x4.add(f32x4.splat(1), erf4(f32x4.mul(x, f32x4.splat(0.70710678)))))
  const u = f32x4.mul(x, madd(f32x4.mul(x, x), f32x4.splat(CUBE), f32x4.splat(1)))
  return sigmoid4(f32x4.mul(u, f32x4.splat(2 * ROOT)))
}

/** out = x · share(x). 0 x  1 out  2 count  3 by tanh */
export function gelu(task: i32): void {
  const to = min((task + 1) * CHUNK, argI(2))
  const isTanh = argI(3) != 0
  for (let i = task * CHUNK; i < to; i += 4) {
    const at = <usize>i << 2
    const x = v128.load(argP(0) + at)
    v128.store(argP(1) + at, f32x4.mul(x, share4(x, isTanh)))
  }
}

/** dx = dy · (share + x · share'). 0 x  1 dy  2 dx  3 count  4 by tanh */
export function geluBack(task: i32): void {
  const to = min((task + 1) * CHUNK, argI(3))
  const isTanh = argI(4) != 0
  const one = f32x4.splat(1)
  for (let i = task * CHUNK; i < to; i += 4) {
    const at = <usize>i << 2
    const x = v128.load(argP(0) + at)
    const s = share4(x, isTanh)
    const xx = f32x4.mul(x, x)
    const slope = isTanh
      ? f32x4.mul(f32x4.mul(s, f32x4.sub(one, s)), f32x4.mul(madd(xx, f32x4.splat(3 * CUBE), one), f32x4.splat(2 * ROOT)))
      : f32x4.mul(exp4(f32x4.mul(xx, f32x4.splat(-0.5))), f32x4.splat(0.39894228)) // 1/√(2π)
    v128.store(argP(2) + at, f32x4.mul(v128.load(argP(1) + at), madd(x, slope, s)))
  }
}
