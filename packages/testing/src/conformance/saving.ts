import { attach, exportAdapter, type Tuned, type Values } from '@graftjs/core'
import { logitsOf, sameBits } from './measure.ts'
import { type Check, fail, requireRefusal, withTuned } from './subject.ts'

/** What is exported makes the same method again, to the bit; a file that lacks a tensor or has one too many is refused. */
export const saving: Check = (subject) =>
  withTuned(subject, async (tuned, model) => {
    const { bed, method } = subject
    const { tensors, reparam } = await exportAdapter(tuned)
    const whole: Values = new Map([...tensors, ...reparam])
    const wanted = await logitsOf(tuned, bed.batch)
    const same = async (what: string, values: Values): Promise<void> => {
      const again = attach(model, method, { seed: 99, values })
      const logits = await logitsOf(again, bed.batch)
      again.dispose()
      if (!sameBits(logits, wanted)) fail(subject, what, 'other logits', 'the same bits')
    }
    await same('loaded again', whole)
    if (reparam.size > 0) await same('loaded without what its parameters were derived from', tensors)
    const refused = async (what: string, values: Values, name: string): Promise<void> => {
      await requireRefusal(subject, what, () => free(attach(model, method, { values })), codeOf(what), [name])
    }
    const [path, value] = [...tensors].at(-1)!
    await refused('a missing tensor', without(tensors, path), path)
    await refused('an unexpected tensor', new Map([...whole, ['stranger.weight', value]]), 'stranger.weight')
    const bent = { shape: [...value.shape, 1], data: value.data }
    await refused('a tensor of another shape', new Map([...whole, [path, bent]]), path)
    return undefined
  })

const codeOf = (what: string): string => (what.includes('shape') ? 'bad-shape' : 'adapter-mismatch')

const without = (values: Values, path: string): Values => new Map([...values].filter(([key]) => key !== path))

const free = (tuned: Tuned): void => tuned.dispose()
