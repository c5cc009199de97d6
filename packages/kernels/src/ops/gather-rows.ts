import { defineOp, gather, reshape, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { decode, rowBytes } from '../formats.ts'
import type { StoredWeight } from '../stored-weight.ts'
import { bytesOf, hostDense, referenceDense, type StoredAttrs, storedAttrs } from './dense.ts'
import { hostValues } from './host-values.ts'

const run = defineOp<{ w: Tensor; ids: Tensor }, StoredAttrs>({
  name: 'GraftGatherRows',
  composed: ({ w, ids }, attrs) => {
    const known = hostValues(ids) as Int32Array | undefined
    if (known) checkIds(known, attrs.rows)
    if (attrs.format === 'f32') return gather(w, ids)
    return known
      ? tensor(decodeRows(w, known, attrs), [ids.size, attrs.cols])
      : gather(tensor(hostDense(w, attrs), [attrs.rows, attrs.cols]), ids)
  },
  reference: ({ w, ids }, attrs) => {
    const { cols } = attrs
    const table = referenceDense(w!, attrs)
    const data = new Float64Array(ids!.data.length * cols)
    ids!.data.forEach((id, i) => data.set(table.subarray(id * cols, (id + 1) * cols), i * cols))
    return { data, shape: [ids!.data.length, cols] }
  },
})

/** These rows of a packed weight, and no others. */
const decodeRows = (w: Tensor, ids: Int32Array, attrs: StoredAttrs): Float32Array => {
  const { format, cols } = attrs
  const [bytes, size] = [bytesOf(w, attrs), rowBytes(format, cols)]
  const out = new Float32Array(ids.length * cols)
  ids.forEach((id, i) => out.set(decode(format, bytes.subarray(id * size, (id + 1) * size), cols), i * cols))
  return out
}

export const checkIds = (ids: Int32Array, rows: number): Int32Array => {
  const at = ids.findIndex((id) => id < 0 || id >= rows)
  if (at < 0) return ids
  throw new GraftError({
    code: 'bad-id',
    culprit: `ids[${at}]`,
    given: String(ids[at]),
    expected: `a row of 0 … ${rows - 1}`,
  })
}

/** ids int32 [n…] -> rows [n, cols]. The weight takes no gradient. */
export const gatherRows = (w: StoredWeight, ids: Tensor): Tensor =>
  run({ w: w.data, ids: reshape(ids, [ids.size]) }, storedAttrs(w))[0]!
