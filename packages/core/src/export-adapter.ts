import { dispose, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Value, Values } from './params.ts'
import type { Tuned } from './tuned.ts'
import type { Method } from './types.ts'

/** All that an adapter is, as data: named tensors and the method whose `config` makes it again. */
export interface ExportedAdapter {
  readonly method: Method
  /** What its file holds, by the name on disk: derived parameters as they came out. */
  readonly tensors: Values
  /** What derived parameters are made of, kept apart: only training on needs it. */
  readonly reparam: Values
}

/** Reads an adapter's parameters back from the device. */
export const exportAdapter = async (tuned: Tuned, name = tuned.active): Promise<ExportedAdapter> => {
  if (name === null)
    throw new GraftError({
      code: 'unknown-adapter',
      culprit: 'adapter',
      given: 'a model whose base is bare',
      expected: 'an active adapter, or the name of one',
    })
  const { method, params } = tuned.adapter(name)
  const sources = new Set([...params.derived.values()].flatMap((p) => [...p.sources]))
  const tensors = new Map<string, Value>()
  const reparam = new Map<string, Value>()
  for (const [path, param] of params.all) (sources.has(param) ? reparam : tensors).set(path, await read(param.value))
  for (const [path, param] of params.derived) {
    const made = scope(() => param.make())
    tensors.set(path, await read(made))
    dispose(made)
  }
  return { method, tensors, reparam }
}

const read = async (t: Tensor): Promise<Value> => ({ shape: t.shape, data: (await t.data()) as Float32Array })
