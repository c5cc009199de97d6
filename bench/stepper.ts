import { type Batch, backward, forward, type StoredParam, type Tuned } from '@graftjs/core'
import { adamw } from '@graftjs/optim'
import { clone, dispose, keep, mul, sum, type Tensor } from '@graftjs/tensor'

/** Rows whose every token is supervised. */
export const batchOf = (rows: number, length: number, vocab: number): Required<Pick<Batch, 'ids' | 'labels'>> => {
  const ids = Array.from({ length: rows }, (_, b) =>
    Array.from({ length }, (_, t) => (b * 7919 + t * 104729 + 11) % vocab),
  )
  return { ids, labels: ids }
}

/** Each call makes one optimiser step and tells its seconds. */
export const stepper = (tuned: Tuned, batch: ReturnType<typeof batchOf>, keepMode: 'none' | 'all'): (() => number) => {
  const optimizer = adamw(1e-4)
  const targets = batch.ids.length * (batch.ids[0]!.length - 1)
  let step = 0
  return () => {
    const from = performance.now()
    step++
    const grads = new Map<StoredParam, Tensor>()
    const loss = backward(
      () => mul(sum(forward(tuned, batch, { training: true, keep: keepMode }).nll(batch.labels)), 1 / targets),
      (param, grad) => grads.set(param as StoredParam, keep(clone(grad))),
    )
    for (const [param, grad] of grads) optimizer.update(param, grad, { lr: 1e-4, step })
    dispose([loss, ...grads.values()])
    return (performance.now() - from) / 1000
  }
}

export const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)]!
