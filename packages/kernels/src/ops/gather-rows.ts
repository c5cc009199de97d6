import { defineOp, reshape, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { StoredWeight } from '../stored-weight.ts'
import { hostDense, referenceDense, type StoredAttrs, storedAttrs } from './dense.ts'

const run = defineOp<{ w: Tensor; ids: Tensor }, StoredAttrs>({
  name: 'GraftGatherRows',
  composed: ({ w, ids }, attrs) => {
    const { cols } = attrs
    const table = hostDense(w, attrs)
    const out = new Float32Array(ids.size * cols)
    checkIds(ids.dataSync() as Int32Array, attrs.rows).forEach((id, i) =>
      out.set(table.subarray(id * cols, (id + 1) * cols), i * cols),
    )
    return tensor(out, [ids.size, cols])
  },
  reference: ({ w, ids }, attrs) => {
    const { cols } = attrs
    const table = referenceDense(w!, attrs)
    const data = new Float64Array(ids!.data.length * cols)
    ids!.data.forEach((id, i) => data.set(table.subarray(id * cols, (id + 1) * cols), i * cols))
    return { data, shape: [ids!.data.length, cols] }
  },
})

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
