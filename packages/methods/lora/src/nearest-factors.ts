import { truncatedSvd, type Value } from '@graftjs/core'
import { dispose, random, tensor } from '@graftjs/tensor'

export interface NearestFactors {
  /** Right singular vectors, [r, in]. */
  readonly a: Value
  /** Left singular vectors times their values, [out, r]. */
  readonly b: Value
  /** Squared norms of what is lost and of the whole. */
  readonly missing: number
  readonly total: number
}

/** The nearest product of rank r to a matrix [out, in], as PEFT splits it; rows that a smaller matrix does not have are zero. */
export const nearestFactors = async (
  delta: Float32Array,
  [out, inner]: readonly [number, number],
  r: number,
  { path, clamp }: { path: string; clamp?: number | undefined },
): Promise<NearestFactors> => {
  const matrix = tensor(delta, [out, inner])
  const { left, right, total } = await truncatedSvd(matrix, r, random(0, path))
  dispose(matrix)
  const a = new Float32Array(r * inner)
  const b = new Float32Array(out * r)
  right.forEach((row, k) => {
    const value = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0))
    if (value === 0) return
    for (let j = 0; j < inner; j++) a[k * inner + j] = row[j]! / value
    for (let i = 0; i < out; i++) b[i * r + k] = left[k]![i]! * value
  })
  if (clamp !== undefined) clampAt(quantile([b, a], clamp), [b, a])
  return {
    a: { shape: [r, inner], data: a },
    b: { shape: [out, r], data: b },
    missing: squaredDistance(delta, b, a, r, inner),
    total,
  }
}

/** Of the entries with both signs, so that the signs of singular vectors, which are nobody's choice, do not matter. */
const quantile = (parts: readonly Float32Array[], q: number): number => {
  const all = Float32Array.from(parts.flatMap((part) => [...part, ...part.map((v) => -v)])).sort()
  const at = q * (all.length - 1)
  const low = Math.floor(at)
  return all[low]! + (at - low) * ((all[low + 1] ?? all[low]!) - all[low]!)
}

const clampAt = (limit: number, parts: readonly Float32Array[]): void => {
  for (const part of parts) for (let i = 0; i < part.length; i++) part[i] = Math.min(Math.max(part[i]!, -limit), limit)
}

const squaredDistance = (delta: Float32Array, b: Float32Array, a: Float32Array, r: number, inner: number): number => {
  let sum = 0
  const row = new Float64Array(inner)
  for (let i = 0; i * inner < delta.length; i++) {
    row.set(delta.subarray(i * inner, (i + 1) * inner))
    for (let k = 0; k < r; k++) for (let j = 0; j < inner; j++) row[j]! -= b[i * r + k]! * a[k * inner + j]!
    for (const v of row) sum += v * v
  }
  return sum
}
