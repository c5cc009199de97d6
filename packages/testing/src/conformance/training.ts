import { attach, backward, type Tuned } from '@graftjs/core'
import { adamw } from '@graftjs/optim'
import { dispose } from '@graftjs/tensor'
import { meanLoss, read } from './measure.ts'
import { type Check, moveAll, requireAtMost, type Subject } from './subject.ts'

const STEPS = 25

/** From where a user starts, a few steps of AdamW lower the loss; the same seed gives the same bits. */
export const trains: Check = async (subject) => {
  const [before, after] = await run(subject)
  const { learningRate = 0.02, lossDrop = 0.05 } = subject.promises
  const what = `loss after ${STEPS} steps of AdamW (promises: learningRate ${learningRate}, lossDrop ${lossDrop}) from ${before}`
  requireAtMost(subject, what, after!, (1 - lossDrop) * before!)
  const again = await run(subject)
  requireAtMost(subject, 'the same run again, difference', Math.abs(again[1]! - after!), 0)
  return { before: before!, after: after! }
}

const run = async (subject: Subject): Promise<number[]> => {
  const { bed, method, promises } = subject
  const model = bed.open()
  const tuned = attach(model, method, { seed: 3 })
  // Frozen parts come from a file as a rule: zeros would give what stands on them no gradient.
  moveAll(tuned, 2, tuned.active, (param) => !param.trainable)
  const lr = promises.learningRate ?? 0.02
  const optimizer = adamw({ learningRate: lr })
  try {
    const loss = (): Promise<Float32Array> => read(() => meanLoss(tuned, bed.batch))
    const [before] = await loss()
    for (let step = 1; step <= STEPS; step++) stepOf(subject, tuned, optimizer, lr, step)
    const [after] = await loss()
    return [before!, after!]
  } finally {
    optimizer.dispose()
    tuned.dispose()
    model.dispose()
  }
}

const stepOf = ({ bed }: Subject, tuned: Tuned, optimizer: ReturnType<typeof adamw>, lr: number, step: number): void =>
  dispose(
    backward(
      () => meanLoss(tuned, bed.batch, { training: true, seed: step }),
      (p, grad) => optimizer.update(tuned.params.all.get(p.path)!, grad, { lr, step }),
    ),
  )
