import { argF, argI, argP, scratchOf } from './control'
import { exp4, sum4, tanh4 } from './exp'
import { F32 } from './dequant'
import { packStripB, scalePanel, transpose4 } from './gemm'
import { madd } from './madd'
import { micro, microAdd, MR, NR } from './micro'

// Attention with grouped heads over [B, T, H, D]. One head's scores exist for a block of queries at a time, never for the batch.
// Arguments: 0 q  1 k  2 v  3 out  4 lse [B, H, T]  5 query segments  6 key segments  7 B  8 T  9 S  10 H  11 Hkv  12 D  13 scale
// 14 causal  15 open  16 S - open - T (the queries' offset)  17 all segments are 0  18 window (0: none)
// 19 query positions [B, T]  20 key positions [B, S - open], both read where there is a window  21 cap (0: none)
// backward: 22 dout  23 dq  24 dk  25 dv

/** Queries a block: a multiple of the tile's rows in every variant (6 and 5). */
const BLOCK: i32 = 90

// @ts-ignore: decorator
@inline function up(n: i32, to: i32): i32 {
  return ((n + to - 1) / to) * to
}

/** Keys that the block's last query may see at most, in whole panels. */
function keysFor(last: i32, keys: i32): i32 {
  const seen = argI(14) ? max(argI(15), min(keys, last + 1 + argI(16) + argI(15))) : keys
  return up(min(keys, seen), NR)
}

/** Rows of A in panels of MR: `rows` of them from `base`, k numbers each, `stride` bytes apart. */
function packRows(base: usize, stride: usize, rows: i32, k: i32, out: usize, scale: f32): void {
  for (let m: i32 = 0; m < rows; m += MR) {
    for (let g: i32 = 0; g < 2; g++) {
      const first = g * (MR - 4)
      const r0 = base + <usize>min(m + first, rows - 1) * stride
      const r1 = base + <usize>min(m + first + 1, rows - 1) * stride
      const r2 = base + <usize>min(m + first + 2, rows - 1) * stride
      const r3 = base + <usize>min(m + first + 3, rows - 1) * stride
      transpose4(r0, r1, r2, r3, k, out + (<usize>first << 2), <usize>MR << 2)
    }
    if (scale != 1) {
      scalePanel(out, k * MR, scale)
    }
    out += (<usize>k * <usize>MR) << 2
  }
}

/** Columns of a row-major block as panels: A[m][k] = block[k][m]. `columns` is a multiple of MR's panels within the row. */
function packColumns(block: usize, stride: usize, columns: i32, k: i32, out: usize): void {
  for (let m: i32 = 0; m < columns; m += MR) {
    let from = block + (<usize>m << 2)
    for (let i: i32 = 0; i < k; i++) {
      v128.store(out, v128.load(from))
      v128.store(out + (<usize>(MR - 4) << 2), v128.load(from + (<usize>(MR - 4) << 2)))
      from += stride
      out += <usize>MR << 2
    }
  }
}

/** All tiles of A [rows] against B [columns], both packed; whole tiles are written, so C has room for them. */
function tiles(k: i32, a: usize, rows: i32, b: usize, bK: i32, columns: i32, c: usize, ldc: usize, accumulate: bool): void {
  for (let m: i32 = 0; m < rows; m += MR) {
    for (let n: i32 = 0; n < columns; n += NR) {
      const panel = b + ((<usize>n * <usize>bK) << 2)
      const to = c + <usize>m * ldc + (<usize>n << 2)
      if (accumulate) microAdd(k, a, panel, to, ldc)
      else micro(k, a, panel, to, ldc)
    }
    a += (<usize>k * <usize>MR) << 2
  }
}

