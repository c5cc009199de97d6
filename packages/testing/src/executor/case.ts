import { attach, backward, type Call, type Method, type Model, type StoredParam, type Tuned } from '@graftjs/core'
import { dispose, memory, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { decoderBed } from '../conformance/bed.ts'
import { meanLoss } from '../conformance/measure.ts'
import { moveAll } from '../conformance/subject.ts'

/** One test of the executor itself, for any test runner: `run` throws what is wrong. */
export interface ExecutorCase {
  readonly name: string
  run(): Promise<void>
}

export const executorCase = (name: string, run: () => Promise<void> | void): ExecutorCase => ({
  name,
  run: async () => {
    const before = memory().tensors
    await run()
    expect(memory().tensors - before, 0, 'tensors left')
  },
})

export const { batch } = decoderBed

/** Opens the tiny decoder with the method on it, parameters moved, and frees both. */
export const on = async <T>(
  method: Method,
  use: (tuned: Tuned, model: Model) => Promise<T> | T,
  layers?: number,
): Promise<T> => {
  const model = decoderBed.open(layers)
  try {
    const tuned = attach(model, method, { seed: 1 })
    try {
      moveAll(tuned)
      return await use(tuned, model)
    } finally {
      tuned.dispose()
    }
  } finally {
    model.dispose()
  }
}

export const stepOn = (
  tuned: Tuned,
  call: Call = {},
  onGrad: (p: StoredParam, grad: Tensor) => void = () => {},
): void => dispose(backward(() => meanLoss(tuned, batch, call), onGrad))

export const expect = <T>(given: T, expected: T, what: string): void => {
  if (Object.is(given, expected)) return
  throw new GraftError({ code: 'not-conforming', culprit: what, given: String(given), expected: String(expected) })
}

/** What `act` throws: it must be an error of Graft. */
export const thrownBy = async (act: () => unknown): Promise<GraftError> => {
  try {
    await act()
  } catch (error) {
    expect((error as Error).name, 'GraftError', `the error ${(error as Error).message}`)
    return error as GraftError
  }
  throw new GraftError({ code: 'not-conforming', culprit: 'a fault', given: 'no error', expected: 'one' })
}
