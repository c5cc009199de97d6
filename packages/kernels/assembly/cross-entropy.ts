import { argI, argP, scratchOf } from './control'
import { dequantRow, rowBytes } from './dequant'
import { exp1, exp4, max4, sum4 } from './exp'
import { packStripB, transpose4 } from './gemm'
import { micro, microAdd, MR, NR } from './micro'

// Cross-entropy over a large vocabulary as flash attention over it: the logits never exist. Arguments:
// 0 packed hidden (panels of MR, K = d)  1 rows  2 d  3 W  4 format  5 V  6 labels (int32)  7 with gradient  8 slices
// 9 each slice's sums [slices][panels·MR][d]  10 each slice's maxima and totals [slices][panels·MR][2]  11 logits of the labels  12 nll  13 gradient [rows, d]
// 14 rows a merging task

/** Vocabulary rows a tile: whole panels in every variant. */
const TILE: i32 = 96

// @ts-ignore: decorator
@inline function up(n: i32, to: i32): i32 {
  return ((n + to - 1) / to) * to
}

/** Task: one slice of the vocabulary against every row. The number of slices is fixed, so no sum depends on the threads. */
export function crossEntropy(task: i32, thread: i32): void {
  const d = argI(2)
  const V = argI(5)
  const rows = argI(1)
  const tall = up(rows, MR)
  const perSlice = up((V + argI(8) - 1) / argI(8), TILE)
  const first = task * perSlice
  const last = min(first + perSlice, V)
  const width = up(d, NR)
  const sums = argP(9) + ((<usize>task * <usize>tall * <usize>width) << 2)
  const states = argP(10) + ((<usize>task * <usize>tall) << 3)
  for (let r: i32 = 0; r < tall; r++) {
    store<f32>(states + (<usize>r << 3), f32.NEGATIVE_INFINITY)
    store<f32>(states + (<usize>r << 3), 0, 4)
  }
  const graded = argI(7) != 0
  if (graded) memory.fill(sums, 0, (<usize>tall * <usize>width) << 2)
  const eT = scratchOf(thread)
  const eN = eT + ((<usize>TILE * <usize>d) << 2)
  const scores = eN + ((<usize>TILE * <usize>width) << 2)
  const p = scores + ((<usize>MR * <usize>TILE) << 2)
  const spare = p + ((<usize>MR * <usize>TILE) << 2)
  const bytes = rowBytes(argI(4), d)
  for (let v0 = first; v0 < last; v0 += TILE) {
    const words = min(TILE, last - v0)
    const base = argP(3) + <usize>v0 * bytes
    packStripB(argI(4), base, true, d, d, 0, words, eT, (<usize>d * <usize>NR) << 2, spare)
    if (graded) packStripB(argI(4), base, false, d, words, 0, d, eN, (<usize>words * <usize>NR) << 2, spare)
    for (let m: i32 = 0; m < rows; m += MR) {
      const a = argP(0) + ((<usize>m * <usize>d) << 2)
      for (let n: i32 = 0; n < words; n += NR) micro(d, a, eT + ((<usize>n * <usize>d) << 2), scores + (<usize>n << 2), <usize>TILE << 2)
      for (let r: i32 = 0; r < MR; r++) {
        const row = scores + ((<usize>r * <usize>TILE) << 2)
        if (m + r < rows) takeRow(m + r, row, words, v0, states, sums, width, graded)
        else memory.fill(row, 0, <usize>words << 2)
      }
      if (!graded) continue
      // e^(score - max) as a panel: two overlapping groups of four rows.
      for (let first: i32 = 0; first <= MR - 4; first += MR - 4) {
        const row = scores + ((<usize>first * <usize>TILE) << 2)
        const ld = <usize>TILE << 2
        transpose4(row, row + ld, row + 2 * ld, row + 3 * ld, words, p + (<usize>first << 2), <usize>MR << 2)
      }
      const to = sums + ((<usize>m * <usize>width) << 2)
      for (let n: i32 = 0; n < d; n += NR) microAdd(words, p, eN + ((<usize>n * <usize>words) << 2), to + (<usize>n << 2), <usize>width << 2)
    }
  }
}

