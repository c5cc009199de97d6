import { argF, argI, argP } from './control'
import { exp4, exp1, max4, sigmoid4, sum4 } from './exp'
import { madd } from './madd'

// @ts-ignore: decorator
@inline function firstRow(task: i32, perTask: i32): i32 {
  return task * perTask
}

function dotRow(a: usize, b: usize, n: i32): f32 {
  let s = f32x4.splat(0)
  let t = f32x4.splat(0)
  let i: i32 = 0
  for (; i + 8 <= n; i += 8) {
    s = madd(v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2)), s)
    t = madd(v128.load(a + (<usize>i << 2), 16), v128.load(b + (<usize>i << 2), 16), t)
  }
  let sum = sum4(f32x4.add(s, t))
  for (; i < n; i++) sum += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2))
  return sum
}

/** out = x / √(mean x² + eps) · w. 0 x  1 w  2 out  3 rows  4 d  5 eps  6 rows a task */
export function rmsNorm(task: i32): void {
  const d = argI(4)
  const w = argP(1)
  for (let r = firstRow(task, argI(6)); r < min(argI(3), (task + 1) * argI(6)); r++) {
    const x = argP(0) + ((<usize>r * <usize>d) << 2)
    const out = argP(2) + ((<usize>r * <usize>d) << 2)
    const rstd = f32(1) / sqrt<f32>(dotRow(x, x, d) / f32(d) + argF(5))
    const s = f32x4.splat(rstd)
    let i: i32 = 0
    for (; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      v128.store(out + at, f32x4.mul(v128.load(w + at), f32x4.mul(v128.load(x + at), s)))
    }
    for (; i < d; i++) {
      const at = <usize>i << 2
      store<f32>(out + at, load<f32>(w + at) * (load<f32>(x + at) * rstd))
    }
  }
}

/** dx = rstd · (dy·w - x · rstd² · mean(dy·w·x)). 0 x  1 w  2 dy  3 dx  4 rows  5 d  6 eps  7 rows a task */
export function rmsNormBack(task: i32): void {
  const d = argI(5)
  const w = argP(1)
  for (let r = firstRow(task, argI(7)); r < min(argI(4), (task + 1) * argI(7)); r++) {
    const row = (<usize>r * <usize>d) << 2
    const x = argP(0) + row
    const dy = argP(2) + row
    const dx = argP(3) + row
    const rstd = f32(1) / sqrt<f32>(dotRow(x, x, d) / f32(d) + argF(6))
    let s = f32x4.splat(0)
    let i: i32 = 0
    for (; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      s = madd(f32x4.mul(v128.load(dy + at), v128.load(w + at)), v128.load(x + at), s)
    }
    let dot = sum4(s)
    for (; i < d; i++) {
      const at = <usize>i << 2
      dot += load<f32>(dy + at) * load<f32>(w + at) * load<f32>(x + at)
    }
    const c = (dot / f32(d)) * rstd * rstd
    for (i = 0; i + 4 <= d; i += 4) {
      const at = <usize>i << 2
      const g = f32x4.mul(v128.load(dy + at), v128.load(w + at))
      v128.store(dx + at, f32x4.mul(f32x4.splat(rstd), f32x4.sub(g, f32x4.mul(f32x4.splat(c), v128.load(x + at)))))
    }
    for (; i < d; i++) {
      const at = <usize>i << 2
      store<f32>(dx + at, rstd * (load<f32>(dy + at) * load<f32>(w + at) - c * load<f32>(x + at)))
    }
  }
}

/** Rotates the halves of each head by its position's angle; sign -1 turns back. 0 x  1 positions  2 cos  3 sin  4 out  5 rows (B·T)  6 heads  7 D  8 sign  9 rows a task */
export function rope(task: i32): void {
  const heads = argI(6)
  const half = argI(7) >> 1
  const sign = argF(8)
  for (let r = firstRow(task, argI(9)); r < min(argI(5), (task + 1) * argI(9)); r++) {
    const position = <usize>load<i32>(argP(1) + (<usize>r << 2))
    const cos = argP(2) + ((position * <usize>half) << 2)
    const sin = argP(3) + ((position * <usize>half) << 2)
    for (let h: i32 = 0; h < heads; h++) {
      const at = ((<usize>r * <usize>heads + <usize>h) * <usize>half) << 3
      const x = argP(0) + at
      const out = argP(4) + at
      const high = <usize>half << 2
      let i: i32 = 0
      for (; i + 4 <= half; i += 4) {
        const o = <usize>i << 2
        const a = v128.load(x + o)
        const b = v128.load(x + high + o)
        const c = v128.load(cos + o)
        const s = f32x4.mul(f32x4.splat(sign), v128.load(sin + o))
        v128.store(out + o, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)))
        v128.store(out + high + o, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)))
      }
      for (; i < half; i++) {
        const o = <usize>i << 2
        const a = load<f32>(x + o)
        const b = load<f32>(x + high + o)
        const c = load<f32>(cos + o)
        const s = sign * load<f32>(sin + o)
        store<f32>(out + o, a * c - b * s)
        store<f32>(out + high + o, b * c + a * s)
      }
    }
  }
}

const CHUNK: i32 = 8192

