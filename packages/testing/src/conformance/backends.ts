import { backendName } from '@graftjs/tensor'
import { setBackend } from '@tensorflow/tfjs-core'
import { training } from './gradients.ts'
import { type Gradients, gradientError, gradientsOf, meanLoss } from './measure.ts'
import { type Check, requireAtMost, withTuned } from './subject.ts'

/** The loss and its gradients are those of tfjs's cpu backend, dropout included. */
export const backends: Check = async (subject) => {
  const here = backendName()
  const run = (): Promise<{ loss: number; grads: Gradients }> =>
    withTuned(subject, (tuned) => gradientsOf(() => meanLoss(tuned, subject.bed.batch, training)))
  const ours = await run()
  await setBackend('cpu')
  try {
    const theirs = await run()
    const loss = Math.abs(ours.loss / theirs.loss - 1)
    const grads = gradientError(ours.grads, theirs.grads)
    requireAtMost(subject, `the loss on ${here} against cpu`, loss, 1e-5)
    requireAtMost(subject, `gradients on ${here} against cpu`, grads, 1e-4)
    return { 'vs cpu': grads }
  } finally {
    await setBackend(here)
  }
}
