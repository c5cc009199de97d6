import { concat, defineOp, reshape, split, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

type Attrs = { count: number }

/** Rows of n · d numbers as n matrices of rows of d. tfjs's own slices along the last axis, and their gradient, are slow. */
const run = defineOp<{ x: Tensor }, Attrs>({
  name: 'GraftSplitColumns',
  composed: ({ x }, { count }) => split(x, count, 1),
  gradient: (dys, _, { count }) => ({
    x: () => join(Object.fromEntries(Array.from({ length: count }, (__, i) => [`x${i}`, dys[i]!])), {})[0]!,
  }),
  reference: ({ x }, { count }) => {
    const [rows, width] = x!.shape as [number, number]
    const own = width / count
    return Array.from({ length: count }, (_, n) => ({
      data: Float64Array.from(
        { length: rows * own },
        (__, i) => x!.data[Math.floor(i / own) * width + n * own + (i % own)]!,
      ),
      shape: [rows, own],
    }))
  },
})

const join = defineOp<Record<string, Tensor>, object>({
  name: 'GraftSplitColumnsBack',
  composed: (parts) => concat(Object.values(parts), 1),
})

/** x [..., n · d] -> n tensors [..., d]. */
export const splitColumns = (x: Tensor, count: number): Tensor[] => {
  const width = x.shape.at(-1)!
  if (width % count !== 0)
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'splitColumns',
      given: `rows of ${width} numbers`,
      expected: `a multiple of ${count}`,
    })
  const shape = [...x.shape.slice(0, -1), width / count]
  return run({ x: reshape(x, [-1, width]) }, { count }).map((part) => reshape(part, shape))
}