/** out = g · σ(g) · u. 0 gate  1 up  2 out  3 count */
export function swiglu(task: i32): void {
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(3))
  const gate = argP(0)
  const up = argP(1)
  const out = argP(2)
  for (let i = from; i < to; i += 8) {
    const at = <usize>i << 2
    const g = v128.load(gate + at)
    const h = v128.load(gate + at, 16)
    const a = f32x4.mul(f32x4.mul(g, sigmoid4(g)), v128.load(up + at))
    const b = f32x4.mul(f32x4.mul(h, sigmoid4(h)), v128.load(up + at, 16))
    v128.store(out + at, a)
    v128.store(out + at, b, 16)
  }
}

/** dg = dy·u·σ(g)(1 + g(1 - σ(g))), du = dy·g·σ(g). 0 gate  1 up  2 dy  3 dg  4 du  5 count */
export function swigluBack(task: i32): void {
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(5))
  const gate = argP(0)
  const up = argP(1)
  const dout = argP(2)
  const dgate = argP(3)
  const dup = argP(4)
  const one = f32x4.splat(1)
  for (let i = from; i < to; i += 8) {
    const at = <usize>i << 2
    const g = v128.load(gate + at)
    const h = v128.load(gate + at, 16)
    const s = sigmoid4(g)
    const t = sigmoid4(h)
    const p = f32x4.mul(v128.load(dout + at), s)
    const q = f32x4.mul(v128.load(dout + at, 16), t)
    const x = f32x4.mul(f32x4.mul(p, v128.load(up + at)), f32x4.add(one, f32x4.mul(g, f32x4.sub(one, s))))
    const y = f32x4.mul(f32x4.mul(q, v128.load(up + at, 16)), f32x4.add(one, f32x4.mul(h, f32x4.sub(one, t))))
    v128.store(dgate + at, x)
    v128.store(dgate + at, y, 16)
    v128.store(dup + at, f32x4.mul(p, g))
    v128.store(dup + at, f32x4.mul(q, h), 16)
  }
}

/** 0 x  1 out  2 rows  3 n  4 rows a task  5: 0 sum, 1 max */
export function reduceRows(task: i32): void {
  const n = argI(3)
  const isMax = argI(5) == 1
  for (let r = firstRow(task, argI(4)); r < min(argI(2), (task + 1) * argI(4)); r++) {
    const x = argP(0) + ((<usize>r * <usize>n) << 2)
    let i: i32 = 0
    let result: f32
    if (isMax) {
      let m = f32x4.splat(f32.NEGATIVE_INFINITY)
      for (; i + 4 <= n; i += 4) m = f32x4.max(m, v128.load(x + (<usize>i << 2)))
      result = max4(m)
      for (; i < n; i++) result = max(result, load<f32>(x + (<usize>i << 2)))
    } else {
      let s = f32x4.splat(0)
      let t = f32x4.splat(0)
      for (; i + 8 <= n; i += 8) {
        s = f32x4.add(s, v128.load(x + (<usize>i << 2)))
        t = f32x4.add(t, v128.load(x + (<usize>i << 2), 16))
      }
      result = sum4(f32x4.add(s, t))
      for (; i < n; i++) result += load<f32>(x + (<usize>i << 2))
    }
    store<f32>(argP(1) + (<usize>r << 2), result)
  }
}

/** Sums over rows, some columns a task. 0 x  1 out  2 rows  3 columns  4 columns a task (a multiple of 4) */
export function sumColumns(task: i32): void {
  const columns = argI(3)
  const from = task * argI(4)
  const to = min(from + argI(4), columns)
  for (let c = from; c < to; c += 4) {
    if (c + 4 <= to) {
      let s = f32x4.splat(0)
      for (let r: i32 = 0; r < argI(2); r++) s = f32x4.add(s, v128.load(argP(0) + ((<usize>r * <usize>columns + <usize>c) << 2)))
      v128.store(argP(1) + (<usize>c << 2), s)
    } else {
      for (let e = c; e < to; e++) {
        let s: f32 = 0
        for (let r: i32 = 0; r < argI(2); r++) s += load<f32>(argP(0) + ((<usize>r * <usize>columns + <usize>e) << 2))
        store<f32>(argP(1) + (<usize>e << 2), s)
      }
    }
  }
}

/** Softmax over the last axis. 0 x  1 out  2 rows  3 n  4 rows a task */
export function softmax(task: i32): void {
  const n = argI(3)
  for (let r = firstRow(task, argI(4)); r < min(argI(2), (task + 1) * argI(4)); r++) {
    const x = argP(0) + ((<usize>r * <usize>n) << 2)
    const out = argP(1) + ((<usize>r * <usize>n) << 2)
    let most: f32 = f32.NEGATIVE_INFINITY
    for (let i: i32 = 0; i < n; i++) most = max(most, load<f32>(x + (<usize>i << 2)))
    let s = f32x4.splat(0)
    let i: i32 = 0
    for (; i + 4 <= n; i += 4) {
      const e = exp4(f32x4.sub(v128.load(x + (<usize>i << 2)), f32x4.splat(most)))
      v128.store(out + (<usize>i << 2), e)
      s = f32x4.add(s, e)
    }
    let total = sum4(s)
    for (; i < n; i++) {
      const e = exp1(load<f32>(x + (<usize>i << 2)) - most)
      store<f32>(out + (<usize>i << 2), e)
      total += e
    }
    const inverse = f32(1) / total
    for (i = 0; i + 4 <= n; i += 4) v128.store(out + (<usize>i << 2), f32x4.mul(f32x4.splat(inverse), v128.load(out + (<usize>i << 2))))
    for (; i < n; i++) store<f32>(out + (<usize>i << 2), inverse * load<f32>(out + (<usize>i << 2)))
  }
}
