import { dropout, reshape, type Tensor } from '@graftjs/tensor'
import {
  adamw,
  attention,
  crossEntropy,
  type Format,
  formats,
  gelu,
  layerNorm,
  linear,
  residual,
  rmsNorm,
  rope,
  type StoredWeight,
  splitColumns,
  swiglu,
} from '../src/index.ts'
import { floats, ints, type Spec, sizeOf } from './support.ts'

// No import of Node's or of a test runner's here: packages/testing/portable runs this table in browsers too.

type Tensors = Record<string, Tensor>

/** Inputs go by the op's own names, so that its reference takes them as they are; `w` may be a stored weight instead. */
export interface OpCase {
  readonly op: string
  readonly name: string
  readonly inputs: Record<string, Spec>
  readonly weight?: { readonly format: Format; readonly shape: readonly [number, number] }
  readonly attrs: object
  readonly run: (t: Tensors, w: StoredWeight) => Tensor | Tensor[]
  /** The inputs whose gradient is checked. */
  readonly wrt: readonly string[]
}

/** Every op of the table, in shapes that are odd for the kernels' tiles. */
export const opCases: OpCase[] = []

opCases.push({
  op: 'GraftReshape',
  name: '2×3×5 to 6×5',
  inputs: { x: floats([2, 3, 5], 'x') },
  attrs: { shape: [6, 5], from: [2, 3, 5] },
  run: ({ x }) => reshape(x!, [-1, 5]),
  wrt: ['x'],
})

opCases.push({
  op: 'GraftResidual',
  name: '2×3×5',
  inputs: { x: floats([2, 3, 5], 'x'), y: floats([2, 3, 5], 'y') },
  attrs: {},
  run: ({ x, y }) => residual(x!, y!),
  wrt: ['x', 'y'],
})

for (const [rows, d] of [
  [1, 1],
  [5, 7],
  [33, 64],
  [3, 48],
] as const)
  opCases.push({
    op: 'GraftRmsNorm',
    name: `${rows}×${d}`,
    inputs: { x: floats([rows, d], 'x'), w: floats([d], 'w') },
    attrs: { eps: 1e-5 },
    run: ({ x, w }) => rmsNorm(x!, w!, 1e-5),
    wrt: ['x', 'w'],
  })

for (const [rows, d] of [
  [1, 3],
  [5, 7],
  [33, 64],
] as const)
  opCases.push({
    op: 'GraftLayerNorm',
    name: `${rows}×${d}`,
    inputs: { x: floats([rows, d], 'x'), w: floats([d], 'w'), b: floats([d], 'b') },
    attrs: { eps: 1e-5 },
    run: ({ x, w, b }) => layerNorm(x!, w!, b!, 1e-5),
    wrt: ['x', 'w', 'b'],
  })

for (const [rows, own, count] of [
  [5, 7, 3],
  [1, 1, 2],
  [33, 16, 1],
] as const)
  opCases.push({
    op: 'GraftSplitColumns',
    name: `${rows} rows of ${count} × ${own}`,
    inputs: { x: floats([rows, own * count], 'x') },
    attrs: { count },
    run: ({ x }) => splitColumns(x!, count),
    wrt: ['x'],
  })

for (const form of ['erf', 'tanh'] as const)
  opCases.push({
    op: 'GraftGelu',
    name: form,
    inputs: { x: floats([71, 139], 'x', 1.3) },
    attrs: { form },
    run: ({ x }) => gelu(x!, form),
    wrt: ['x'],
  })

for (const [batch, length, heads, dim] of [
  [2, 3, 3, 8],
  [1, 5, 2, 14],
  [3, 1, 1, 2],
] as const)
  opCases.push({
    op: 'GraftRope',
    name: `[${batch}, ${length}, ${heads}, ${dim}]`,
    inputs: {
      x: floats([batch, length, heads, dim], 'x'),
      positions: ints(
        [batch, length],
        Array.from({ length: batch * length }, (_, i) => (i * 7) % 20),
      ),
      cos: floats([20, dim / 2], 'cos'),
      sin: floats([20, dim / 2], 'sin'),
    },
    attrs: { sign: 1 },
    run: ({ x, positions, cos, sin }) => rope(x!, positions!, cos!, sin!),
    wrt: ['x'],
  })

for (const shape of [[5, 13], [1], [130, 127]])
  opCases.push({
    op: 'GraftSwiglu',
    name: `[${shape}]`,
    inputs: { gate: floats(shape, 'gate', 3), up: floats(shape, 'up') },
    attrs: {},
    run: ({ gate, up }) => swiglu(gate!, up!),
    wrt: ['gate', 'up'],
  })

