import { all, attach, backward, type Method } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { dispose } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Bed,
  type Counts,
  counted,
  decoderBed,
  encoderDecoderBed,
  meanLoss,
  methods,
  peakBytes,
} from '../../src/index.ts'
import { printTable } from './table.ts'

const { full, ladder, lora, prompt, sideNetwork } = methods

/** Which stages of the model a step runs forward, and which it runs again to walk back through. */
const runs = (bed: Bed, method: Method, layers?: number): { again: string[]; forward: number; peak: number } => {
  const model = bed.open(layers)
  const counts = new Map<string, Counts>()
  const tuned = attach(counted(model, counts), method, { seed: 1 })
  const step = (): void =>
    dispose(
      backward(
        () => meanLoss(tuned, bed.batch),
        () => {},
      ),
    )
  const peak = peakBytes(step)
  tuned.dispose()
  model.dispose()
  const again = [...counts].flatMap(([path, count]) => (count.again ? [path] : []))
  const forward = Math.max(...[...counts.values()].map((count) => count.forward))
  return { again, forward, peak }
}

const table = new Map<string, Record<string, number>>()

describe('what a step runs', () => {
  beforeAll(async () => {
    env().set('IS_TEST', true)
    await useSimd({ threads: 1 })
  })
  afterAll(() => printTable('Stages of the model that a step runs again', table))

  const top = lora({ targets: ['model.layers.3.mlp.down_proj'] })
  const bottom = lora({ targets: ['model.layers.0.self_attn.q_proj'] })
  const decoderOnly = lora({ targets: 'decoder\\..*\\.(q|v)' })
  const blocks = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, i) => `model.layers.${from + i}`)

  it.each([
    ['ladder, decoder', decoderBed, ladder(), []],
    ['side network, decoder', decoderBed, sideNetwork(), []],
    ['ladder, encoder-decoder', encoderDecoderBed, ladder(), []],
    ['side network, encoder-decoder', encoderDecoderBed, sideNetwork(), []],
    ['ladder + side network of LoRA at the top', decoderBed, all(ladder(), top), ['model.layers.3']],
    ['LoRA at the top layer', decoderBed, top, ['model.layers.3']],
    ['LoRA at the bottom layer', decoderBed, bottom, blocks(0, 4)],
    ['prompt', decoderBed, prompt(), blocks(0, 4)],
    ['full tuning', decoderBed, full(), ['model.embed', ...blocks(0, 4)]],
    ['LoRA in the decoder alone', encoderDecoderBed, decoderOnly, ['decoder.block.0', 'decoder.block.1']],
  ] as [string, Bed, Method, string[]][])('%s', (name, bed, method, expected) => {
    const { again, forward } = runs(bed, method, 4)
    expect(again.sort()).toEqual([...expected].sort())
    expect(forward).toBe(1)
    table.set(name, { 'forward at most': forward, again: again.length })
  })
})
