import { defineOp, type RefArray, type Tensor, tensor } from '@graftjs/tensor'
import { decode, type Format, rowBytes } from '../formats.ts'
import type { StoredWeight } from '../stored-weight.ts'

export interface StoredAttrs {
  readonly format: Format
  readonly rows: number
  readonly cols: number
}

/** The bytes behind a packed weight's int32 tensor, on the host. */
export const bytesOf = (data: Tensor, { format, rows, cols }: StoredAttrs): Uint8Array => {
  const values = data.dataSync()
  return new Uint8Array(values.buffer, values.byteOffset, rows * rowBytes(format, cols))
}

/** The whole weight as float32, decoded on the host: what the composed fallbacks work on. */
export const hostDense = (data: Tensor, attrs: StoredAttrs): Float32Array =>
  attrs.format === 'f32'
    ? (data.dataSync() as Float32Array)
    : decode(attrs.format, bytesOf(data, attrs), attrs.rows * attrs.cols)

/** The same from the float64 copy that a reference is given. */
export const referenceDense = ({ data }: RefArray, { format, rows, cols }: StoredAttrs): Float64Array =>
  format === 'f32' ? data : Float64Array.from(decode(format, new Uint8Array(Int32Array.from(data).buffer), rows * cols))

const run = defineOp<{ w: Tensor }, StoredAttrs>({
  name: 'GraftDense',
  composed: ({ w }, attrs) => tensor(hostDense(w, attrs), [attrs.rows, attrs.cols]),
  reference: ({ w }, attrs) => ({ data: referenceDense(w!, attrs), shape: [attrs.rows, attrs.cols] }),
})

export const storedAttrs = (w: StoredWeight): StoredAttrs => ({
  format: w.format,
  rows: w.shape[0]!,
  cols: w.shape[1]!,
})

/** [rows, cols] as a new float32 tensor. */
export const dense = (w: StoredWeight): Tensor => run({ w: w.data }, storedAttrs(w))[0]!
