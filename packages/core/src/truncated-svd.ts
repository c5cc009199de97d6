import { dispose, matMul, type Random, scope, type Tensor, tensor } from '@graftjs/tensor'

export interface TruncatedSvd {
  /** Left singular vectors, r × [out]. */
  readonly left: Float64Array[]
  /** Right singular vectors times their singular values, r × [in], the largest first. */
  readonly right: Float64Array[]
  /** The squared Frobenius norm of the whole matrix. */
  readonly total: number
}

/** A few columns more than asked for, and enough rounds that the kept ones have settled. */
const OVERSAMPLE = 8
const ROUNDS = 12

/**
 * The `r` largest singular triples of a matrix [out, in] by block power iteration (Halko, Martinsson & Tropp 2011,
 * algorithm 4.4); the large products run on the device, what is as small as `r` on the host in float64.
 */
export const truncatedSvd = async (matrix: Tensor, r: number, draws: Random): Promise<TruncatedSvd> => {
  const [out, inner] = matrix.shape as [number, number]
  const width = Math.min(r + OVERSAMPLE, out, inner)
  const start = draws.fill(new Float32Array(inner * width), 'normal')
  let basis = await orthonormal(matrix, tensor(start, [inner, width]), false)
  for (let i = 0; i < ROUNDS; i++) {
    const other = await orthonormal(matrix, basis, true)
    basis = await orthonormal(matrix, other, false)
  }
  const core = scope(() => matMul(basis, matrix, true)) // [width, in]
  const rows = columnsOf((await core.data()) as Float32Array, inner, width, true)
  const columns = columnsOf((await basis.data()) as Float32Array, out, width, false)
  const values = (await matrix.data()) as Float32Array
  dispose([core, basis])
  const turns = eigenvectors(rows.map((a) => rows.map((b) => dot(a, b)))).slice(0, r)
  return {
    left: turns.map((turn) => combine(columns, turn)),
    right: turns.map((turn) => combine(rows, turn)),
    total: values.reduce((sum, v) => sum + v * v, 0),
  }
}

/** An orthonormal basis of the columns of `matrix · from` (or of `matrixᵀ · from`); frees `from`. */
const orthonormal = async (matrix: Tensor, from: Tensor, transposed: boolean): Promise<Tensor> => {
  const product = scope(() => matMul(matrix, from, transposed))
  const [rows, width] = product.shape as [number, number]
  const columns = columnsOf((await product.data()) as Float32Array, rows, width, false)
  dispose([product, from])
  columns.forEach((column, k) => {
    // Twice: once leaves what rounding put back.
    for (let pass = 0; pass < 2; pass++)
      for (const before of columns.slice(0, k)) subtract(column, before, dot(before, column))
    const length = Math.sqrt(dot(column, column))
    for (let i = 0; i < rows; i++) column[i] = length > 1e-30 ? column[i]! / length : 0
  })
  const flat = new Float32Array(rows * width)
  columns.forEach((column, k) => {
    for (let i = 0; i < rows; i++) flat[i * width + k] = column[i]!
  })
  return tensor(flat, [rows, width])
}

const columnsOf = (flat: Float32Array, length: number, count: number, asRows: boolean): Float64Array[] =>
  Array.from({ length: count }, (_, k) =>
    Float64Array.from({ length }, (_, i) => flat[asRows ? k * length + i : i * count + k]!),
  )

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0)

const subtract = (from: Float64Array, what: Float64Array, times: number): void => {
  for (let i = 0; i < from.length; i++) from[i]! -= times * what[i]!
}

const combine = (vectors: readonly Float64Array[], weights: readonly number[]): Float64Array => {
  const sum = new Float64Array(vectors[0]!.length)
  vectors.forEach((v, j) => {
    subtract(sum, v, -weights[j]!)
  })
  return sum
}

/** Of a small symmetric matrix, by Jacobi's rotations; the largest eigenvalue's first. */
const eigenvectors = (symmetric: number[][]): number[][] => {
  const n = symmetric.length
  const m = symmetric.map((row) => [...row])
  const vectors = m.map((_, i) => m.map((_, j) => (i === j ? 1 : 0)))
  const rotate = (rows: number[][], p: number, q: number, c: number, s: number): void => {
    for (let k = 0; k < n; k++) {
      const [x, y] = [rows[p]![k]!, rows[q]![k]!]
      rows[p]![k] = c * x - s * y
      rows[q]![k] = s * x + c * y
    }
  }
  const transposed = (rows: number[][]): number[][] => rows.map((_, i) => rows.map((row) => row[i]!))
  let turned = m
  for (let sweep = 0; sweep < 30; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const [pp, qq, pq] = [turned[p]![p]!, turned[q]![q]!, turned[p]![q]!]
        if (Math.abs(pq) <= 1e-15 * Math.sqrt(Math.abs(pp * qq))) continue
        const angle = 0.5 * Math.atan2(2 * pq, qq - pp)
        const [c, s] = [Math.cos(angle), Math.sin(angle)]
        rotate(turned, p, q, c, s)
        turned = transposed(turned)
        rotate(turned, p, q, c, s)
        turned = transposed(turned)
        rotate(vectors, p, q, c, s)
      }
  const order = turned.map((row, i) => ({ value: row[i]!, i })).sort((a, b) => b.value - a.value)
  return order.map(({ i }) => vectors[i]!)
}