for (const rate of [0, 0.3, 0.9])
  opCases.push({
    op: 'GraftDropout',
    name: `rate ${rate}`,
    inputs: { x: floats([37, 501], 'x') },
    attrs: { rate, seed: 0xdeadbeef, stream: 0x9e3779b9 },
    run: ({ x }) => dropout(x!, rate, 0xdeadbeef, 0x9e3779b9),
    wrt: ['x'],
  })

/** Positions from `first` on, which in every second row stand still now and then, as at padding. */
const places = ([rows, length]: readonly [number, number], first: number): Spec =>
  ints(
    [rows, length],
    Array.from({ length: rows * length }, (_, i) => {
      const place = first + (i % length)
      return i < length ? place : place - Math.floor(place / 3)
    }),
  )

/** Packed rows of two sequences, with padding (-2) and numbers that all see (-1). */
const packed = { query: [0, 0, 1, -2, 1, -1, 0], key: [0, -1, 1, -2, 0, 1, 0] }
const segments = (shape: [number, number], pattern: readonly number[]): Spec =>
  ints(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => pattern[i % pattern.length]!),
  )

for (const { B = 1, T, S, H, K, D, open = 0, causal = true, window = 0, cap = 0, query = [0], key = [0] } of [
  { B: 2, T: 5, S: 5, H: 4, K: 2, D: 8 },
  { T: 130, S: 130, H: 3, K: 1, D: 8 },
  { B: 2, T: 7, S: 7, H: 3, K: 3, D: 12, ...packed },
  { B: 2, T: 3, S: 9, H: 4, K: 1, D: 8, open: 2, ...packed },
  { T: 1, S: 33, H: 2, K: 1, D: 16 },
  { B: 2, T: 6, S: 6, H: 2, K: 1, D: 5, causal: false, ...packed },
  { B: 2, T: 4, S: 19, H: 2, K: 2, D: 3, causal: false },
  { T: 200, S: 203, H: 2, K: 2, D: 4, open: 3, ...packed },
  { T: 95, S: 97, H: 6, K: 2, D: 20, open: 2 },
  // More queries than keys: the first ones see nothing.
  { T: 9, S: 5, H: 2, K: 1, D: 8 },
  { T: 100, S: 4, H: 2, K: 1, D: 8 },
  { T: 9, S: 5, H: 2, K: 1, D: 8, open: 2 },
  { B: 2, T: 3, S: 3, H: 2, K: 2, D: 4, query: [0], key: [-2] },
  // Windows: within a block of queries and beyond one, behind open keys and a cache, on packed rows.
  { B: 2, T: 9, S: 9, H: 4, K: 2, D: 8, window: 3 },
  { T: 200, S: 203, H: 2, K: 1, D: 4, open: 3, window: 95 },
  { B: 2, T: 3, S: 12, H: 2, K: 2, D: 6, open: 1, window: 1 },
  { B: 2, T: 9, S: 9, H: 2, K: 1, D: 5, window: 2, ...packed },
  { B: 2, T: 6, S: 8, H: 4, K: 2, D: 6, cap: 1.5 },
  { T: 130, S: 132, H: 2, K: 1, D: 8, open: 2, cap: 3 },
  { B: 2, T: 9, S: 9, H: 2, K: 1, D: 5, window: 4, cap: 0.7, ...packed },
] as {
  B?: number
  T: number
  S: number
  H: number
  K: number
  D: number
  open?: number
  causal?: boolean
  window?: number
  cap?: number
  query?: number[]
  key?: number[]
}[])
  opCases.push({
    op: 'GraftAttention',
    name: `B${B} T${T} S${S} H${H}/${K} D${D} open ${open}${causal ? ' causal' : ''} window ${window} cap ${cap}, segments ${query} on ${key}`,
    inputs: {
      q: floats([B, T, H, D], 'q'),
      k: floats([B, S, K, D], 'k'),
      v: floats([B, S, K, D], 'v'),
      querySegments: segments([B, T], query),
      keySegments: segments([B, S], key),
      ...(window && { queryPositions: places([B, T], S - open - T), keyPositions: places([B, S - open], 0) }),
    },
    attrs: { scale: 0.37, causal, open, window, cap },
    run: ({ q, k, v, querySegments, keySegments, queryPositions, keyPositions }) =>
      attention(q!, k!, v!, {
        scale: 0.37,
        causal,
        open,
        window: window ? { size: window, queryPositions: queryPositions!, keyPositions: keyPositions! } : undefined,
        cap,
        querySegments: querySegments!,
        keySegments: keySegments!,
      }),
    wrt: ['q', 'k', 'v'],
  })