/** Scores that a query may not see become -infinity. */
function maskRow(row: usize, query: i32, batch: i32, keys: i32, padded: i32): void {
  const limit = argI(14) ? query + argI(16) + argI(15) : keys
  const open = argI(15)
  const lowest = f32x4.splat(f32.NEGATIVE_INFINITY)
  const steps = i32x4(0, 1, 2, 3)
  const simple = argI(17) != 0
  const segment = simple ? 0 : load<i32>(argP(5) + (<usize>(batch * argI(8) + query) << 2))
  const segments = argP(6) + ((<usize>batch * <usize>keys) << 2)
  const everything = i32x4.splat(segment == -1 ? -1 : 0)
  const window = argI(18)
  const keyPositions = argP(20) + (<usize>(batch * (keys - open)) << 2) - (<usize>open << 2)
  const position = window > 0 ? load<i32>(argP(19) + (<usize>(batch * argI(8) + query) << 2)) : 0
  for (let j: i32 = simple && window == 0 ? max(0, (min(limit, keys) & ~3) - 4) : 0; j < padded; j += 4) {
    const at = <usize>j << 2
    const key = i32x4.add(i32x4.splat(j), steps)
    let seen = i32x4.le_s(key, i32x4.splat(limit))
    if (window > 0) {
      // What is read in front of the first position belongs to open keys, which are seen anyway.
      const distance = i32x4.sub(i32x4.splat(position), v128.load(keyPositions + at))
      seen = v128.and(seen, i32x4.lt_s(distance, i32x4.splat(window)))
    }
    seen = v128.or(seen, i32x4.lt_s(key, i32x4.splat(open)))
    seen = v128.and(seen, i32x4.lt_s(key, i32x4.splat(keys)))
    if (!simple) {
      const s = v128.load(segments + at)
      const same = v128.or(v128.or(i32x4.eq(s, i32x4.splat(segment)), i32x4.eq(s, i32x4.splat(-1))), everything)
      seen = v128.and(seen, v128.and(same, i32x4.ne(s, i32x4.splat(-2))))
    }
    v128.store(row + at, v128.bitselect(v128.load(row + at), lowest, seen))
  }
}

/** Scores s become cap · tanh(s / cap). */
function capRow(row: usize, padded: i32, cap: f32): void {
  const c = f32x4.splat(cap)
  for (let j: i32 = 0; j < padded; j += 4) {
    const at = row + (<usize>j << 2)
    v128.store(at, f32x4.mul(c, tanh4(f32x4.div(v128.load(at), c))))
  }
}

/** The slope of the cap at a capped score: 1 - (s / cap)²; 0 where nothing is seen. */
// @ts-ignore: decorator
@inline function slope4(s: v128, c: v128): v128 {
  const one = f32x4.splat(1)
  const t = f32x4.max(f32x4.div(s, c), f32x4.neg(one))
  return f32x4.sub(one, f32x4.mul(t, t))
}

/** Scores of a block -> probabilities in place; returns nothing, writes lse. A row that sees nothing becomes zeros. */
function softmaxRow(row: usize, padded: i32, lse: usize): void {
  let m4 = f32x4.splat(f32.NEGATIVE_INFINITY)
  for (let j: i32 = 0; j < padded; j += 4) m4 = f32x4.max(m4, v128.load(row + (<usize>j << 2)))
  const most = max(max(f32x4.extract_lane(m4, 0), f32x4.extract_lane(m4, 1)), max(f32x4.extract_lane(m4, 2), f32x4.extract_lane(m4, 3)))
  if (most == f32.NEGATIVE_INFINITY) {
    memory.fill(row, 0, <usize>padded << 2)
    store<f32>(lse, f32.POSITIVE_INFINITY)
    return
  }
  // Summed in float64, where the order hardly ever tells: unseen keys in front of the others then change no bit of the result.
  let s = f64x2.splat(0)
  let t = f64x2.splat(0)
  const shift = f32x4.splat(most)
  for (let j: i32 = 0; j < padded; j += 4) {
    const at = row + (<usize>j << 2)
    const e = exp4(f32x4.sub(v128.load(at), shift))
    v128.store(at, e)
    s = f64x2.add(s, f64x2.promote_low_f32x4(e))
    t = f64x2.add(t, f64x2.promote_low_f32x4(v128.shuffle<i32>(e, e, 2, 3, 2, 3)))
  }
  const both = f64x2.add(s, t)
  const total = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1)
  const inverse = f32x4.splat(f32(1 / total))
  for (let j: i32 = 0; j < padded; j += 4) v128.store(row + (<usize>j << 2), f32x4.mul(inverse, v128.load(row + (<usize>j << 2))))
  store<f32>(lse, most + f32(Math.log(total)))
}

