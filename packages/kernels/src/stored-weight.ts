import { clone, dispose, keep, reshape, type Tensor, tensor, type Weight } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type Format, rowBytes } from './formats.ts'
import { dense } from './ops/dense.ts'
import { gatherRows } from './ops/gather-rows.ts'
import { linear } from './ops/linear.ts'

/** A frozen matrix [rows, cols] in the form it is stored; rows are output features. */
export interface StoredWeight extends Weight {
  readonly format: Format
  /** float32 [rows, cols] for `f32`; else int32 holding the raw bytes, GGUF's block layout row after row. */
  readonly data: Tensor
  /** ids int32 [...] -> those rows, [..., cols]. */
  rows(ids: Tensor): Tensor
  dispose(): void
}

/** Takes the bytes over: they are copied to the current backend. */
export const storedWeight = (
  path: string,
  format: Format,
  bytes: Uint8Array | Float32Array,
  [rows, cols]: readonly [number, number],
): StoredWeight => {
  const size = rows * rowBytes(format, cols)
  if (bytes.byteLength !== size)
    throw new GraftError({
      code: 'bad-shape',
      culprit: path,
      given: `${bytes.byteLength} bytes of ${format}`,
      expected: `${size} for [${rows}, ${cols}]`,
    })
  return weightOf(
    path,
    format,
    format === 'f32' ? tensor(floatsOf(bytes), [rows, cols]) : wordsOf(bytes as Uint8Array),
    [rows, cols],
  )
}

/** A float32 weight from a tensor [rows, cols], which it takes over. */
export const denseWeight = (path: string, values: Tensor): StoredWeight =>
  weightOf(path, 'f32', values, values.shape as [number, number])

const weightOf = (
  path: string,
  format: Format,
  values: Tensor,
  [rows, cols]: readonly [number, number],
): StoredWeight => {
  const data = keep(values)
  const weight: StoredWeight = {
    path,
    shape: [rows, cols],
    bytes: rows * rowBytes(format, cols),
    format,
    data,
    matmul: (x) => linear(x, weight),
    dense: () => (format === 'f32' ? clone(data) : dense(weight)),
    rows: (ids) => reshape(gatherRows(weight, ids), [...ids.shape, cols]),
    dispose: () => dispose(data),
  }
  return weight
}

const floatsOf = (bytes: Uint8Array | Float32Array): Float32Array =>
  bytes instanceof Float32Array
    ? bytes
    : new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer)

/** int32 tensors carry packed bytes through every backend unchanged (float32 ones might not: not-a-numbers are not kept as they are). */
const wordsOf = (bytes: Uint8Array): Tensor => {
  const words = new Int32Array(Math.ceil(bytes.byteLength / 4))
  new Uint8Array(words.buffer).set(bytes)
  return tensor(words, [words.length], 'int32')
}