const stored = (format: Format, rows: number, cols: number) => ({ format, shape: [rows, cols] as const })
const storedAttrs = (format: Format, rows: number, cols: number) => ({ format, rows, cols })

for (const format of formats) {
  for (const [m, k, n, r] of [
    [7, 32, 5, 3],
    [33, 64, 70, 8],
    [3, 32, 9, 4],
    [50, 96, 130, 8],
    [1, 64, 3, 2],
  ] as const)
    opCases.push({
      op: 'GraftLinear',
      name: `${format} ${m}×${k}→${n}, bias, two factors of ${r} and 2`,
      inputs: {
        x: floats([m, k], 'x'),
        bias: floats([n], 'bias'),
        a0: floats([r, k], 'a0'),
        b0: floats([n, r], 'b0'),
        a1: floats([2, k], 'a1'),
        b1: floats([n, 2], 'b1'),
      },
      weight: stored(format, n, k),
      attrs: { ...storedAttrs(format, n, k), scales: [1.7, -0.3] },
      run: ({ x, bias, a0, b0, a1, b1 }, w) =>
        linear(x!, w, {
          bias: bias!,
          lowRank: [
            { a: a0!, b: b0!, scale: 1.7 },
            { a: a1!, b: b1!, scale: -0.3 },
          ],
        }),
      wrt: ['x', 'bias', 'a0', 'b0', 'a1', 'b1'],
    })
  for (const m of [2, 19])
    opCases.push({
      op: 'GraftLinear',
      name: `${format} ${m}×64→33, bare`,
      inputs: { x: floats([m, 64], 'x') },
      weight: stored(format, 33, 64),
      attrs: { ...storedAttrs(format, 33, 64), scales: [] },
      run: ({ x }, w) => w.matmul(x!),
      wrt: ['x'],
    })
  opCases.push({
    op: 'GraftDense',
    name: format,
    inputs: {},
    weight: stored(format, 7, 64),
    attrs: storedAttrs(format, 7, 64),
    run: (_, w) => w.dense(),
    wrt: [],
  })
  opCases.push({
    op: 'GraftGatherRows',
    name: format,
    inputs: { ids: ints([19], [0, 8, 3, 3, 1, 5, 2, 7, 6, 4, 8, 8, 0, 1, 2, 3, 4, 5, 6]) },
    weight: stored(format, 9, 96),
    attrs: storedAttrs(format, 9, 96),
    run: ({ ids }, w) => w.rows(ids!),
    wrt: [],
  })
  opCases.push(crossEntropyCase(format, 13, 64, 333))
}
opCases.push(
  crossEntropyCase('f32', 5, 33, 101),
  crossEntropyCase('f32', 1, 96, 50),
  crossEntropyCase('f32', 40, 7, 1000),
)
opCases.push(crossEntropyCase('f32', 6, 5, 2), crossEntropyCase('f32', 6, 16, 40, -100))

function crossEntropyCase(format: Format, n: number, d: number, vocab: number, only?: number): OpCase {
  const labels = Array.from({ length: n }, (_, i) => only ?? (i % 3 === 1 ? -100 : (i * 37) % vocab))
  return {
    op: 'GraftCrossEntropy',
    name: `${format} ${n}×${d}, vocabulary ${vocab}${only ? ', no label' : ''}`,
    inputs: { hidden: floats([n, d], 'hidden', 0.3), labels: ints([n], labels) },
    weight: stored(format, vocab, d),
    attrs: { ...storedAttrs(format, vocab, d), graded: false },
    run: ({ hidden, labels }, w) => crossEntropy(hidden!, w, labels!),
    wrt: ['hidden'],
  }
}

for (const [gradScale, step] of [
  [1, 1],
  [0.25, 7],
] as const) {
  const attrs = { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1, step, gradScale }
  const v = floats([7, 39], 'v')
  opCases.push({
    op: 'GraftAdamw',
    name: `step ${step}, gradient × ${gradScale}`,
    inputs: {
      p: floats([7, 39], 'p'),
      m: floats([7, 39], 'm'),
      v: { ...v, data: v.data.map(Math.abs) },
      g: floats([7, 39], 'g'),
    },
    attrs,
    run: ({ p, m, v, g }) => adamw(p!, m!, v!, g!, attrs),
    wrt: [],
  })
}
