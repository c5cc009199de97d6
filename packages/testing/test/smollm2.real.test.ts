import { existsSync, readFileSync } from 'node:fs'
import { attach, forward } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { generate, type LoadedModel, loadModel } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

interface Expected {
  readonly prompts: {
    text: string
    ids: number[]
    top: number[]
    topLogits: number[]
    at: number[]
    logits: number[]
  }[]
  readonly greedy: number[]
  readonly counts: Record<string, [number, number]>
}
const expected = JSON.parse(readFileSync(`${fixtureDir('smollm2-135m-q4_1')}/expected.json`, 'utf8')) as Expected
const file = process.env.GRAFT_MODEL ?? ''

describe('SmolLM2-135M-Instruct from the Q4_1 GGUF, against transformers reading the same file', () => {
  let model: LoadedModel
  beforeAll(async () => {
    if (!existsSync(file))
      throw new Error(`GRAFT_MODEL must name the .gguf file (npm run test:real sets it); given ${JSON.stringify(file)}`)
    await useSimd()
    model = await loadModel(file)
  })
  afterAll(() => model?.dispose())

  it.each(expected.prompts.map((p) => [p.text, p] as const))(
    '%j: token ids, top token, logits within 2e-3',
    (text, p) => {
      expect(model.tokenizer!.encode(text, { addSpecialTokens: false })).toEqual(p.ids)
      const logits = scope(
        () =>
          forward(model, { ids: [p.ids] })
            .logits(-1)
            .dataSync() as Float32Array,
      )
      const best = logits.reduce((at, v, i) => (v > logits[at]! ? i : at), 0)
      expect(best).toBe(p.top[0])
      for (const [i, id] of p.top.entries()) expect(Math.abs(logits[id]! - p.topLogits[i]!)).toBeLessThan(2e-3)
      for (const [i, id] of p.at.entries()) expect(Math.abs(logits[id]! - p.logits[i]!)).toBeLessThan(2e-3)
    },
  )

  it('continues "The capital of France is" with " Paris." and transformers\' greedy tokens', async () => {
    const [tokens] = await generate(model, [expected.prompts[0]!.ids], {
      maxNewTokens: expected.greedy.length,
      stopIds: [model.tokenizer!.eosId!],
    })
    expect(model.tokenizer!.decode(tokens!)).toMatch(/^ Paris\./)
    expect(tokens).toEqual(expected.greedy.slice(0, tokens!.length))
  })

  it.each([
    ['qv', null],
    ['all-linear', 'all-linear'],
  ] as const)("describe() prints PEFT's numbers for %s", (key, targetModules) => {
    const tuned = attach(model, lora({ r: 8, targetModules }))
    const [trainable, all] = expected.counts[key]!
    expect(tuned.describe()).toContain(
      `trainable params: ${trainable.toLocaleString('en-US')} || all params: ${all.toLocaleString('en-US')} ||`,
    )
    tuned.dispose()
  })
})
