// The code of docs/methods/write-your-own.md, run as it stands there: the page's own tests register themselves on import.
import { all, attach, forward, type Gain, gated, type Method, type Tuned } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { mul, ones, scope } from '@graftjs/tensor'
import { beforeAll, describe, expect, it } from 'vitest'
import { conformanceCases, methods, tinyDecoder } from '../../src/index.ts'
import { imported, namedBlocks, read } from './page.ts'

const NAMES = [
  'ln-tuning.ts',
  'ln-tuning-test.ts',
  'attention-temperature.ts',
  'attention-temperature-test.ts',
  'index.ts',
  'saving-test.ts',
]
const page = read('docs/methods/write-your-own.md')
const files = namedBlocks(page, NAMES)

const modules = await imported(files, NAMES)

describe('the tutorial', () => {
  beforeAll(async () => void (await useSimd({ threads: 1 })))

  it('fails where a block is missing', () => {
    expect(() => namedBlocks(page.replaceAll('[ln-tuning.ts]', ''), NAMES)).toThrow('no block ln-tuning.ts')
    expect(() => namedBlocks('', NAMES)).toThrow(`no block ${NAMES.join(', ')}`)
  })

  it('has a first method of fifteen lines at most', () => {
    const [, body] = files.get('ln-tuning.ts')!.split(/(?=^export const)/m)
    expect(body!.trim().split('\n').length).toBeLessThanOrEqual(15)
  })

  // Whatever the page's own tests choose to run: the whole suite, without vitest's part of it.
  const lnTuning = modules['ln-tuning.ts']!.lnTuning as () => Method
  it.each(conformanceCases(lnTuning(), { identityAtStart: true, folds: true, foldsToLora: false }))(
    '$name',
    async ({ run }) => void (await run()),
  )

  const temperature = modules['attention-temperature.ts']!.attentionTemperature as () => Method
  it.each(
    conformanceCases(
      { ...all(temperature(), methods.lora()), name: 'temperature and lora' },
      { identityAtStart: true },
    ),
  )('$name', async ({ run }) => void (await run()))

  // What the page says of a gain's shape, and of one gate inside another.
  const shapes: readonly (readonly [string, Gain])[] = [
    ['[]', () => ones([])],
    ['[B, 1, 1]', (x) => ones([x.shape[0]!, 1, 1])],
    ['[B, T, 1]', (x) => ones([x.shape[0]!, x.shape[1]!, 1])],
  ]
  it.each(shapes)('has a second method that takes a gain of shape %s, and another with it', (_, gain) => {
    const model = tinyDecoder()
    const values = new Map(
      [0, 1].map((layer) => [
        `model.layers.${layer}.self_attn.attention.temperature`,
        { shape: [4, 1], data: Float32Array.of(0.3, -0.2, 0.5, -0.7) },
      ]),
    )
    const logits = (tuned: Tuned) =>
      scope(() => [
        ...forward(tuned, { ids: [[5, 9, 2]] })
          .logits()
          .dataSync(),
      ])
    const at = (...by: number[]): number[] => {
      const times = (method: Method, g: number): Method => gated(method, () => (x, run) => mul(gain(x, run), g))
      const tuned = attach(model, by.reduce(times, temperature()), { values })
      const found = logits(tuned)
      tuned.dispose()
      return found
    }
    const base = scope(() => [
      ...forward(model, { ids: [[5, 9, 2]] })
        .logits()
        .dataSync(),
    ])
    expect(at(0)).toEqual(base)
    expect(at(1)).toEqual(at())
    expect(at(0.5, 4)).toEqual(at(2))
    expect(new Set([base, at(), at(2)].map(String)).size).toBe(3)
    model.dispose()
  })
})