/** Task: one head of one row of the batch. */
export function attention(task: i32, thread: i32): void {
  const T = argI(8)
  const S = argI(9)
  const H = argI(10)
  const D = argI(12)
  const b = task / H
  const h = task % H
  const kv = h / (H / argI(11))
  const kvRow = argI(11) * D
  const keysAt = ((<usize>b * <usize>S * <usize>argI(11) + <usize>kv) * <usize>D) << 2
  const width = up(D, NR)
  const padded = up(S, NR)
  const kPacked = scratchOf(thread)
  const vPacked = kPacked + ((<usize>padded * <usize>D) << 2)
  const scores = vPacked + ((<usize>S * <usize>width) << 2)
  const panels = scores + ((<usize>BLOCK * <usize>padded) << 2)
  const block = panels + ((<usize>BLOCK * <usize>max(padded, D)) << 2)
  const spare = block + ((<usize>BLOCK * <usize>width) << 2)
  packStripB(F32, argP(1) + keysAt, true, kvRow, D, 0, S, kPacked, (<usize>D * <usize>NR) << 2, spare)
  packStripB(F32, argP(2) + keysAt, false, kvRow, S, 0, D, vPacked, (<usize>S * <usize>NR) << 2, spare)
  const stride = (<usize>H * <usize>D) << 2
  const ld = <usize>padded << 2
  for (let q0: i32 = 0; q0 < T; q0 += BLOCK) {
    const rows = min(BLOCK, T - q0)
    const keys = keysFor(q0 + rows - 1, S)
    const at = ((<usize>(b * T + q0) * <usize>H + <usize>h) * <usize>D) << 2
    packRows(argP(0) + at, stride, rows, D, panels, argF(13))
    tiles(D, panels, rows, kPacked, D, keys, scores, ld, false)
    for (let r: i32 = 0; r < rows; r++) {
      const row = scores + <usize>r * ld
      if (argF(21) > 0) capRow(row, keys, argF(21))
      maskRow(row, q0 + r, b, S, keys)
      softmaxRow(row, keys, argP(4) + (<usize>((b * H + h) * T + q0 + r) << 2))
    }
    const used = min(keys, S)
    packRows(scores, ld, rows, used, panels, 1)
    tiles(used, panels, rows, vPacked, S, width, block, <usize>width << 2, false)
    for (let r: i32 = 0; r < rows; r++) memory.copy(argP(3) + at + <usize>r * stride, block + ((<usize>r * <usize>width) << 2), <usize>D << 2)
  }
}

