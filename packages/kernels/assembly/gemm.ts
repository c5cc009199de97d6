import { argF, argI, argP, scratchOf } from './control'
import { dequantRow, F32, rowBytes } from './dequant'
import { madd } from './madd'
import { micro, microAdd, MR, NR } from './micro'

// C[m][n] = bias[n] + Σ over segments Σ over k of scale · A[m][k] · B[k][n]. Segments lie one after another along K in the packed
// panels, so that [x | h]·[W | B]ᵀ is one product. Arguments, float64 each:
//  0 M  1 N  2 C  3 ldc  4 accumulate  5 bias  6 C's batch stride  7 packed A  8 K of all segments  9 segments
// 10 strips  11 chunks of rows  12 panels a chunk  13 panels of A  14 panels a packing task  15 packing tasks a batch
// 16 + 12 s: A, its row stride, its column stride, K, B, B's format, B stored [n][k], its leading dimension, A's batch stride,
//            B's batch stride, scale of A. All strides in numbers.
const SEGMENTS: i32 = 16
const WIDTH: i32 = 12
/** Columns a strip: whole blocks of 32 and whole panels. */
const STRIP: i32 = 64

/** Four rows side by side, transposed into out[k][0..3] with `stride` bytes from k to k + 1. */
export function transpose4(r0: usize, r1: usize, r2: usize, r3: usize, k: i32, out: usize, stride: usize): void {
  let i: i32 = 0
  for (; i + 4 <= k; i += 4) {
    const at = <usize>i << 2
    const a = v128.load(r0 + at)
    const b = v128.load(r1 + at)
    const c = v128.load(r2 + at)
    const d = v128.load(r3 + at)
    const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5)
    const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7)
    const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
    const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(out, v128.shuffle<f64>(ab0, cd0, 0, 2))
    v128.store(out + stride, v128.shuffle<f64>(ab0, cd0, 1, 3))
    v128.store(out + 2 * stride, v128.shuffle<f64>(ab1, cd1, 0, 2))
    v128.store(out + 3 * stride, v128.shuffle<f64>(ab1, cd1, 1, 3))
    out += 4 * stride
  }
  for (; i < k; i++) {
    const at = <usize>i << 2
    store<f32>(out, load<f32>(r0 + at))
    store<f32>(out, load<f32>(r1 + at), 4)
    store<f32>(out, load<f32>(r2 + at), 8)
    store<f32>(out, load<f32>(r3 + at), 12)
    out += stride
  }
}

export function scalePanel(p: usize, count: i32, scale: f32): void {
  const s = f32x4.splat(scale)
  let i: i32 = 0
  for (; i + 4 <= count; i += 4) v128.store(p + (<usize>i << 2), f32x4.mul(s, v128.load(p + (<usize>i << 2))))
  for (; i < count; i++) store<f32>(p + (<usize>i << 2), scale * load<f32>(p + (<usize>i << 2)))
}

/** One panel of MR rows from row m0 on, all segments; rows past the end repeat the last one and are never stored. */
function packPanelA(batch: i32, m0: i32, rows: i32, out: usize): void {
  const segments = argI(9)
  for (let s: i32 = 0; s < segments; s++) {
    const at = SEGMENTS + s * WIDTH
    const rs = argP(at + 1) << 2
    const cs = argP(at + 2) << 2
    const k = argI(at + 3)
    const scale = argF(at + 10)
    const base = argP(at) + ((<usize>batch * argP(at + 8)) << 2)
    if (cs == 4) {
      // Two overlapping groups of four cover five or six rows.
      for (let g: i32 = 0; g < 2; g++) {
        const first = g * (MR - 4)
        const r0 = base + <usize>min(m0 + first, rows - 1) * rs
        const r1 = base + <usize>min(m0 + first + 1, rows - 1) * rs
        const r2 = base + <usize>min(m0 + first + 2, rows - 1) * rs
        const r3 = base + <usize>min(m0 + first + 3, rows - 1) * rs
        transpose4(r0, r1, r2, r3, k, out + (<usize>first << 2), <usize>MR << 2)
      }
    } else if (rs == 4 && m0 + MR <= rows) {
      let from = base + (<usize>m0 << 2)
      let to = out
      for (let i: i32 = 0; i < k; i++) {
        v128.store(to, v128.load(from))
        v128.store(to + (<usize>(MR - 4) << 2), v128.load(from + (<usize>(MR - 4) << 2)))
        from += cs
        to += <usize>MR << 2
      }
    } else {
      for (let r: i32 = 0; r < MR; r++) {
        let from = base + <usize>min(m0 + r, rows - 1) * rs
        let to = out + (<usize>r << 2)
        for (let i: i32 = 0; i < k; i++) {
          store<f32>(to, load<f32>(from))
          from += cs
          to += <usize>MR << 2
        }
      }
    }
    if (scale != 1) scalePanel(out, k * MR, scale)
    out += (<usize>k * <usize>MR) << 2
  }
}

