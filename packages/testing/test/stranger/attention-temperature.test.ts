import { all, attach, backward, exportAdapter, forward, type Gain, gated, type Model, type Tuned } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { mul, ones, scope, sub } from '@graftjs/tensor'
import { type CheckName, checks, decoderBed, encoderDecoderBed, meanLoss, methods, tinyDecoder } from '@graftjs/testing'
import { testMethod } from '@graftjs/testing/vitest'
import { beforeAll, expect, it } from 'vitest'
import { attentionTemperature } from './attention-temperature.ts'

beforeAll(async () => {
  await useSimd({ threads: 1 })
})

// Heads have to be told, and the beds have 4 and 3. On the encoder-decoder there are 18 numbers to train, with which 25
// steps do not lower the loss by 5 %, whatever the learning rate: `trains` is left out.
const withoutTrains = (Object.keys(checks) as CheckName[]).filter((name) => name !== 'trains')
testMethod(attentionTemperature({ heads: 4 }), { identityAtStart: true }, { beds: [decoderBed] })
testMethod(
  { ...attentionTemperature({ heads: 3 }), name: 'attention-temperature of 3 heads' },
  { identityAtStart: true },
  { beds: [encoderDecoderBed], only: withoutTrains },
)

const logits = (tuned: Tuned | Model) =>
  scope(() => [
    ...forward(tuned, { ids: [[5, 9, 2]] })
      .logits()
      .dataSync(),
  ])
const both = () => all(attentionTemperature({ heads: 4 }), methods.lora())

it('trains beside LoRA, and comes back to the bit', async () => {
  const model = tinyDecoder()
  const tuned = attach(model, both(), { seed: 0 })
  const step = (seed: number) =>
    scope(
      () =>
        backward(
          () => meanLoss(tuned, decoderBed.batch, { training: true, seed }),
          (param, grad) => param.set(sub(param.value, mul(grad, 0.1))),
        ).dataSync()[0]!,
    )
  const losses = Array.from({ length: 20 }, (_, i) => step(i))
  expect(losses.at(-1)).toBeLessThan(0.95 * losses[0]!)
  const { tensors } = await exportAdapter(tuned)
  const tau = tensors.get('model.layers.0.self_attn.attention.temperature')!
  expect(tau.shape).toEqual([4])
  expect(tau.data.every((t) => t !== 0)).toBe(true)
  const again = attach(model, both(), { seed: 1, values: tensors })
  expect(logits(again)).toEqual(logits(tuned))
  for (const each of [tuned, again, model]) each.dispose()
})

const gains: [string, Gain][] = [
  ['number', () => ones([])],
  ['[B, 1, 1]', (x) => ones([x.shape[0]!, 1, 1])],
  ['[B, T, 1]', (x) => ones([x.shape[0]!, x.shape[1]!, 1])],
]

it.each(gains)('takes a gain of shape %s', (_, gain) => {
  const model = tinyDecoder()
  const method = attentionTemperature({ heads: 4 })
  const values = new Map(
    [0, 1].map((i) => [
      `model.layers.${i}.self_attn.attention.temperature`,
      { shape: [4], data: Float32Array.of(0.3, -0.2, 0.5, -0.7) },
    ]),
  )
  const plain = attach(model, method, { values })
  const at = (g: number) =>
    attach(
      model,
      gated(method, () => (x, run) => mul(gain(x, run), g)),
      { values },
    )
  const [off, on, twice] = [at(0), at(1), at(2)]
  expect(logits(off)).toEqual(logits(model))
  expect(logits(on)).toEqual(logits(plain))
  expect(logits(plain)).not.toEqual(logits(model))
  expect(logits(twice)).not.toEqual(logits(plain))
  for (const each of [plain, off, on, twice, model]) each.dispose()
})

it('refuses a number of heads that the model does not have', () => {
  const model = tinyDecoder()
  expect(() => attach(model, attentionTemperature({ heads: 5 }))).toThrow('heads at model.layers.0.self_attn.attention')
  const tuned = attach(model, attentionTemperature({ heads: 2 }))
  expect(() => logits(tuned)).toThrow('4, as the queries have')
  for (const each of [tuned, model]) each.dispose()
})
