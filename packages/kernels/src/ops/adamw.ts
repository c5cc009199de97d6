import { add, defineOp, dispose, div, keep, mul, sqrt, square, sub, type Tensor } from '@graftjs/tensor'

export interface AdamwStep {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  /** From 1. */
  readonly step: number
  /** Factor on the gradient (clipping). Default 1. */
  readonly gradScale?: number
}

const run = defineOp<{ p: Tensor; m: Tensor; v: Tensor; g: Tensor }, Required<AdamwStep>>({
  name: 'GraftAdamw',
  composed: ({ p, m, v, g }, { lr, beta1, beta2, eps, weightDecay, step, gradScale }) => {
    const grad = mul(g, gradScale)
    const m1 = add(mul(m, beta1), mul(grad, 1 - beta1))
    const v1 = add(mul(v, beta2), mul(square(grad), 1 - beta2))
    const root = add(div(sqrt(v1), Math.sqrt(1 - beta2 ** step)), eps)
    return [sub(mul(p, 1 - lr * weightDecay), mul(div(m1, root), lr / (1 - beta1 ** step))), m1, v1]
  },
  reference: ({ p, m, v, g }, { lr, beta1, beta2, eps, weightDecay, step, gradScale }) => {
    const grad = g!.data.map((x) => x * gradScale)
    const m1 = m!.data.map((x, i) => beta1 * x + (1 - beta1) * grad[i]!)
    const v1 = v!.data.map((x, i) => beta2 * x + (1 - beta2) * grad[i]! ** 2)
    const p1 = p!.data.map((x, i) => {
      const root = Math.sqrt(v1[i]! / (1 - beta2 ** step)) + eps
      return x * (1 - lr * weightDecay) - (lr * (m1[i]! / (1 - beta1 ** step))) / root
    })
    return [p1, m1, v1].map((data) => ({ data, shape: p!.shape }))
  },
})

/**
 * One step of AdamW (Loshchilov & Hutter 2019) with torch.optim.AdamW's arithmetic. Returns the new parameter and moments as
 * kept tensors. On `simd` they are the given ones, overwritten; elsewhere they are new and the given ones are freed.
 */
export const adamw = (p: Tensor, m: Tensor, v: Tensor, g: Tensor, step: AdamwStep): [Tensor, Tensor, Tensor] => {
  const out = run({ p, m, v, g }, { gradScale: 1, ...step }).map((t) => keep(t)) as [Tensor, Tensor, Tensor]
  dispose([p, m, v])
  return out
}
