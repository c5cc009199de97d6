import type { Call, StoredParam, Tuned } from '@graftjs/core'
import { unstaged, withTallies } from '@graftjs/core/check'
import { add, dispose, keep, random, scope, type Tensor, tensor } from '@graftjs/tensor'
import { engine } from '@tensorflow/tfjs-core'
import {
  type Gradients,
  gradientError,
  gradientsOf,
  meanLoss,
  norm,
  read,
  sameGradients,
  trainable,
} from './measure.ts'
import { type Check, fail, requireAtMost, type Subject, withTuned } from './subject.ts'

/** Dropout acts, so that a replay that draws other masks is seen. */
export const training: Call = { training: true, seed: 11 }

/**
 * Gradients of the staged executor equal those of one tape over the whole model and of tfjs's own backpropagation, agree
 * with finite differences of two step sizes, and are the same bits whatever `keep` is.
 */
export const gradients: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { batch } = subject.bed
    const loss =
      (call: Call = {}) =>
      () =>
        meanLoss(tuned, batch, { ...training, ...call })
    const ours = await gradientsOf(loss())
    const missing = trainable(tuned).find((p) => !ours.grads.has(p.path))
    if (missing)
      fail(subject, `the gradient of ${missing.path}`, 'none', 'one for every trainable parameter: what reads it?')
    const whole = await unstaged(() => gradientsOf(loss()))
    const tape = gradientError(ours.grads, whole.grads)
    requireAtMost(subject, 'gradients against one whole tape', tape, 1e-5)
    requireAtMost(subject, 'loss against one whole tape', Math.abs(ours.loss - whole.loss), 1e-6 * Math.abs(whole.loss))
    const stock = gradientError(ours.grads, await stockGradients(tuned, loss()))
    requireAtMost(subject, 'gradients against tfjs', stock, 1e-5)
    for (const keepMode of ['all', 3000] as const) {
      const again = await gradientsOf(loss({ keep: keepMode }))
      if (again.loss !== ours.loss || !sameGradients(again.grads, ours.grads))
        fail(
          subject,
          `keep ${keepMode}`,
          `other bits (off by ${gradientError(again.grads, ours.grads)})`,
          'those of keep none',
        )
    }
    const [coarse, fine] = await slopes(subject, tuned, loss(), ours.grads)
    requireAtMost(subject, 'finite differences, step 3e-3', coarse, 1e-2)
    requireAtMost(subject, 'finite differences, step 1e-3', fine, 1e-2)
    return { tape, stock, 'fd 3e-3': coarse, 'fd 1e-3': fine }
  })

/** tfjs's own reverse mode over the whole model, tallies counted. */
const stockGradients = async (tuned: Tuned, loss: () => Tensor): Promise<Gradients> => {
  const params = trainable(tuned)
  const grads = scope(
    () =>
      unstaged(() =>
        engine().gradients(
          () => withTallies(loss),
          params.map((p) => p.value),
        ),
      ).grads,
  )
  const read = new Map<string, Float32Array>()
  for (const [i, param] of params.entries())
    read.set(param.path, Float32Array.from((await grads[i]!.data()) as Float32Array))
  dispose(grads)
  return read
}

/**
 * Finite differences of two step sizes along one direction. A ReLU or a router's choice that stands within a step of its
 * kink spoils a direction, so a few are tried; a wrong gradient is wrong along all.
 */
const slopes = async (
  subject: Subject,
  tuned: Tuned,
  loss: () => Tensor,
  grads: Gradients,
): Promise<[number, number]> => {
  let best: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const seed of [5, 6, 7]) {
    const at = (step: number) => finiteDifferenceError(subject, tuned, loss, grads, step, seed)
    const errors: [number, number] = [await at(3e-3), await at(1e-3)]
    if (Math.max(...errors) < Math.max(...best)) best = errors
    if (Math.max(...best) < 1e-2) break
  }
  return best
}

/** How far the slope along one direction is from what the gradients say, in units of the gradient along it. */
const finiteDifferenceError = async (
  subject: Subject,
  tuned: Tuned,
  loss: () => Tensor,
  grads: Gradients,
  step: number,
  seed: number,
): Promise<number> => {
  const params = trainable(tuned).filter((p) => grads.has(p.path))
  const directions = new Map(params.map((p) => [p.path, directionOf(p.path, grads.get(p.path)!, seed)]))
  const slope = params.reduce((total, p) => total + dot(grads.get(p.path)!, directions.get(p.path)!), 0)
  const length = Math.sqrt([...directions.values()].reduce((total, v) => total + norm(v) ** 2, 0))
  const at = async (h: number): Promise<number> => {
    const restore = params.map((p) => shifted(p, directions.get(p.path)!, h / length))
    const [value] = await read(() => withTallies(loss))
    for (const undo of restore) undo()
    return value!
  }
  const measured = ((await at(step)) - (await at(-step))) / ((2 * step) / length)
  if (slope === 0) fail(subject, 'finite differences', 'a gradient of 0', 'one that moves the loss')
  return Math.abs(measured - slope) / Math.abs(slope)
}

/** Half along the gradient, so that the slope is no rounding error, half anywhere. */
const directionOf = (path: string, grad: Float32Array, seed: number): Float32Array => {
  const anywhere = random(seed, path).fill(new Float32Array(grad.length), 'normal')
  const [a, b] = [norm(grad) || 1, norm(anywhere)]
  return grad.map((g, i) => g / a + (0.5 * anywhere[i]!) / b)
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((total, x, i) => total + x * b[i]!, 0)

/** Moves a parameter and returns what moves it back, to the bit. */
const shifted = (param: StoredParam, direction: Float32Array, h: number): (() => void) => {
  const before = keep(scope(() => add(param.value, 0)))
  param.set(
    scope(() =>
      add(
        param.value,
        tensor(
          direction.map((x) => x * h),
          param.shape,
        ),
      ),
    ),
  )
  return () => param.set(before)
}
