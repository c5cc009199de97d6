import type { Tally } from '@graftjs/core'
import { div, mean, mul, slice, stack, sum, type Tensor } from '@graftjs/tensor'

/** Of one layer: the share of the tokens that chose each expert, and its mean probability. [2, E] */
export const statistics = (p: Tensor, chosen: Tensor): Tensor => stack([mean(chosen, [0, 1, 2]), mean(p, [0, 1])])

/** Switch's balance loss (Fedus et al. 2021), E Σ f P, of means over all layers. */
export const balanceLoss = (experts: number, coefficient: number): Tally => ({
  name: 'router balance',
  finish: (total, count) => {
    const [f, p] = [0, 1].map((row) => div(slice(total, [row, 0], [1, experts]), count)) as [Tensor, Tensor]
    return mul(sum(mul(f, p)), experts * coefficient)
  },
})
