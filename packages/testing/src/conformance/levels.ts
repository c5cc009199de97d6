import { all, around, attach, backward, type Method, sitesOf, type Tuned } from '@graftjs/core'
import { dispose, isTaping, memory, mul, scope, sub } from '@graftjs/tensor'
import { decode } from './decode.ts'
import { training } from './gradients.ts'
import { meanLoss } from './measure.ts'
import { type Check, fail, moveAll, type Subject } from './subject.ts'

/** Tensors and bytes stand level over steps, generation, and errors thrown anywhere in a step. */
export const levels: Check = async (subject) => {
  const { bed, method, promises } = subject
  const fuse: Fuse = { armed: undefined }
  const model = bed.open()
  const tuned = attach(model, all(method, thrower(fuse)), { seed: 1 })
  moveAll(tuned)
  try {
    step(subject, tuned)
    await decode(subject, tuned, 1)
    const before = memory()
    const level = (after: string): void => {
      const { tensors, bytes } = memory()
      if (tensors === before.tensors && bytes === before.bytes) return
      fail(
        subject,
        after,
        `${tensors - before.tensors} tensors and ${bytes - before.bytes} bytes more`,
        'as many as before',
      )
    }
    for (let i = 0; i < 5; i++) step(subject, tuned)
    level('after 5 steps')
    for (const keep of ['all', 3000] as const) step(subject, tuned, { keep })
    level('after steps that keep stages')
    await decode(subject, tuned, 20)
    level('after 20 generated tokens')
    for (const when of ['forward', 'replay'] as const)
      for (const keep of ['none', 'all'] as const) {
        // Kept stages are not replayed, nor is a backbone that takes no gradient.
        if (when === 'replay' && (keep === 'all' || promises.leavesBackbone)) continue
        fuse.armed = when
        swallow(() => step(subject, tuned, { keep }))
        if (fuse.armed) fail(subject, `an error in the ${when}`, 'none', 'one where it was planted')
        level(`after an error in the ${when} (keep ${keep})`)
      }
    swallow(() => step(subject, tuned, {}, true))
    level('after an error in onGrad')
    return undefined
  } finally {
    tuned.dispose()
    model.dispose()
  }
}

/** One step of plain gradient descent, parameters updated while the gradients come. */
const step = (
  { bed }: Subject,
  tuned: Tuned,
  call: { keep?: 'none' | 'all' | number } = {},
  throwing = false,
): void => {
  const value = backward(
    () => meanLoss(tuned, bed.batch, { ...training, ...call }),
    (p, g) => {
      if (throwing) throw new Error('planted in onGrad')
      const param = tuned.params.all.get(p.path)!
      param.set(scope(() => sub(param.value, mul(g, 1e-4))))
    },
  )
  dispose(value)
}

interface Fuse {
  armed: 'forward' | 'replay' | undefined
}

/** A method without parameters that throws once, at the last sublayer, when its fuse is armed. */
const thrower = (fuse: Fuse): Method => ({
  name: 'thrower',
  config: {},
  attach: (model) => [
    around(sitesOf(model, 'sublayer').at(-1)!, (x, next) => {
      const y = next(x)
      if (fuse.armed === undefined || (fuse.armed === 'replay' && !isTaping())) return y
      fuse.armed = undefined
      throw new Error('planted in a stage')
    }),
  ],
})

const swallow = (f: () => void): void => {
  try {
    f()
  } catch {
    // planted
  }
}
