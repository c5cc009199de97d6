import type { TensorInfo } from '@tensorflow/tfjs-core'
import { gemm } from './gemm.ts'
import { type FastCall, registerFast } from './register.ts'

interface Attrs {
  readonly transposeA: boolean
  readonly transposeB: boolean
}

/** tfjs's matMul in every transposed and batched form; batch dimensions broadcast when one side has a single one. */
export const registerBatchMatMul = (): void => registerFast<Attrs>('BatchMatMul', batchMatMul)

const batchMatMul = ({
  inputs,
  attrs: { transposeA, transposeB },
  backend,
}: FastCall<Attrs>): TensorInfo | undefined => {
  const { a, b } = inputs as { a: TensorInfo; b: TensorInfo }
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return undefined
  const [batchA, batchB] = [count(a.shape.slice(0, -2)), count(b.shape.slice(0, -2))]
  if (batchA !== batchB && batchA !== 1 && batchB !== 1) return undefined
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number]
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number]
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns]
  const n = transposeB ? bRows : bColumns
  const batch = Math.max(batchA, batchB)
  const out = backend.output([...(batchA >= batchB ? a : b).shape.slice(0, -2), m, n])
  gemm(backend, {
    m,
    n,
    c: out.address,
    batch,
    segments: [
      {
        a: backend.addressOf(a),
        aRow: transposeA ? 1 : aColumns,
        aColumn: transposeA ? aColumns : 1,
        aBatch: batchA === 1 ? 0 : aRows * aColumns,
        k,
        b: backend.addressOf(b),
        bByRows: transposeB,
        bRow: bColumns,
        bBatch: batchB === 1 ? 0 : bRows * bColumns,
      },
    ],
  })
  return out
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