/** Folds one row's scores into its running maximum and total; the scores become e^(score - max). */
function takeRow(row: i32, scores: usize, words: i32, v0: i32, states: usize, sums: usize, width: i32, graded: bool): void {
  const label = load<i32>(argP(6) + (<usize>row << 2))
  if (label >= v0 && label < v0 + words) store<f32>(argP(11) + (<usize>row << 2), load<f32>(scores + (<usize>(label - v0) << 2)))
  // The tile's last panel holds zeros past the vocabulary's end: they must not count.
  for (let j = words; j < up(words, 4); j++) store<f32>(scores + (<usize>j << 2), f32.NEGATIVE_INFINITY)
  let m4 = f32x4.splat(f32.NEGATIVE_INFINITY)
  for (let j: i32 = 0; j < words; j += 4) m4 = f32x4.max(m4, v128.load(scores + (<usize>j << 2)))
  const state = states + (<usize>row << 3)
  const before = load<f32>(state)
  const most = max(before, max4(m4))
  if (most > before) {
    const factor = before == f32.NEGATIVE_INFINITY ? f32(0) : exp1(before - most)
    store<f32>(state, most)
    store<f32>(state, load<f32>(state, 4) * factor, 4)
    if (graded) {
      const sum = sums + ((<usize>row * <usize>width) << 2)
      for (let i: i32 = 0; i < width; i += 4) v128.store(sum + (<usize>i << 2), f32x4.mul(f32x4.splat(factor), v128.load(sum + (<usize>i << 2))))
    }
  }
  let total = f32x4.splat(0)
  let total2 = f32x4.splat(0)
  const shift = f32x4.splat(most)
  let j: i32 = 0
  for (; j + 8 <= words; j += 8) {
    const at = scores + (<usize>j << 2)
    const e = exp4(f32x4.sub(v128.load(at), shift))
    const f = exp4(f32x4.sub(v128.load(at, 16), shift))
    v128.store(at, e)
    v128.store(at, f, 16)
    total = f32x4.add(total, e)
    total2 = f32x4.add(total2, f)
  }
  total = f32x4.add(total, total2)
  for (; j < words; j += 4) {
    const at = scores + (<usize>j << 2)
    const e = exp4(f32x4.sub(v128.load(at), shift))
    v128.store(at, e)
    total = f32x4.add(total, e)
  }
  store<f32>(state, load<f32>(state, 4) + sum4(total), 4)
}

/** Task: some rows: the slices are merged in their order, then nll = log Σ e^s - s[label] and gradient = Σ p e - e[label]. */
export function crossEntropyMerge(task: i32, thread: i32): void {
  const d = argI(2)
  const width = up(d, NR)
  const tall = up(argI(1), MR)
  const slices = argI(8)
  const buffer = scratchOf(thread)
  const bytes = rowBytes(argI(4), d)
  for (let r = task * argI(14); r < min((task + 1) * argI(14), argI(1)); r++) {
    let most: f32 = f32.NEGATIVE_INFINITY
    for (let s: i32 = 0; s < slices; s++) most = max(most, load<f32>(argP(10) + (<usize>(s * tall + r) << 3)))
    let total: f32 = 0
    for (let s: i32 = 0; s < slices; s++) {
      const state = argP(10) + (<usize>(s * tall + r) << 3)
      const m = load<f32>(state)
      if (m > f32.NEGATIVE_INFINITY) total += load<f32>(state, 4) * exp1(m - most)
    }
    store<f32>(argP(12) + (<usize>r << 2), most + f32(Math.log(f64(total))) - load<f32>(argP(11) + (<usize>r << 2)))
    if (!argI(7)) continue
    const label = load<i32>(argP(6) + (<usize>r << 2))
    dequantRow(argI(4), argP(3) + <usize>label * bytes, 0, d, buffer)
    const out = argP(13) + ((<usize>r * <usize>d) << 2)
    for (let i: i32 = 0; i < d; i++) store<f32>(out + (<usize>i << 2), -load<f32>(buffer + (<usize>i << 2)))
    for (let s: i32 = 0; s < slices; s++) {
      const m = load<f32>(argP(10) + (<usize>(s * tall + r) << 3))
      if (m == f32.NEGATIVE_INFINITY) continue
      const factor = exp1(m - most) / total
      const sum = argP(9) + ((<usize>(s * tall + r) * <usize>width) << 2)
      for (let i: i32 = 0; i < d; i++) {
        const o = <usize>i << 2
        store<f32>(out + o, load<f32>(out + o) + factor * load<f32>(sum + o))
      }
    }
  }
}

