import '@tensorflow/tfjs-backend-cpu'
import { add, memory, mul, scope, square, sum, type Tensor } from '@graftjs/tensor'
import { registerGradients } from '@graftjs/tensor/register'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import { forward } from './forward.ts'
import { gaussian } from './init.ts'
import { around, plus } from './patch.ts'
import { linears } from './select.ts'
import { toyModel } from './toy-model.test-util.ts'
import { attach } from './tuned.ts'
import type { Call, Method } from './types.ts'
import { backward } from './walk.ts'

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await registerGradients()
  await tf.setBackend('cpu')
})

const batch = { ids: [[1, 2, 3]] }
const shift: Method = {
  name: 'shift',
  config: {},
  attach: (model, params) =>
    linears(model, null).map((site) => {
      const w = params.add(`${site.path}.w`, [site.outDim], gaussian(0.5))
      return plus(site, (_x, y) => mul(y, w()))
    }),
}

it('patches of a call stand around the adapter, act in that call alone, and leave nothing behind', () => {
  const model = toyModel()
  const tuned = attach(model, shift, { seed: 1 })
  const [, site] = linears(model, null)
  const order: string[] = []
  const patches = [
    around(site!, (x, next) => {
      order.push('call, before')
      const y = add(next(x), 1)
      order.push('call, after')
      return y
    }),
  ]
  const before = memory()
  const logits = (call: Call = {}): number[] => scope(() => [...forward(tuned, batch, call).logits().dataSync()])
  const bare = logits()
  const patched = logits({ patches })
  expect(patched).not.toEqual(bare)
  expect(order).toEqual(['call, before', 'call, after'])
  expect(logits()).toEqual(bare)
  expect(logits({ patches: [] })).toEqual(bare)
  expect(tuned.patches.get(site!)).toHaveLength(1)
  const loss = (call: Call): Tensor => sum(square(forward(tuned, batch, call).logits()))
  const grads = new Map<string, number[]>()
  for (const round of [1, 2]) {
    const value = backward(
      () => loss({ patches, training: true }),
      ({ path }, grad) => {
        const now = [...grad.dataSync()]
        if (round === 2) expect(now).toEqual(grads.get(path))
        grads.set(path, now)
      },
    )
    value.dispose()
  }
  expect(grads.size).toBe(3)
  expect(memory()).toEqual(before)
  tuned.dispose()
  model.dispose()
})
