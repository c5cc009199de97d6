import { tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Values } from './params.ts'
import { requireSameKeys, type Tuned } from './tuned.ts'

/**
 * Puts other values into an adapter that is attached, such as those of another training run: nothing is attached anew, and
 * what is compiled for its shapes stays. All or nothing: a missing, unexpected or misshapen tensor throws before any is
 * replaced. Errors: `unknown-adapter`, `adapter-mismatch`, `bad-shape`.
 */
export const swapValues = (tuned: Tuned, name: string, values: Values): void => {
  const { params } = tuned.adapter(name)
  requireSameKeys(params, values)
  for (const [path, { shape }] of params.all) {
    const given = values.get(path)!
    if (given.shape.join() === shape.join()) continue
    throw new GraftError({
      code: 'bad-shape',
      culprit: path,
      given: `shape [${given.shape}]`,
      expected: `[${shape}], as the adapter ${name} has it; one of other shapes is added beside it`,
    })
  }
  for (const [path, param] of params.all) param.set(tensor(values.get(path)!.data, param.shape))
}
