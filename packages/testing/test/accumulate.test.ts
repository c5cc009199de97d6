import { attach } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import type { Optimizer } from '@graftjs/optim'
import { tensor } from '@graftjs/tensor'
import { train } from '@graftjs/trainer'
import { expect, it } from 'vitest'
import { relativeError } from '../src/index.ts'
import { resumeSamples as samples } from './support/resume-run.ts'
import { withTinyLlama } from './support/set-up.ts'

const base = withTinyLlama()

/** Takes the gradients down and changes nothing. */
const recorder = (): Optimizer & { readonly grads: Map<string, Float32Array> } => {
  const grads = new Map<string, Float32Array>()
  return {
    name: 'recorder',
    config: {},
    learningRate: 1,
    grads,
    update: ({ path }, grad) => void grads.set(path, grad.dataSync().slice() as Float32Array),
    state: async () => new Map(),
    load: () => {},
    dispose: () => {},
  }
}

// 11 rows of different lengths: each split pads otherwise, and the last micro-batch of most is short.
it.each([
  [1, 11],
  [2, 6],
  [3, 4],
  [5, 3],
])(
  '%d rows × %d micro-batches give the loss and the gradients of one batch, by tokens',
  async (batchSize, accumulate) => {
    const step = async (batchSize: number, accumulate: number) => {
      const tuned = attach(base.model, lora({ r: 4, targetModules: 'all-linear' }), { seed: 1 })
      // B starts at zero and A would have no gradient.
      for (const [path, param] of tuned.params.all)
        if (path.endsWith('lora_B.weight'))
          param.set(
            tensor(
              Float32Array.from({ length: param.value.size }, (_, i) => Math.sin(i) / 10),
              param.shape,
            ),
          )
      const optimizer = recorder()
      const { losses } = await train(tuned, samples, { optimizer, steps: 1, batchSize, accumulate, seed: 3 })
      tuned.dispose()
      return { loss: losses[0]!, grads: optimizer.grads }
    }
    const [large, small] = [await step(11, 1), await step(batchSize, accumulate)]
    expect(Math.abs(small.loss / large.loss - 1)).toBeLessThan(1e-6)
    expect([...small.grads.keys()].sort()).toEqual([...large.grads.keys()].sort())
    const whole = (grads: ReadonlyMap<string, Float32Array>): number[] =>
      [...large.grads.keys()].flatMap((path) => [...grads.get(path)!])
    expect(relativeError(whole(small.grads), whole(large.grads))).toBeLessThan(1e-6)
  },
)
