import type { SimdBackend } from './backend.ts'

/** The storage formats that the kernels unpack; the numbers are those of assembly/dequant.ts. */
export const formatIds = { f32: 0, f16: 1, bf16: 2, q8_0: 3, q4_0: 4, q4_1: 5 } as const
export type Format = keyof typeof formatIds

/** One stretch of K: A[m][k] · B[k][n]. Addresses of float32 (B: of `format`); strides in numbers. */
export interface Segment {
  readonly a: number
  readonly aRow: number
  readonly aColumn: number
  readonly aBatch?: number
  readonly k: number
  readonly b: number
  readonly format?: Format
  /** B is stored [n][k] instead of [k][n]. */
  readonly bByRows: boolean
  /** Numbers a stored row of B. */
  readonly bRow: number
  readonly bBatch?: number
  /** Factor on A. */
  readonly scale?: number
}

export interface Product {
  readonly m: number
  readonly n: number
  readonly c: number
  readonly ldc?: number
  readonly accumulate?: boolean
  /** Address of n numbers. */
  readonly bias?: number
  readonly batch?: number
  readonly cBatch?: number
  readonly segments: readonly Segment[]
}

const STRIP = 64

/** C = [C +] [bias +] Σ segments. The sum over k runs in one order, whatever the threads. */
export const gemm = (backend: SimdBackend, p: Product): void => {
  const { m, n, segments, batch = 1 } = p
  const { tile } = backend
  if (m === 0 || n === 0) return
  if (isVector(p)) {
    gemv(backend, p)
    return
  }
  const k = segments.reduce((sum, s) => sum + s.k, 0)
  const longest = Math.max(...segments.map((s) => s.k))
  const panels = Math.ceil(m / tile)
  const strips = Math.ceil(n / STRIP)
  // Strips alone may be too few to keep the threads even; then rows are split as well, at the price of packing B again.
  const enough = 4 * backend.pool.threads
  const chunks = Math.max(1, Math.min(Math.ceil(enough / (strips * batch)), Math.floor(panels / 8)))
  const panelsAChunk = Math.ceil(panels / chunks)
  const perTask = Math.max(1, Math.ceil(2 ** 15 / (tile * k)))
  const packTasks = Math.ceil(panels / perTask)
  backend.reserveScratch((STRIP * k + 5 * longest + 1024) * 4)
  backend.lend(batch * panels * tile * k * 4, (packed) => {
    const head = [
      m,
      n,
      p.c,
      p.ldc ?? n,
      p.accumulate ? 1 : 0,
      p.bias ?? 0,
      p.cBatch ?? m * n,
      packed,
      k,
      segments.length,
    ]
    const plan = [strips, Math.ceil(panels / panelsAChunk), panelsAChunk, panels, perTask, packTasks]
    const args = [...head, ...plan, ...segments.flatMap(segmentArgs)]
    backend.run('packA', batch * packTasks, args)
    backend.run('gemm', batch * Math.ceil(panels / panelsAChunk) * strips, args)
  })
}

const segmentArgs = (s: Segment): number[] => [
  s.a,
  s.aRow,
  s.aColumn,
  s.k,
  s.b,
  formatIds[s.format ?? 'f32'],
  s.bByRows ? 1 : 0,
  s.bRow,
  s.aBatch ?? 0,
  s.bBatch ?? 0,
  s.scale ?? 1,
  0,
]

/** A few rows against a weight [n][k]: bound by reading the weight, so nothing is packed. */
const isVector = ({ m, segments, batch = 1, accumulate }: Product): boolean =>
  m <= 4 &&
  batch === 1 &&
  !accumulate &&
  segments.length === 1 &&
  segments[0]!.bByRows &&
  segments[0]!.aColumn === 1 &&
  (segments[0]!.scale ?? 1) === 1

const gemv = (backend: SimdBackend, p: Product): void => {
  const [s] = p.segments as [Segment]
  backend.reserveScratch(s.k * 4 + 256)
  const head = [p.m, p.n, p.c, p.ldc ?? p.n, 0, p.bias ?? 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  backend.run('gemv', Math.ceil(p.n / STRIP), [...head, ...segmentArgs(s)])
}