/** Task: some panels of one batch's A. */
export function packA(task: i32): void {
  const perBatch = argI(15)
  const panels = argI(13)
  const perTask = argI(14)
  const batch = task / perBatch
  const first = (task % perBatch) * perTask
  const bytes = (argP(8) * <usize>MR) << 2
  const out = argP(7) + <usize>batch * <usize>panels * bytes
  const rows = argI(0)
  for (let p = first; p < min(first + perTask, panels); p++) packPanelA(batch, p * MR, rows, out + <usize>p * bytes)
}

/** The strip of B that starts at column n0, panel after panel of NR columns, each [K][NR]; columns past the end are zero. */
export function packStripB(format: i32, base: usize, byRows: bool, ld: i32, k: i32, n0: i32, columns: i32, out: usize, panelBytes: usize, spare: usize): void {
  const bytes = rowBytes(format, ld)
  const panels = (columns + NR - 1) / NR
  if (byRows) {
    const zero = spare
    memory.fill(zero, 0, <usize>k << 2)
    const rows = spare + (<usize>k << 2)
    for (let j: i32 = 0; j < panels * NR; j += 4) {
      const to = out + <usize>(j / NR) * panelBytes + (<usize>(j % NR) << 2)
      const r0 = rowAt(format, base, bytes, n0, j, columns, k, rows, zero)
      const r1 = rowAt(format, base, bytes, n0, j + 1, columns, k, rows + (<usize>k << 2), zero)
      const r2 = rowAt(format, base, bytes, n0, j + 2, columns, k, rows + (<usize>k << 3), zero)
      const r3 = rowAt(format, base, bytes, n0, j + 3, columns, k, rows + <usize>k * 12, zero)
      transpose4(r0, r1, r2, r3, k, to, <usize>NR << 2)
    }
    return
  }
  const full = panels * NR
  for (let i: i32 = 0; i < k; i++) {
    let from = base + <usize>i * bytes + (<usize>n0 << 2)
    if (format != F32 || full != columns) {
      // Blocks are read whole: the buffer has room for them.
      dequantRow(format, base + <usize>i * bytes, n0, format > 2 ? (columns + 31) & ~31 : columns, spare)
      if (full != columns) memory.fill(spare + (<usize>columns << 2), 0, <usize>(full - columns) << 2)
      from = spare
    }
    let to = out + ((<usize>i * <usize>NR) << 2)
    for (let p: i32 = 0; p < panels; p++) {
      for (let v: usize = 0; v < <usize>NR << 2; v += 16) v128.store(to + v, v128.load(from + v))
      from += <usize>NR << 2
      to += panelBytes
    }
  }
}

function rowAt(format: i32, base: usize, bytes: usize, n0: i32, j: i32, columns: i32, k: i32, buffer: usize, zero: usize): usize {
  if (j >= columns) return zero
  const row = base + <usize>(n0 + j) * bytes
  if (format == F32) return row
  dequantRow(format, row, 0, k, buffer)
  return buffer
}

/** Task: one strip of columns for one chunk of rows of one batch. */
export function gemm(task: i32, thread: i32): void {
  const strips = argI(10)
  const chunks = argI(11)
  const strip = task % strips
  const chunk = (task / strips) % chunks
  const batch = task / (strips * chunks)
  const n = argI(1)
  const n0 = strip * STRIP
  const columns = min(STRIP, n - n0)
  const k = argI(8)
  const panelBytes = (<usize>k * <usize>NR) << 2
  const b = scratchOf(thread)
  const bias = b + ((<usize>k * <usize>STRIP) << 2)
  const tile = bias + (<usize>STRIP << 2)
  const spare = tile + 512
  packSegmentsB(batch, n0, columns, b, panelBytes, spare)
  const biasFrom = argP(5)
  if (biasFrom) {
    memory.fill(bias, 0, <usize>STRIP << 2)
    memory.copy(bias, biasFrom + (<usize>n0 << 2), <usize>columns << 2)
  }
  const first = chunk * argI(12)
  const last = min(first + argI(12), argI(13))
  const a = argP(7) + <usize>batch * <usize>argI(13) * ((<usize>k * <usize>MR) << 2)
  const c = argP(2) + ((<usize>batch * argP(6)) << 2)
  for (let p = first; p < last; p++) rowOfTiles(k, a + <usize>p * ((<usize>k * <usize>MR) << 2), b, c, p * MR, n0, columns, biasFrom ? bias : 0, tile)
}

