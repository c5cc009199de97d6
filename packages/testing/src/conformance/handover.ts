import { backward, type Param, type Tuned } from '@graftjs/core'
import { clone, dispose, keep, mul, scope, sub, type Tensor } from '@graftjs/tensor'
import { training } from './gradients.ts'
import { meanLoss, sameBits, trainable } from './measure.ts'
import { type Check, fail, type Subject, withTuned } from './subject.ts'

/** `onGrad` is called once for each parameter, and updating inside it equals updating behind the walk, to the bit. */
export const handover: Check = async (subject) => {
  const during = await threeSteps(subject, true)
  const after = await threeSteps(subject, false)
  if (during.length !== after.length || !during.every((values, i) => sameBits(values, after[i]!)))
    fail(subject, 'updates during the walk', 'other parameters', 'those of updates after it')
  return undefined
}

const threeSteps = (subject: Subject, during: boolean): Promise<Float32Array[]> =>
  withTuned(subject, async (tuned) => {
    for (let n = 0; n < 3; n++) step(subject, tuned, during, n)
    const values: Float32Array[] = []
    for (const param of tuned.params.all.values())
      values.push(Float32Array.from((await param.value.data()) as Float32Array))
    return values
  })

const step = (subject: Subject, tuned: Tuned, during: boolean, n: number): void => {
  const later: [Param, Tensor][] = []
  const seen = new Set<string>()
  const update = (p: Param, grad: Tensor): void => {
    const param = tuned.params.all.get(p.path)!
    param.set(scope(() => sub(param.value, mul(grad, 0.02))))
  }
  const loss = (): Tensor => meanLoss(tuned, subject.bed.batch, { ...training, seed: n })
  const value = backward(loss, (p, grad) => {
    if (seen.has(p.path)) fail(subject, `onGrad for ${p.path}`, 'a second call', 'one')
    seen.add(p.path)
    if (during) update(p, grad)
    else later.push([p, keep(clone(grad))])
  })
  dispose(value)
  for (const [p, grad] of later) {
    update(p, grad)
    dispose(grad)
  }
  const missing = trainable(tuned).find((p) => !seen.has(p.path))
  if (missing) fail(subject, 'onGrad', `no call for ${missing.path}`, 'one for every trainable parameter')
}