/** Task: one key head of one row of the batch, with all its query heads, so that dk and dv have one writer. */
export function attentionBack(task: i32, thread: i32): void {
  const T = argI(8)
  const S = argI(9)
  const H = argI(10)
  const Hkv = argI(11)
  const D = argI(12)
  const b = task / Hkv
  const kv = task % Hkv
  const group = H / Hkv
  const kvRow = Hkv * D
  const keysAt = ((<usize>b * <usize>S * <usize>Hkv + <usize>kv) * <usize>D) << 2
  const width = up(D, NR)
  const padded = up(S, NR)
  // dk and dv are gathered with whole tiles of rows and columns.
  const tall = up(padded, MR) + MR
  const kT = scratchOf(thread)
  const vT = kT + ((<usize>padded * <usize>D) << 2)
  const kN = vT + ((<usize>padded * <usize>D) << 2)
  const p = kN + ((<usize>S * <usize>width) << 2)
  const ds = p + ((<usize>(BLOCK + MR) * <usize>tall) << 2)
  const panels = ds + ((<usize>(BLOCK + MR) * <usize>tall) << 2)
  const qN = panels + ((<usize>tall * <usize>max(BLOCK, D) + <usize>BLOCK * <usize>tall) << 2)
  const oN = qN + ((<usize>BLOCK * <usize>width) << 2)
  const block = oN + ((<usize>BLOCK * <usize>width) << 2)
  const dkAll = block + ((<usize>BLOCK * <usize>width) << 2)
  const dvAll = dkAll + ((<usize>tall * <usize>width) << 2)
  const spare = dvAll + ((<usize>tall * <usize>width) << 2)
  packStripB(F32, argP(1) + keysAt, true, kvRow, D, 0, S, kT, (<usize>D * <usize>NR) << 2, spare)
  packStripB(F32, argP(2) + keysAt, true, kvRow, D, 0, S, vT, (<usize>D * <usize>NR) << 2, spare)
  packStripB(F32, argP(1) + keysAt, false, kvRow, S, 0, D, kN, (<usize>S * <usize>NR) << 2, spare)
  memory.fill(dkAll, 0, (<usize>tall * <usize>width) << 3)
  const stride = (<usize>H * <usize>D) << 2
  const ld = <usize>tall << 2
  const scale = argF(13)
  const cap = argF(21)
  for (let g: i32 = 0; g < group; g++) {
    const h = kv * group + g
    for (let q0: i32 = 0; q0 < T; q0 += BLOCK) {
      const rows = min(BLOCK, T - q0)
      const keys = keysFor(q0 + rows - 1, S)
      const at = ((<usize>(b * T + q0) * <usize>H + <usize>h) * <usize>D) << 2
      packRows(argP(0) + at, stride, rows, D, panels, scale)
      tiles(D, panels, rows, kT, D, keys, p, ld, false)
      packRows(argP(22) + at, stride, rows, D, panels, 1)
      tiles(D, panels, rows, vT, D, keys, ds, ld, false)
      for (let r: i32 = 0; r < rows; r++) {
        const row = p + <usize>r * ld
        if (cap > 0) capRow(row, keys, cap)
        maskRow(row, q0 + r, b, S, keys)
        const rowAt = at + <usize>r * stride
        const delta = rowDot(argP(22) + rowAt, argP(3) + rowAt, D)
        // Whole tiles of keys are read below; what lies past the last panel must add nothing.
        memory.fill(row + (<usize>keys << 2), 0, <usize>MR << 2)
        memory.fill(ds + <usize>r * ld + (<usize>keys << 2), 0, <usize>MR << 2)
        gradRow(row, ds + <usize>r * ld, keys, load<f32>(argP(4) + (<usize>((b * H + h) * T + q0 + r) << 2)), delta, scale, cap)
      }
      const used = min(keys, S)
      // dq = ds · k
      packRows(ds, ld, rows, used, panels, 1)
      tiles(used, panels, rows, kN, S, width, block, <usize>width << 2, false)
      for (let r: i32 = 0; r < rows; r++) memory.copy(argP(23) + at + <usize>r * stride, block + ((<usize>r * <usize>width) << 2), <usize>D << 2)
      // dk += dsᵀ · q, dv += pᵀ · dout
      packStripB(F32, argP(0) + at, false, H * D, rows, 0, D, qN, (<usize>rows * <usize>NR) << 2, spare)
      packStripB(F32, argP(22) + at, false, H * D, rows, 0, D, oN, (<usize>rows * <usize>NR) << 2, spare)
      packColumns(ds, ld, keys, rows, panels)
      tiles(rows, panels, keys, qN, rows, width, dkAll, <usize>width << 2, true)
      packColumns(p, ld, keys, rows, panels)
      tiles(rows, panels, keys, oN, rows, width, dvAll, <usize>width << 2, true)
    }
  }
  for (let j: i32 = 0; j < S; j++) {
    const to = keysAt + ((<usize>j * <usize>kvRow) << 2)
    memory.copy(argP(24) + to, dkAll + ((<usize>j * <usize>width) << 2), <usize>D << 2)
    memory.copy(argP(25) + to, dvAll + ((<usize>j * <usize>width) << 2), <usize>D << 2)
  }
}

function rowDot(a: usize, b: usize, n: i32): f32 {
  let s = f32x4.splat(0)
  let i: i32 = 0
  for (; i + 4 <= n; i += 4) s = madd(v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2)), s)
  let sum = sum4(s)
  for (; i < n; i++) sum += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2))
  return sum
}

/** p = e^(score - lse); ds = p (dp - delta) · scale, by a cap's slope where there is one; both in place. */
function gradRow(p: usize, ds: usize, keys: i32, lse: f32, delta: f32, scale: f32, cap: f32): void {
  const c = f32x4.splat(cap)
  const l = f32x4.splat(lse)
  const d = f32x4.splat(delta)
  const s = f32x4.splat(scale)
  for (let j: i32 = 0; j < keys; j += 8) {
    const at = <usize>j << 2
    const e = exp4(f32x4.sub(v128.load(p + at), l))
    const f = exp4(f32x4.sub(v128.load(p + at, 16), l))
    let x = f32x4.mul(f32x4.mul(e, f32x4.sub(v128.load(ds + at), d)), s)
    let y = f32x4.mul(f32x4.mul(f, f32x4.sub(v128.load(ds + at, 16), d)), s)
    if (cap > 0) {
      x = f32x4.mul(x, slope4(v128.load(p + at), c))
      y = f32x4.mul(y, slope4(v128.load(p + at, 16), c))
    }
    v128.store(p + at, e)
    v128.store(p + at, f, 16)
    v128.store(ds + at, x)
    v128.store(ds + at, y, 16)
  }
}
