import { readFileSync } from 'node:fs'
import { all, around, attach, type Model, type Tuned } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import { type BeamSearchOptions, beamSearch, generate } from '@graftjs/models'
import { memory } from '@graftjs/tensor'
import { describe, expect, it } from 'vitest'
import { prefix } from '../src/methods/index.ts'
import { fixtureDir } from './fixture.ts'
import { withTinyLlama } from './support/set-up.ts'

const base = withTinyLlama()

interface Case {
  readonly stops: number[]
  readonly options: Readonly<Record<string, number | boolean | string>>
  readonly beams: { readonly ids: number[]; readonly score?: number }[][]
}
const { prompts, maxNewTokens, cases } = JSON.parse(readFileSync(`${fixtureDir('tiny-llama')}/beams.json`, 'utf8')) as {
  prompts: number[][]
  maxNewTokens: number
  cases: Case[]
}

/** transformers' names as ours. */
const ours = ({ stops, options }: Case): BeamSearchOptions => ({
  ...Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name.replace(/_(.)/g, (_, c: string) => c.toUpperCase()), value]),
  ),
  stopIds: stops,
  maxNewTokens,
})
const titled = cases.map((one): [string, Case] => [`${JSON.stringify(one.options)}, ending at ${one.stops}`, one])

describe('as transformers', () => {
  it.each(titled.filter(([, { options }]) => options.num_beams === 1))('greedy %s', async (_, one) => {
    const made = await generate(base.model, prompts, { stopIds: one.stops, maxNewTokens })
    expect(made).toEqual(one.beams.map(([beam]) => beam!.ids))
    // One beam is greedy search.
    const beams = await beamSearch(base.model, prompts, { ...ours(one), numBeams: 1 })
    expect(beams.map(([beam]) => beam!.ids)).toEqual(made)
  })

  it.each(titled.filter(([, { options }]) => options.num_beams !== 1))('%s', async (_, one) => {
    const before = memory()
    const made = await beamSearch(base.model, prompts, ours(one))
    expect(memory()).toEqual(before)
    expect(made.map((beams) => beams.map(({ ids }) => ids))).toEqual(one.beams.map((b) => b.map(({ ids }) => ids)))
    made.flat().forEach(({ score }, i) => expect(score).toBeCloseTo(one.beams.flat()[i]!.score!, 4))
  })
})

describe('beam search', () => {
  it('is the same with a cache and without, batched and alone', async () => {
    const options = { numBeams: 3, numReturnSequences: 3, maxNewTokens: 6, stopIds: [58, 75] }
    const cached = await beamSearch(base.model, prompts, options)
    for (const [p, prompt] of prompts.entries()) {
      const [alone] = await beamSearch(base.model, [prompt], options)
      expect(alone!.map(({ ids }) => ids)).toEqual(cached[p]!.map(({ ids }) => ids))
    }
    // A method that reads a row as one whole refuses the cache: then every step runs the whole text.
    const whole = (model: Model): Tuned =>
      attach(model, {
        name: 'whole',
        config: {},
        attach: (m) => [around(m.backbone, (x, next) => next(x), { refuses: ['cache'] })],
      })
    const recomputed = await beamSearch(whole(base.model), prompts, options)
    expect(recomputed.map((beams) => beams.map(({ ids }) => ids))).toEqual(
      cached.map((beams) => beams.map(({ ids }) => ids)),
    )
  })

  it('runs with adapters, virtual tokens in front of the cache among them', async () => {
    const tuned = attach(base.model, all(lora({ r: 2 }), prefix({ tokens: 2 })), { seed: 3 })
    const options = { numBeams: 2, maxNewTokens: 4 }
    const together = await beamSearch(tuned, prompts, options)
    const [alone] = await beamSearch(tuned, [prompts[1]!], options)
    expect(together[1]![0]!.ids).toEqual(alone![0]!.ids)
    tuned.dispose()
  })

  it('ends where it is told to, and leaves nothing behind', async () => {
    const abort = new AbortController()
    const before = memory()
    const running = beamSearch(base.model, prompts, { maxNewTokens: 50, signal: abort.signal })
    setTimeout(() => abort.abort(new Error('enough')), 5)
    await expect(running).rejects.toThrow('enough')
    expect(memory()).toEqual(before)
  })

  it.each<[BeamSearchOptions, RegExp]>([
    [{ numBeams: 0 }, /numBeams: given 0; expected a whole number ≥ 1/],
    [{ numBeams: 2, numReturnSequences: 3 }, /numReturnSequences: given 3; expected at most numBeams, 2/],
    [{ lengthPenalty: Number.NaN }, /lengthPenalty: given NaN/],
    [{ earlyStopping: 'soon' as never }, /earlyStopping: given soon; expected true, false or never/],
  ])('%o is refused', async (options, message) => {
    await expect(beamSearch(base.model, prompts, options)).rejects.toThrow(message)
  })
})
