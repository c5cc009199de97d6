import { argF, argI, argP } from './control'
import { sum4 } from './exp'
import { madd } from './madd'

/** Σ x of a row. */
function sumRow(x: usize, d: i32): f32 {
  let s = f32x4.splat(0)
  let i: i32 = 0
  for (; i + 4 <= d; i += 4) s = f32x4.add(s, v128.load(x + (<usize>i << 2)))
  let sum = sum4(s)
  for (; i < d; i++) sum += load<f32>(x + (<usize>i << 2))
  return sum
}

/** 1 / √(variance + eps) of a row with this mean. */
function rstdRow(x: usize, d: i32, mean: f32, eps: f32): f32 {
  const m = f32x4.splat(mean)
  let s = f32x4.splat(0)
  let i: i32 = 0
  for (; i + 4 <= d; i += 4) {
    const c = f32x4.sub(v128.load(x + (<usize>i << 2)), m)
    s = madd(c, c, s)
  }
  let sum = sum4(s)
  for (; i < d; i++) {
    const c = load<f32>(x + (<usize>i << 2)) - mean
    sum += c * c
  }
  return f32(1) / sqrt<f32>(sum / f32(d) + eps)
}

/** out = (x - mean) / √(variance + eps) · w + b. 0 x  1 w  2 b  3 out  4 rows  5 d  6 eps  7 rows a task */
export function layerNorm(task: i32): void {
  const d = argI(5)
  const w = argP(1)
  const b = argP(2)
  for (let r = task * argI(7); r < min(argI(4), (task + 1) * argI(7)); r++) {
    const x = argP(0) + ((<usize>r * <usize>d) << 2)
    const out = argP(3) + ((<usize>r * <usize>d) << 2)
    const mean = sumRow(x, d) / f32(d)
    const rstd = rstdRow(x, d, mean, argF(6))
    const m = f32x4.splat(mean)
    const s = f32x4.splat(rstd)
    let i: i32 = 0
    for (; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      const u = f32x4.mul(f32x4.sub(v128.load(x + at), m), s)
      v128.store(out + at, f32x4.add(f32x4.mul(u, v128.load(w + at)), v128.load(b + at)))
    }
    for (; i < d; i++) {
      const at = <usize>i << 2
      store<f32>(out + at, (load<f32>(x + at) - mean) * rstd * load<f32>(w + at) + load<f32>(b + at))
    }
  }
}

/** With g = dy·w and u the row made standard: dx = rstd · (g - mean g - u · mean(g·u)). 0 x  1 w  2 dy  3 dx  4 rows  5 d  6 eps  7 rows a task */
export function layerNormBack(task: i32): void {
  const d = argI(5)
  const w = argP(1)
  for (let r = task * argI(7); r < min(argI(4), (task + 1) * argI(7)); r++) {
    const row = (<usize>r * <usize>d) << 2
    const x = argP(0) + row
    const dy = argP(2) + row
    const dx = argP(3) + row
    const mean = sumRow(x, d) / f32(d)
    const rstd = rstdRow(x, d, mean, argF(6))
    const m = f32x4.splat(mean)
    const s = f32x4.splat(rstd)
    let sums = f32x4.splat(0)
    let dots = f32x4.splat(0)
    let i: i32 = 0
    for (; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      const g = f32x4.mul(v128.load(dy + at), v128.load(w + at))
      sums = f32x4.add(sums, g)
      dots = madd(g, f32x4.mul(f32x4.sub(v128.load(x + at), m), s), dots)
    }
    let sum = sum4(sums)
    let dot = sum4(dots)
    for (; i < d; i++) {
      const at = <usize>i << 2
      const g = load<f32>(dy + at) * load<f32>(w + at)
      sum += g
      dot += g * ((load<f32>(x + at) - mean) * rstd)
    }
    const a = sum / f32(d)
    const c = dot / f32(d)
    for (i = 0; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      const g = f32x4.mul(v128.load(dy + at), v128.load(w + at))
      const u = f32x4.mul(f32x4.sub(v128.load(x + at), m), s)
      v128.store(dx + at, f32x4.mul(s, f32x4.sub(f32x4.sub(g, f32x4.splat(a)), f32x4.mul(u, f32x4.splat(c)))))
    }
    for (; i < d; i++) {
      const at = <usize>i << 2
      const u = (load<f32>(x + at) - mean) * rstd
      store<f32>(dx + at, rstd * (load<f32>(dy + at) * load<f32>(w + at) - a - u * c))
    }
  }
}
