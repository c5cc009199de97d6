import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { forward } from '@graftjs/core'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { createCache, generate, type LoadedModel, loadModel, padRows } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'
import { backends, furthest } from './support/on-backends.ts'

/** What tooling/oracle/tiny_families.py recorded: `logits` of the rows' tokens, one after another. */
interface Facts {
  readonly rows: number[][]
  readonly greedy: number[][]
}

/** Logits at the tokens that are not padding, row after row. */
const logitsOf = (model: LoadedModel, rows: number[][], side: 'left' | 'right'): Float32Array => {
  // What stands at a padded place must not matter.
  const { ids, mask } = padRows(rows, 7, side)
  const all = scope(() => Float32Array.from(forward(model, { ids, mask }).logits().dataSync()))
  const kept = mask.flat()
  const vocab = all.length / kept.length
  return all.filter((_, i) => kept[Math.floor(i / vocab)])
}

const inPieces = (model: LoadedModel, row: number[], sizes: number[]): Float32Array => {
  const cache = createCache()
  const parts: number[] = []
  let at = 0
  for (const size of sizes) {
    const ids = [row.slice(at, at + size)]
    parts.push(...scope(() => Float32Array.from(forward(model, { ids }, { cache }).logits().dataSync())))
    at += size
  }
  cache.dispose()
  return Float32Array.from(parts)
}

/** The logits at every token of `rows`, as tooling/oracle/tiny_families.py recorded them. */
const expectedOf = async (dir: string): Promise<Float32Array> =>
  toFloat32(await (await openSafetensors(bytesSource(readFileSync(`${dir}/expected.safetensors`)))).read('logits'))
const factsOf = (dir: string): Facts => JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as Facts

const names = readdirSync(fixtureDir('families'))
for (const [backend, use] of Object.entries(backends))
  describe.each(names)(`%s on ${backend}, against transformers`, (name) => {
    const dir = fixtureDir(`families/${name}`)
    const { rows, greedy } = factsOf(dir)
    let model: LoadedModel
    let expected: Float32Array
    beforeAll(async () => {
      await use()
      model = await loadModel(dir)
      expected = await expectedOf(dir)
    })
    afterAll(() => model.dispose())

    it('logits of rows padded on the right, on the left, and alone', () => {
      for (const side of ['right', 'left'] as const)
        expect(furthest(logitsOf(model, rows, side), expected)).toBeLessThan(1e-4)
      const alone = rows.flatMap((row) => [...logitsOf(model, [row], 'right')])
      expect(furthest(Float32Array.from(alone), expected)).toBeLessThan(1e-4)
    })

    it('with a cache, and packed into one row: the same logits', () => {
      const [first, second] = rows as [number[], number[], number[]]
      const wanted = expected.subarray(0, (expected.length / rows.flat().length) * first.length)
      for (const sizes of [first.map(() => 1), [6, 1, 4, 2]])
        expect(furthest(inPieces(model, first, sizes), wanted)).toBeLessThan(1e-4)
      const batch = {
        ids: [[...second, ...first]],
        positions: [[...second, ...first].map((_, t) => (t < second.length ? t : t - second.length))],
        segments: [[...second.map(() => 0), ...first.map(() => 1)]],
      }
      const packed = scope(() => Float32Array.from(forward(model, batch).logits(second.length).dataSync()))
      expect(furthest(packed, wanted)).toBeLessThan(1e-4)
    })

    it('greedy tokens, alone and batched', async () => {
      const maxNewTokens = greedy[0]!.length
      expect(await generate(model, rows, { maxNewTokens })).toEqual(greedy)
      for (const [i, row] of rows.entries()) expect(await generate(model, [row], { maxNewTokens })).toEqual([greedy[i]])
    })
  })

describe('GGUF files laid out as llama.cpp does (tooling/oracle/families_gguf.py)', () => {
  beforeAll(() => backends.simd())

  it.each(names.filter((name) => existsSync(`${fixtureDir(`families/${name}`)}/model.gguf`)))('%s', async (name) => {
    const dir = fixtureDir(`families/${name}`)
    const model = await loadModel(`${dir}/model.gguf`)
    expect(furthest(logitsOf(model, factsOf(dir).rows, 'left'), await expectedOf(dir))).toBeLessThan(1e-4)
    model.dispose()
  })
})
