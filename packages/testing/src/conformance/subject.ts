import { attach, type Method, type Model, type Refusal, type StoredParam, type Tuned } from '@graftjs/core'
import { add, random, scope, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Bed } from './bed.ts'
import type { Promises } from './promises.ts'

/** What is under test: a method on a model. */
export interface Subject {
  readonly method: Method
  readonly promises: Promises
  readonly bed: Bed
}

/** Figures of a check that passed, for the table. */
export type Figures = Readonly<Record<string, number>>

export type Check = (subject: Subject) => Promise<Figures | undefined>

/** Opens the bed's model with the method on it, every parameter moved off its initial value; frees both. */
export const withTuned = async <T>(
  { bed, method }: Subject,
  use: (tuned: Tuned, model: Model) => Promise<T>,
  { layers, moved = true }: { layers?: number; moved?: boolean } = {},
): Promise<T> => {
  const model = bed.open(layers)
  try {
    const tuned = attach(model, method, { seed: 1 })
    try {
      if (moved) moveAll(tuned)
      return await use(tuned, model)
    } finally {
      tuned.dispose()
    }
  } finally {
    model.dispose()
  }
}

/** Adds noise to every parameter, so that no zero of the start hides a fault. */
export const moveAll = (tuned: Tuned, seed = 2, name = tuned.active, only = (_: StoredParam) => true): void => {
  for (const [path, param] of tuned.adapter(name!).params.all) {
    if (!only(param)) continue
    const noise = random(seed, path).fill(new Float32Array(param.value.size), 'normal')
    param.set(
      scope(() =>
        add(
          param.value,
          tensor(
            noise.map((n) => n * 0.15),
            param.shape,
          ),
        ),
      ),
    )
  }
}

export const fail = ({ method, bed }: Subject, what: string, given: string, expected: string): never => {
  throw new GraftError({
    code: 'not-conforming',
    culprit: method.name,
    message: `${method.name} on the ${bed.name}: ${what}: given ${given}; expected ${expected}`,
  })
}

export const requireAtMost = (subject: Subject, what: string, given: number, most: number): void => {
  if (!(given <= most)) fail(subject, what, String(given), `at most ${most}`)
}

/** `act` must throw an error of Graft with this code whose text has each of `names`. */
export const requireRefusal = async (
  subject: Subject,
  what: string,
  act: () => unknown,
  code: string,
  names: readonly string[],
): Promise<void> => {
  let thrown: unknown
  try {
    await act()
  } catch (error) {
    thrown = error
  }
  const { code: given, message = 'no error' } = (thrown ?? {}) as { code?: string; message?: string }
  if (given === code && names.every((name) => message.includes(name))) return
  fail(subject, what, `${given ?? 'no code'}: ${message}`, `an error ${code} that names ${names.join(' and ')}`)
}

/** The method, or the part of it, that an error about `what` must name. */
export const refuserOf = (tuned: Tuned, what: Refusal): string =>
  [...tuned.patches.values()].flat().find((patch) => patch.refuses?.includes(what))?.by ?? 'a patch that refuses it'
