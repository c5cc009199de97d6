import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type CrossEntropyAttrs, checkLabels } from '../ops/cross-entropy.ts'
import type { SimdBackend } from './backend.ts'
import { formatIds } from './gemm.ts'
import { type FastCall, registerFast } from './register.ts'

export const registerCrossEntropy = (): void => registerFast<CrossEntropyAttrs>('GraftCrossEntropy', crossEntropy)

/** Slices of the vocabulary: fixed, so that the sums are the same whatever the threads. */
const SLICES = 8
const TILE = 96

const crossEntropy = ({ inputs, attrs, backend }: FastCall<CrossEntropyAttrs>): TensorInfo[] => {
  const { hidden, w, labels } = inputs as Record<string, TensorInfo>
  const { rows: vocab, cols: d, format, graded } = attrs
  const all = checkLabels(backend.valuesOf(labels!) as Int32Array, vocab)
  const rows = [...all.keys()].filter((r) => all[r] !== -100)
  const nll = backend.output(labels!.shape)
  const grad = backend.output(graded ? hidden!.shape : [0])
  backend.valuesOf(nll).fill(0)
  if (graded) backend.valuesOf(grad).fill(0)
  if (rows.length === 0) return [nll, grad]
  const { tile } = backend
  const tall = Math.ceil(rows.length / tile) * tile
  const wide = Math.ceil(d / 16) * 16
  const slices = Math.min(SLICES, Math.ceil(vocab / TILE))
  backend.reserveScratch(4 * (TILE * d + TILE * wide + 2 * 6 * TILE + 5 * d + 4096))
  const layout = {
    gathered: rows.length * d,
    labels: rows.length,
    packed: tall * d,
    sums: graded ? slices * tall * wide : 0,
    states: slices * tall * 2,
    picked: rows.length,
    nll: rows.length,
    grad: rows.length * d,
  }
  lendAll(backend, layout, (at) => {
    const floats = (address: number, count: number): Float32Array =>
      new Float32Array(backend.pool.memory.buffer, address, count)
    const from = hidden ? floats(backend.addressOf(hidden), hidden.shape[0]! * d) : floats(0, 0)
    const gathered = floats(at.gathered, layout.gathered)
    rows.forEach((r, i) => gathered.set(from.subarray(r * d, (r + 1) * d), i * d))
    new Int32Array(backend.pool.memory.buffer, at.labels, rows.length).set(rows.map((r) => all[r]!))
    const panels = tall / tile
    const pack = [
      rows.length,
      0,
      0,
      0,
      0,
      0,
      0,
      at.packed,
      d,
      1,
      0,
      0,
      0,
      panels,
      8,
      Math.ceil(panels / 8),
      at.gathered,
      d,
      1,
      d,
      0,
      0,
      0,
      0,
      0,
      0,
      1,
      0,
    ]
    backend.run('packA', Math.ceil(panels / 8), pack)
    const perTask = 16
    const args = [
      at.packed,
      rows.length,
      d,
      backend.addressOf(w!),
      formatIds[format],
      vocab,
      at.labels,
      graded ? 1 : 0,
      slices,
      at.sums,
      at.states,
      at.picked,
      at.nll,
      at.grad,
      perTask,
    ]
    backend.run('crossEntropy', slices, args)
    backend.run('crossEntropyMerge', Math.ceil(rows.length / perTask), args)
    const [rowNll, rowGrad] = [floats(at.nll, rows.length), floats(at.grad, graded ? rows.length * d : 0)]
    rows.forEach((r, i) => {
      backend.valuesOf(nll)[r] = rowNll[i]!
      if (graded) (backend.valuesOf(grad) as Float32Array).set(rowGrad.subarray(i * d, (i + 1) * d), r * d)
    })
  })
  return [nll, grad]
}

/** Several blocks of so many numbers each, for one kernel. */
const lendAll = <K extends string>(
  backend: SimdBackend,
  counts: Record<K, number>,
  use: (at: Record<K, number>) => void,
): void => {
  const names = Object.keys(counts) as K[]
  const at = {} as Record<K, number>
  const next = (i: number): void => {
    if (i === names.length) {
      use(at)
      return
    }
    backend.lend(counts[names[i]!] * 4, (address) => {
      at[names[i]!] = address
      next(i + 1)
    })
  }
  next(0)
}
