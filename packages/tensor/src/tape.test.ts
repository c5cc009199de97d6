import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  defineOp,
  detached,
  dispose,
  isTaping,
  keep,
  memory,
  mul,
  record,
  scope,
  sum,
  type Tensor,
  tensor,
} from './index.ts'
import { registerGradients } from './register.ts'

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await registerGradients()
  await tf.setBackend('cpu')
})

const shifted = defineOp<{ x: Tensor; y: Tensor; bias?: Tensor | undefined }, { scale: number }>({
  name: 'TestShifted',
  composed: ({ x, y, bias }, { scale }) => {
    const product = tf.mul(tf.mul(x, y), scale)
    return bias ? tf.add(product, bias) : product
  },
  save: { inputs: ['x', 'y', 'bias'] },
  gradient: ([dy], { x, y, bias }, { scale }) => ({
    x: () => mul(mul(dy!, y!), scale),
    y: () => mul(mul(dy!, x!), scale),
    bias: bias && (() => tf.clone(dy!)),
  }),
})

describe('the part of the tfjs tape that Graft leans on', () => {
  it('records ops with their inputs, outputs and a gradient, and nothing once closed', () => {
    const x = keep(tensor([1, 2, 3], [3]))
    const tape = record((nodes) => {
      scope(() => sum(mul(x, x)))
      expect(isTaping()).toBe(true)
      detached(() => expect(isTaping()).toBe(false))
      return nodes
    })
    expect(isTaping()).toBe(false)
    expect(tape.map((n) => n.kernelName)).toEqual(expect.arrayContaining(['Multiply', 'Sum']))
    const product = tape.find((n) => n.kernelName === 'Multiply')!
    expect(Object.values(product.inputs)[0]!.id).toBe(x.id)
    expect(Object.keys(product.gradient!([tensor([1, 1, 1], [3])]))).toEqual(['a', 'b'])
    for (const node of tape) dispose(node.saved ?? [])
    dispose(x)
  })

  it('nests: an inner record leaves the outer tape as it was', () => {
    record((outer) => {
      const a = tensor([2], [1])
      mul(a, a)
      const before = outer.length
      record((inner) => {
        mul(a, a)
        expect(inner.length).toBeGreaterThan(0)
      })
      expect(outer.length).toBe(before)
    })
  })
})

describe('defineOp', () => {
  const x = () => tensor([1, -2, 3], [3])
  const y = () => tensor([4, 5, 6], [3])

  it('is differentiable by stock tfjs, with and without its optional input', () => {
    for (const bias of [undefined, tensor([1, 1, 1], [3])]) {
      const [a, b] = [x(), y()]
      const xs = bias ? [a, b, bias] : [a, b]
      const { grads } = tf
        .engine()
        .gradients(() => sum(shifted({ x: a, y: b, bias }, { scale: 2 })[0]!) as tf.Tensor, xs)
      expect([...grads[0]!.dataSync()]).toEqual([8, 10, 12])
      expect([...grads[1]!.dataSync()]).toEqual([2, -4, 6])
      if (bias) expect([...grads[2]!.dataSync()]).toEqual([1, 1, 1])
    }
  })

  it('leaves no tensor behind, taped or not', () => {
    const [a, b] = [x(), y()]
    const before = memory().tensors
    dispose(scope(() => shifted({ x: a, y: b }, { scale: 3 })))
    dispose(
      scope(() => tf.engine().gradients(() => sum(shifted({ x: a, y: b }, { scale: 2 })[0]!) as tf.Tensor, [a]).grads),
    )
    expect(memory().tensors).toBe(before)
  })
})
