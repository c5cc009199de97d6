import { random } from '@graftjs/tensor'

/** A copy in another order, a function of (seed, path) (Fisher and Yates). */
export const shuffled = <T>(rows: readonly T[], seed: number, path: string): T[] => {
  const draw = random(seed, path)
  const order = [...rows]
  for (let i = order.length - 1; i > 0; i--) {
    const j = draw.int(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}
