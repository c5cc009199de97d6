import { attach, type Model, type Tuned } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { generate, type LoadedModel, loadAdapter, loadModel, textCache } from '@graftjs/models'
import { memory } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { methods } from '../src/index.ts'
import { fixtureDir } from './fixture.ts'

let model: LoadedModel
beforeAll(async () => {
  await useSimd({ threads: 2 })
  model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
})
afterAll(() => model.dispose())

/** Counts the tokens that go through the model. */
const counted = (inner: LoadedModel): { model: Model; read: () => number } => {
  let tokens = 0
  return {
    model: {
      ...inner,
      begin: (batch, call) => {
        tokens += batch.ids[0]!.length
        return inner.begin(batch, call)
      },
    },
    read: () => {
      const n = tokens
      tokens = 0
      return n
    },
  }
}
const turns = [
  [4, 7, 1],
  [9, 2],
  [3, 3, 8, 5],
]

describe('textCache', () => {
  const tunings: [string, (m: Model) => Promise<Tuned | Model>][] = [
    ['a bare model', async (m) => m],
    ['virtual tokens in front', async (m) => attach(m, methods.prompt({ tokens: 2 }), { seed: 3 })],
    ['virtual keys in front', async (m) => attach(m, methods.prefix({ tokens: 2 }), { seed: 3 })],
    ['an adapter', (m) => loadAdapter(m, `${fixtureDir('tiny-llama')}/adapter-all`, [lora])],
  ]
  it.each(tunings)(
    'gives the tokens of a call without it, turn by turn, and reads new ones alone: %s',
    async (_, tune) => {
      const { model: m, read } = counted(model)
      const tuned = await tune(m)
      const cache = textCache()
      let text: number[] = []
      for (const [i, turn] of turns.entries()) {
        text = [...text, ...turn]
        for (const options of [{ maxNewTokens: 5 }, { maxNewTokens: 5, temperature: 1.5, seed: i }]) {
          const wanted = await generate(tuned, [text], options)
          read()
          expect(await generate(tuned, [text], { ...options, cache })).toEqual(wanted)
          // Nothing that it had read; of the same text again the last token alone.
          const fresh = 'seed' in options ? 1 : i === 0 ? text.length : turn.length + 1
          expect(read()).toBe(fresh + 4)
        }
        text = [...text, ...(await generate(tuned, [text], { maxNewTokens: 5, cache }))[0]!]
      }
      cache.dispose()
    },
  )

  it('forgets what another text does not share, up to all of it', async () => {
    const cache = textCache()
    const { model: m, read } = counted(model)
    await generate(m, [[5, 6, 7, 8, 9]], { maxNewTokens: 3, cache })
    for (const [text, fresh] of [
      [[5, 6, 7, 1, 2], 2],
      [[5, 6], 1],
      [[8, 8, 8], 3],
    ] as const) {
      const wanted = await generate(m, [text], { maxNewTokens: 6 })
      read()
      expect(await generate(m, [text], { maxNewTokens: 6, cache })).toEqual([wanted[0]])
      expect(read()).toBe(fresh + 5)
    }
    cache.dispose()
  })

  it('may be aborted between tokens and gone on with; nothing is left when it is disposed of', async () => {
    const before = memory().tensors
    const cache = textCache()
    const abort = new AbortController()
    const made: number[] = []
    const run = generate(model, [[5, 6, 7]], {
      maxNewTokens: 50,
      cache,
      signal: abort.signal,
      onToken: (_, id) => {
        made.push(id)
        if (made.length === 4) abort.abort(new Error('enough'))
      },
    })
    await expect(run).rejects.toThrow('enough')
    expect(made).toHaveLength(4)
    expect(cache.ids).toEqual([5, 6, 7, ...made.slice(0, 3)])
    const text = [5, 6, 7, ...made, 2]
    expect(await generate(model, [text], { maxNewTokens: 6, cache })).toEqual(
      await generate(model, [text], { maxNewTokens: 6 }),
    )
    cache.dispose()
    expect(cache.ids).toEqual([])
    expect(memory().tensors).toBe(before)
  })

  it('forgets all where a call failed, and can be used again', async () => {
    const cache = textCache()
    await generate(model, [[5, 6]], { maxNewTokens: 2, cache })
    await expect(generate(model, [[5, 6, 99999]], { cache })).rejects.toThrow('ids[0]')
    expect(await generate(model, [[5, 6, 1]], { maxNewTokens: 4, cache })).toEqual(
      await generate(model, [[5, 6, 1]], { maxNewTokens: 4 }),
    )
    cache.dispose()
  })

  it('is of one text', async () => {
    const cache = textCache()
    await expect(generate(model, [[1], [2]], { cache })).rejects.toThrow('cache: given 2 prompts; expected one')
  })
})
