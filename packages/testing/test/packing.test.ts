import { all, attach, type Batch, forward, type Method, type Model, type Tuned } from '@graftjs/core'
import {
  batches,
  collate,
  countTargets,
  mixSets,
  type PackOptions,
  packSamples,
  type Row,
  type Sample,
} from '@graftjs/data'
import { useSimd } from '@graftjs/kernels'
import { add, memory, mul, random, scope, sum, tensor } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gradients, gradientError, gradientsOf, methods, tinyDecoder } from '../src/index.ts'

let model: Model
let tuned: Tuned
/** Moves every parameter off its start: LoRA's zeros would hide half of the gradients. */
const attached = (method: Method): Tuned => {
  const made = attach(model, method, { seed: 1 })
  for (const [path, param] of made.params.all) {
    const noise = random(2, path).fill(new Float32Array(param.value.size), 'normal')
    param.set(scope(() => add(param.value, mul(tensor(noise, param.shape), 0.15))))
  }
  return made
}
beforeAll(async () => {
  await useSimd({ threads: 1 })
  model = tinyDecoder()
  tuned = attached(methods.lora({ dropout: 0, targets: 'all-linear' }))
})
afterAll(() => {
  tuned.dispose()
  model.dispose()
})

/** Documents of 2 to 13 tokens of which the second half is learnt, so that most begin with tokens that are not. */
const samples: Sample[] = Array.from({ length: 29 }, (_, source) => {
  const draw = random(source, 'documents')
  const ids = Array.from({ length: 2 + draw.int(12) }, () => draw.int(31))
  return { ids, labels: ids.map((id, t) => (t > 0 && t >= ids.length / 2 ? id : -100)), source }
})
const whole = (options: Partial<PackOptions> = {}) => packSamples(samples, { maxLength: 24, ...options })

/** Loss and gradients of several batches: their losses summed, by the supervised tokens of all of them. */
const overAll = async (list: readonly Batch[], of = tuned): Promise<{ loss: number; grads: Gradients }> => {
  const targets = list.reduce((n, batch) => n + countTargets(batch), 0)
  let total = 0
  // Summed in float64, so that what is compared is the passes and not this loop.
  const sums = new Map<string, Float64Array>()
  for (const batch of list) {
    const { loss, grads } = await gradientsOf(() => mul(sum(forward(of, batch).nll(batch.labels!)), 1 / targets))
    total += loss
    for (const [path, grad] of grads)
      sums.set(
        path,
        Float64Array.from(grad, (g, i) => g + (sums.get(path)?.[i] ?? 0)),
      )
  }
  return { loss: total, grads: new Map([...sums].map(([path, values]) => [path, Float32Array.from(values)])) }
}
type Sums = Awaited<ReturnType<typeof overAll>>
const expectSame = (a: Sums, b: Sums): void => {
  expect(Math.abs(a.loss / b.loss - 1)).toBeLessThan(1e-6)
  expect(a.grads.size).toBe(28)
  expect(gradientError(a.grads, b.grads)).toBeLessThan(1e-6)
}

