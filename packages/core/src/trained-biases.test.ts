import '@tensorflow/tfjs-backend-cpu'
import { clone, keep, linear, scope, tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { createParams } from './params.ts'
import { trainedBiases } from './trained-biases.ts'
import type { Site } from './types.ts'

beforeAll(async () => void (await tf.setBackend('cpu')))

const siteWith = (path: string, bias?: number[]): Site<'linear'> => {
  const data = keep(tensor([1, 2, 3, 4], [2, 2]))
  return {
    kind: 'linear',
    path,
    layer: -1,
    role: path,
    inDim: 2,
    outDim: 2,
    weight: {
      path: `${path}.weight`,
      shape: [2, 2],
      bytes: 16,
      matmul: (x) => linear(x, data),
      dense: () => clone(data),
    },
    ...(bias && { bias: keep(tensor(bias, [2])) }),
    apply: (x, w) => linear(x, w.weight),
  }
}

describe('trainedBiases', () => {
  it('are parameters that start as the model’s; sites without a bias have none', () => {
    const params = createParams({ seed: 0 })
    const sites = [siteWith('a', [5, 6]), siteWith('b')]
    expect(trainedBiases(sites, params, ({ path }) => `${path}.base_layer.bias`)).toHaveLength(1)
    expect([...params.all.keys()]).toEqual(['a.base_layer.bias'])
    expect([...params.all.get('a.base_layer.bias')!.value.dataSync()]).toEqual([5, 6])
  })

  it('fold onto what an inner patch has made of the bias', () => {
    const params = createParams({ seed: 0 })
    const site = siteWith('a', [5, 6])
    const [patch] = trainedBiases([site], params)
    params.all.get('a.bias')!.set(tensor([5.5, 4], [2]))
    const weight = site.weight.dense()
    const folded = (bias: number[]): number[] =>
      scope(() => [...patch!.fold!({ weight, bias: tensor(bias, [2]) }).bias!.dataSync()])
    expect(folded([15, 16])).toEqual([15.5, 14])
    expect([...patch!.fold!({ weight, bias: site.bias! }).bias!.dataSync()]).toEqual([5.5, 4])
  })
})
