import { add, clone, defineOp, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

const run = defineOp<{ x: Tensor; y: Tensor }, object>({
  name: 'GraftResidual',
  composed: ({ x, y }) => add(x, y),
  gradient: ([dy]) => ({ x: () => clone(dy!), y: () => clone(dy!) }),
  reference: ({ x, y }) => ({ data: x!.data.map((v, i) => v + y!.data[i]!), shape: x!.shape }),
})

/** x + y of one shape. Unlike tfjs's add it keeps neither for the gradient: in a deep network those are two activations a layer. */
export const residual = (x: Tensor, y: Tensor): Tensor => {
  if (x.shape.join() !== y.shape.join())
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'residual',
      given: `[${x.shape}] and [${y.shape}]`,
      expected: 'one shape',
    })
  return run({ x, y }, {})[0]!
}
