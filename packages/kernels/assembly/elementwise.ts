import { argF, argI, argP } from './control'
import { exp4, sigmoid4, tanh4 } from './exp'
import { madd } from './madd'

/** Numbers a task. */
const CHUNK: i32 = 16384

// Blocks hold 64 bytes more than was asked for, so a last, partial group of eight may be read and written past the end.

/** exp4 without its cap: right up to float32's largest number, infinite past it. */
// @ts-ignore: decorator
@inline function wholeExp(x: v128): v128 {
  const large = f32x4.gt(x, f32x4.splat(88))
  const e = exp4(v128.bitselect(f32x4.sub(x, f32x4.splat(1)), x, large))
  return f32x4.mul(e, v128.bitselect(f32x4.splat(Mathf.E), f32x4.splat(1), large))
}

// @ts-ignore: decorator
@inline function unary4(op: i32, x: v128): v128 {
  switch (op) {
    case 0: return wholeExp(x)
    case 1: return sigmoid4(x)
    case 2: return tanh4(x)
    case 3: return f32x4.sqrt(x)
    case 4: return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
    case 5: return f32x4.mul(x, x)
    case 6: return f32x4.neg(x)
    default: return f32x4.max(x, f32x4.splat(0))
  }
}

/** 0 op  1 x  2 out  3 count */
export function unary(task: i32): void {
  const op = argI(0)
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(3))
  const x = argP(1)
  const out = argP(2)
  for (let i = from; i < to; i += 8) {
    const at = <usize>i << 2
    const a = unary4(op, v128.load(x + at))
    const b = unary4(op, v128.load(x + at, 16))
    v128.store(out + at, a)
    v128.store(out + at, b, 16)
  }
}

// @ts-ignore: decorator
@inline function binary4(op: i32, a: v128, b: v128): v128 {
  switch (op) {
    case 0: return f32x4.add(a, b)
    case 1: return f32x4.sub(a, b)
    case 2: return f32x4.mul(a, b)
    default: return f32x4.div(a, b)
  }
}

/** Both operands of one shape. 0 op  1 a  2 b  3 out  4 count */
export function binary(task: i32): void {
  const op = argI(0)
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(4))
  const a = argP(1)
  const b = argP(2)
  const out = argP(3)
  for (let i = from; i < to; i += 8) {
    const at = <usize>i << 2
    const p = binary4(op, v128.load(a + at), v128.load(b + at))
    const q = binary4(op, v128.load(a + at, 16), v128.load(b + at, 16))
    v128.store(out + at, p)
    v128.store(out + at, q, 16)
  }
}

/** One operand is a single number. 0 op  1 a  2 b's value  3 out  4 count  5 the number comes first */
export function binaryScalar(task: i32): void {
  const op = argI(0)
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(4))
  const a = argP(1)
  const b = f32x4.splat(argF(2))
  const out = argP(3)
  const first = argI(5) != 0
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2
    const x = v128.load(a + at)
    v128.store(out + at, first ? binary4(op, b, x) : binary4(op, x, b))
  }
}

/** b is one number a row of a (by == 0) or one row for all (by == 1). 0 op  1 a  2 b  3 out  4 rows  5 columns  6 by  7 rows a task  8 swapped */
export function binaryRows(task: i32): void {
  const op = argI(0)
  const columns = argI(5)
  const perTask = argI(7)
  const byRow = argI(6) == 0
  const swapped = argI(8) != 0
  for (let r = task * perTask; r < min((task + 1) * perTask, argI(4)); r++) {
    const a = argP(1) + ((<usize>r * <usize>columns) << 2)
    const out = argP(3) + ((<usize>r * <usize>columns) << 2)
    const one = byRow ? load<f32>(argP(2) + (<usize>r << 2)) : 0
    let i: i32 = 0
    for (; i + 4 <= columns; i += 4) {
      const at = <usize>i << 2
      const x = v128.load(a + at)
      const y = byRow ? f32x4.splat(one) : v128.load(argP(2) + at)
      v128.store(out + at, swapped ? binary4(op, y, x) : binary4(op, x, y))
    }
    for (; i < columns; i++) {
      const at = <usize>i << 2
      const x = f32x4.splat(load<f32>(a + at))
      const y = f32x4.splat(byRow ? one : load<f32>(argP(2) + at))
      store<f32>(out + at, f32x4.extract_lane(swapped ? binary4(op, y, x) : binary4(op, x, y), 0))
    }
  }
}

/** torch.optim.AdamW in place. 0 p  1 m  2 v  3 g  4 count  5 beta1  6 beta2  7 eps  8 1 - lr·decay  9 lr / (1 - beta1^t)  10 1 / √(1 - beta2^t)  11 factor on g */
export function adamw(task: i32): void {
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(4))
  const p = argP(0)
  const m = argP(1)
  const v = argP(2)
  const g = argP(3)
  const b1 = f32x4.splat(argF(5))
  const b2 = f32x4.splat(argF(6))
  const c1 = f32x4.splat(f32(1 - load<f64>(2048 + 5 * 8)))
  const c2 = f32x4.splat(f32(1 - load<f64>(2048 + 6 * 8)))
  const eps = f32x4.splat(argF(7))
  const decay = f32x4.splat(argF(8))
  const rate = f32x4.splat(argF(9))
  const root = f32x4.splat(argF(10))
  const factor = f32x4.splat(argF(11))
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2
    const grad = f32x4.mul(v128.load(g + at), factor)
    const m1 = f32x4.add(f32x4.mul(b1, v128.load(m + at)), f32x4.mul(c1, grad))
    const v1 = f32x4.add(f32x4.mul(b2, v128.load(v + at)), f32x4.mul(c2, f32x4.mul(grad, grad)))
    const step = f32x4.div(f32x4.mul(rate, m1), f32x4.add(f32x4.mul(f32x4.sqrt(v1), root), eps))
    v128.store(m + at, m1)
    v128.store(v + at, v1)
    v128.store(p + at, f32x4.sub(f32x4.mul(decay, v128.load(p + at)), step))
  }
}

/** 0 x  1 out  2 count  3 seed  4 stream  5 threshold  6 scale. The hash is that of tensor/src/dropout.ts. */
export function dropout(task: i32): void {
  const from = task * CHUNK
  const to = min(from + CHUNK, argI(2))
  const seed = u32(load<f64>(2048 + 3 * 8))
  const stream = u32(load<f64>(2048 + 4 * 8))
  const threshold = u32(load<f64>(2048 + 5 * 8))
  const key = i32x4.splat(i32(seed * 0x85ebca77 ^ stream))
  const scale = f32x4.splat(argF(6))
  // Unsigned compare by way of the sign bit.
  const flip = i32x4.splat(0x80000000)
  const bar = v128.xor(i32x4.splat(i32(threshold)), flip)
  const steps = i32x4(0, 1, 2, 3)
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2
    let h = v128.xor(i32x4.mul(i32x4.add(i32x4.splat(i), steps), i32x4.splat(0x9e3779b1)), key)
    h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 16)), i32x4.splat(0x7feb352d))
    h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 15)), i32x4.splat(0x846ca68b))
    h = v128.xor(h, i32x4.shr_u(h, 16))
    const lives = i32x4.ge_s(v128.xor(h, flip), bar)
    v128.store(argP(1) + at, v128.and(lives, f32x4.mul(scale, v128.load(argP(0) + at))))
  }
}