function packSegmentsB(batch: i32, n0: i32, columns: i32, out: usize, panelBytes: usize, spare: usize): void {
  const segments = argI(9)
  for (let s: i32 = 0; s < segments; s++) {
    const at = SEGMENTS + s * WIDTH
    const k = argI(at + 3)
    const base = argP(at + 4) + ((<usize>batch * argP(at + 9)) << 2)
    packStripB(argI(at + 5), base, argI(at + 6) != 0, argI(at + 7), k, n0, columns, out, panelBytes, spare)
    out += (<usize>k * <usize>NR) << 2
  }
}

/** One panel of A against every panel of the strip. Tiles that stick out go through a small one of their own. */
function rowOfTiles(k: i32, a: usize, b: usize, c: usize, m0: i32, n0: i32, columns: i32, bias: usize, tile: usize): void {
  const ldc = argP(3) << 2
  const accumulate = argI(4) != 0
  const rows = min(MR, argI(0) - m0)
  for (let j: i32 = 0; j < columns; j += NR) {
    const panel = b + ((<usize>j * <usize>k) << 2)
    const at = c + <usize>m0 * ldc + (<usize>(n0 + j) << 2)
    const width = min(NR, columns - j)
    if (rows == MR && width == NR) {
      // A bias is what the tile starts from.
      if (bias) for (let r: i32 = 0; r < MR; r++) memory.copy(at + <usize>r * ldc, bias + (<usize>j << 2), <usize>NR << 2)
      if (bias || accumulate) microAdd(k, a, panel, at, ldc)
      else micro(k, a, panel, at, ldc)
      continue
    }
    micro(k, a, panel, tile, <usize>NR << 2)
    for (let r: i32 = 0; r < rows; r++)
      for (let v: i32 = 0; v < width; v++) {
        const to = at + <usize>r * ldc + (<usize>v << 2)
        const value = load<f32>(tile + (<usize>(r * NR + v) << 2)) + (bias ? load<f32>(bias + (<usize>(j + v) << 2)) : 0)
        store<f32>(to, accumulate ? load<f32>(to) + value : value)
      }
  }
}

/** Σ x[i] · w[i] with four accumulators. */
function dot(x: usize, w: usize, k: i32): f32 {
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let s2 = f32x4.splat(0)
  let s3 = f32x4.splat(0)
  let i: i32 = 0
  for (; i + 16 <= k; i += 16) {
    const at = <usize>i << 2
    s0 = madd(v128.load(x + at), v128.load(w + at), s0)
    s1 = madd(v128.load(x + at, 16), v128.load(w + at, 16), s1)
    s2 = madd(v128.load(x + at, 32), v128.load(w + at, 32), s2)
    s3 = madd(v128.load(x + at, 48), v128.load(w + at, 48), s3)
  }
  const s = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))
  let sum = f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1) + (f32x4.extract_lane(s, 2) + f32x4.extract_lane(s, 3))
  for (; i < k; i++) sum += load<f32>(x + (<usize>i << 2)) * load<f32>(w + (<usize>i << 2))
  return sum
}

/** Task: 64 output columns of a product of a few rows with a weight stored [n][k]: each weight row is unpacked once.
 *  0 M  1 N  2 C  3 ldc  5 bias  16 A  17 its row stride  19 K  20 W  21 format */
export function gemv(task: i32, thread: i32): void {
  const n0 = task * STRIP
  const n1 = min(n0 + STRIP, argI(1))
  const m = argI(0)
  const k = argI(19)
  const format = argI(21)
  const bytes = rowBytes(format, k)
  const bias = argP(5)
  const buffer = scratchOf(thread)
  for (let n = n0; n < n1; n++) {
    let row = argP(20) + <usize>n * bytes
    if (format != F32) {
      dequantRow(format, row, 0, k, buffer)
      row = buffer
    }
    const b: f32 = bias ? load<f32>(bias + (<usize>n << 2)) : 0
    for (let i: i32 = 0; i < m; i++) {
      const x = argP(16) + ((<usize>i * argP(17)) << 2)
      store<f32>(argP(2) + ((<usize>i * argP(3) + <usize>n) << 2), b + dot(x, row, k))
    }
  }
}

/** Task: 16 rows of a gather. 0 ids (int32)  1 count  2 W  3 format  4 cols  5 out */
export function gatherRows(task: i32): void {
  const cols = argI(4)
  const format = argI(3)
  const bytes = rowBytes(format, cols)
  for (let i = task * 16; i < min(task * 16 + 16, argI(1)); i++) {
    const id = load<i32>(argP(0) + (<usize>i << 2))
    dequantRow(format, argP(2) + <usize>id * bytes, 0, cols, argP(5) + ((<usize>i * <usize>cols) << 2))
  }
}
