import { type Batch, type Call, detached, forward, type Model, type Tuned } from '@graftjs/core'
import { add, log, logSoftmax, mean, mul, softmax, sub, sum, type Tensor } from '@graftjs/tensor'

export interface DistillationOptions {
  readonly temperature?: number
  /** Of the teacher's part. */
  readonly weight?: number
}

/**
 * A loss, not a method: the student's own, and how far it is from a teacher (Hinton et al. 2015), T² KL(teacher ‖ student)
 * on logits / T. The teacher runs in `detached`: it leaves nothing on the tape.
 */
export const distillation = (
  student: Tuned,
  teacher: Tuned | Model,
  batch: Batch & Required<Pick<Batch, 'labels'>>,
  call: Call = {},
  { temperature = 2, weight = 0.5 }: DistillationOptions = {},
): Tensor => {
  const target = detached(() => softmax(mul(forward(teacher, batch).logits(), 1 / temperature)))
  const out = forward(student, batch, call)
  const own = mean(out.nll(batch.labels))
  const ours = logSoftmax(mul(out.logits(), 1 / temperature))
  const distance = mean(sum(mul(target, sub(log(target), ours)), 2))
  return add(mul(own, 1 - weight), mul(distance, weight * temperature ** 2))
}
