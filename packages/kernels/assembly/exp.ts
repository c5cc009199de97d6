import { madd } from './madd'

/** e^x, about 1e-7 relative: 2^n · polynomial. Below -87 it is 0; above 88 it stays at e^88. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const low = f32x4.lt(x, f32x4.splat(-87))
  x = f32x4.min(f32x4.max(x, f32x4.splat(-87)), f32x4.splat(88))
  // Adding 1.5 · 2^23 rounds to a whole number and leaves it in the low bits: no rounding instruction is needed.
  const magic = f32x4.splat(12582912)
  const biased = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504088896341)), magic)
  const n = f32x4.sub(biased, magic)
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)))
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  let p = madd(f32x4.splat(1.9875691500e-4), r, f32x4.splat(1.3981999507e-3))
  p = madd(p, r, f32x4.splat(8.3334519073e-3))
  p = madd(p, r, f32x4.splat(4.1665795894e-2))
  p = madd(p, r, f32x4.splat(1.6666665459e-1))
  p = madd(p, r, f32x4.splat(5.0000001201e-1))
  p = f32x4.add(madd(f32x4.mul(p, r), r, r), f32x4.splat(1))
  const scaled = i32x4.add(p, i32x4.shl(biased, 23))
  return v128.andnot(scaled, low)
}

/** e^x of one number, the same bits as a lane of exp4. */
// @ts-ignore: decorator
@inline export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))
}

/** tanh x = 1 - 2 / (e^2x + 1); near 0 a series keeps the relative error small. */
// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  const big = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(exp4(f32x4.add(x, x)), f32x4.splat(1))))
  const s = f32x4.mul(x, x)
  let p = madd(f32x4.splat(-0.05396825397), s, f32x4.splat(0.13333333333))
  p = madd(p, s, f32x4.splat(-0.33333333333))
  const small = madd(f32x4.mul(p, s), x, x)
  return v128.bitselect(small, big, f32x4.lt(f32x4.abs(x), f32x4.splat(0.15)))
}

// @ts-ignore: decorator
@inline export function sum4(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}

// @ts-ignore: decorator
@inline export function max4(x: v128): f32 {
  return max(max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)), max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)))
}