describe('packed rows', () => {
  const alone = () => overAll(samples.map((sample) => collate([sample], { padId: 0 })))

  it.each(['right', 'left'] as const)(
    'learn what their documents learn one by one (padded on the %s)',
    async (side) => {
      const expected = await alone()
      for (const epoch of [0, 1]) {
        const { rows, report } = whole({ epoch })
        expect(report.perRow.most).toBeGreaterThan(2)
        expect(report.lostTargets).toBe(0)
        const packed = batches(rows, { batchSize: 3, epoch }).map((list) => collate(list, { padId: 5, side }))
        expectSame(await overAll(packed), expected)
      }
    },
  )
  it('learn it beside rows of one document, and in one large batch', async () => {
    const expected = await alone()
    const { rows } = packSamples(samples.slice(0, 20), { maxLength: 24 })
    expectSame(await overAll([collate([...rows, ...samples.slice(20)], { padId: 0 })]), expected)
  })
  it('learn it with a method of virtual tokens', async () => {
    const prompted = attached(all(methods.prompt(), methods.lora({ dropout: 0 })))
    const packed = whole().rows.map((row) => collate([row], { padId: 0 }))
    const one = await overAll(packed, prompted)
    const other = await overAll(
      samples.map((sample) => collate([sample], { padId: 0 })),
      prompted,
    )
    expect(Math.abs(one.loss / other.loss - 1)).toBeLessThan(1e-6)
    expect(gradientError(one.grads, other.grads)).toBeLessThan(1e-6)
    prompted.dispose()
  })
  it('would learn something else if they leaked: this test can fail', async () => {
    const expected = await alone()
    const rows = whole().rows.map((row) => collate([row], { padId: 0 }))
    const leaks = await overAll(
      rows.map((batch) => ({ ...batch, segments: batch.segments!.map((r) => r.map(() => 0)) })),
    )
    expect(gradientError(leaks.grads, expected.grads)).toBeGreaterThan(1e-3)
    const onwards = await overAll(
      rows.map((batch) => ({ ...batch, positions: batch.ids.map((r) => r.map((_, t) => t)) })),
    )
    // Rotary positions are relative: that they restart changes numbers by rounding alone, and lengths that a model allows.
    expect(gradientError(onwards.grads, expected.grads)).toBeLessThan(1e-5)
    const seams = await overAll(
      packSamples(samples, { maxLength: 24 }).rows.map((row) => {
        const batch = collate([row], { padId: 0 })
        return {
          ...batch,
          labels: [batch.labels[0]!.map((label, t) => (row.positions[t] === 0 ? row.ids[t]! : label))],
        }
      }),
    )
    expect(gradientError(seams.grads, expected.grads)).toBeGreaterThan(1e-3)
  })

  it.each(['right', 'left'] as const)(
    'hide document 1 from document 2, to the bit (padded on the %s)',
    async (side) => {
      const logitsOf = async (first: Sample) => {
        const { rows } = packSamples([first, samples[1]!, samples[2]!], { maxLength: 60, shuffle: false })
        const row = rows[0]!
        expect(row.lengths).toHaveLength(3)
        const long: Sample = {
          ids: new Array(row.ids.length + 3).fill(4),
          labels: new Array(row.ids.length + 3).fill(-100),
          source: 9,
        }
        const batch = collate([row, long], { padId: 0, side })
        const made = scope(() => forward(tuned, batch).logits())
        const values = Float32Array.from((await made.data()) as Float32Array)
        made.dispose()
        const vocab = 31
        const at = side === 'left' ? 3 : 0
        return (document: number): Float32Array[] =>
          row.segments.flatMap((s, t) =>
            row.sources[s] === document ? [values.slice((t + at) * vocab, (t + at + 1) * vocab)] : [],
          )
      }
      const first: Sample = { ...samples[0]!, ids: samples[0]!.ids.map((id) => (id + 7) % 31) }
      const [given, changed] = [await logitsOf(samples[0]!), await logitsOf(first)]
      expect(changed(0)).not.toEqual(given(0))
      for (const document of [1, 2]) {
        expect(changed(document)).toHaveLength(samples[document]!.ids.length)
        expect(changed(document)).toEqual(given(document))
      }
    },
  )
  it('are refused by name where a method reads a row as one whole', () => {
    const reader = attach(model, methods.promptMixture(), { seed: 1 })
    const batch = collate(whole().rows.slice(0, 1), { padId: 0 })
    expect(() => scope(() => forward(reader, batch).logits())).toThrow(
      /cannot run on packed rows; give one document a row/,
    )
    reader.dispose()
  })
})

describe('bucketing', () => {
  it('changes no sum over an epoch, packed or not', async () => {
    for (const rows of [samples, whole().rows] as (readonly Row[])[]) {
      const epoch = (bucketing: boolean) =>
        overAll(batches(rows, { batchSize: 4, seed: 3, bucketing }).map((list) => collate(list, { padId: 0 })))
      expectSame(await epoch(true), await epoch(false))
    }
  })
})

describe('mixed sets', () => {
  it('are samples like others: proportional is their union', async () => {
    const { samples: mixed } = mixSets(
      [
        { name: 'a', samples: samples.slice(0, 9) },
        { name: 'b', samples: samples.slice(9) },
      ],
      { strategy: 'proportional' },
    )
    const sums = (list: readonly Sample[]) =>
      overAll(packSamples(list, { maxLength: 24 }).rows.map((row) => collate([row], { padId: 0 })))
    expectSame(await sums(mixed), await sums(samples))
  })
})

it('nothing is left behind', async () => {
  const step = () =>
    overAll(
      whole()
        .rows.slice(0, 2)
        .map((row) => collate([row], { padId: 0 })),
    )
  await step()
  const { tensors, bytes } = memory()
  await step()
  expect(memory()).toMatchObject({ tensors, bytes })
})
