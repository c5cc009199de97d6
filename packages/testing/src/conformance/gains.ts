import { attach, type Gain, type Method, onRows, type Patch, scaled } from '@graftjs/core'
import { fill, type Tensor } from '@graftjs/tensor'
import { largestDifference, logitsOf, sameBits } from './measure.ts'
import { type Check, fail, moveAll, requireAtMost, requireRefusal, withTuned } from './subject.ts'

/** A gain of exactly 0 is exactly the base, one of 1 the method itself; what takes no gain says so by name. */
export const gains: Check = (subject) =>
  withTuned(subject, async (tuned, model) => {
    const { bed, method, promises } = subject
    const { gains: kind = 'any' } = promises
    const bare = [...tuned.patches.values()].flat().find((patch) => !patch.scaled)
    if ((kind === 'any' || kind === 'row') && bare)
      fail(
        subject,
        `the patch at ${bare.site.path}`,
        'no gain of its own (scaled)',
        "one, or gains: 'generic' promised",
      )
    const through = async (turn: Turn, value: number, shape: ShapeOf = () => [1, 1, 1]): Promise<Float32Array> => {
      const copy = attach(
        model,
        withGain(method, turn, (x) => fill(shape(x), value)),
        { seed: 1 },
      )
      moveAll(copy)
      try {
        return await logitsOf(copy, bed.batch)
      } finally {
        copy.dispose()
      }
    }
    const [base, own] = [await logitsOf(model, bed.batch), await logitsOf(tuned, bed.batch)]
    for (const [name, turn, possible] of [
      ['scaled', scaled, kind !== 'switch' && kind !== 'none'],
      ['onRows', onRows, kind !== 'none'],
    ] as const) {
      if (!possible) {
        await requireRefusal(subject, name, () => through(turn, 1), 'no-gain', [method.name])
        continue
      }
      const off = await through(turn, 0)
      if (!sameBits(off, base))
        fail(subject, `${name} by 0`, `off by ${largestDifference(off, base)}`, 'the base to the bit')
      requireAtMost(subject, `${name} by 1`, largestDifference(await through(turn, 1), own), 5e-6)
    }
    const eachToken = (): Promise<Float32Array> => through(scaled, 1, (x) => [x.shape[0]!, x.shape[1]!, 1])
    if (kind === 'any' || kind === 'generic')
      requireAtMost(subject, 'scaled by 1 a token, [B, T, 1]', largestDifference(await eachToken(), own), 5e-6)
    if (kind === 'row') await requireRefusal(subject, 'scaled by token', eachToken, 'no-gain', [])
    return undefined
  })

type ShapeOf = (x: Tensor) => number[]

type Turn = (patch: Patch, gain: Gain) => Patch

const withGain = (method: Method, turn: Turn, gain: Gain): Method => ({
  ...method,
  attach: (model, params) => method.attach(model, params).map((patch) => turn({ by: method.name, ...patch }, gain)),
})
