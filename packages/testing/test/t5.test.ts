import { readFileSync } from 'node:fs'
import { forward } from '@graftjs/core'
import { countTargets } from '@graftjs/data'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { beamSearch, createCache, generate, type LoadedModel, loadModel, padRows } from '@graftjs/models'
import { scope, sum } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'
import { backends, furthest } from './support/on-backends.ts'

/** What tooling/oracle/tiny_encoders.py recorded: `logits` at the labels, one after another. */
interface Facts {
  readonly rows: number[][]
  readonly labels: number[][]
  readonly loss: number
  readonly greedy: number[][]
  readonly beams: number[][]
}

for (const [backend, use] of Object.entries(backends))
  describe.each(['t5', 'flan-t5'])(`%s on ${backend}, against transformers`, (name) => {
    const dir = fixtureDir(`encoders/${name}`)
    const { rows, labels, loss, greedy, beams } = JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as Facts
    let model: LoadedModel
    let expected: Float32Array
    beforeAll(async () => {
      await use()
      model = await loadModel(dir)
      const file = await openSafetensors(bytesSource(readFileSync(`${dir}/expected.safetensors`)))
      expected = toFloat32(await file.read('logits'))
    })
    afterAll(() => model.dispose())

    const atLabels = (values: Float32Array, of: number[][]): Float32Array => {
      const width = values.length / of.flat().length
      return values.filter((_, i) => of.flat()[Math.floor(i / width)] !== -100)
    }
    const logitsOf = (side: 'left' | 'right'): Float32Array =>
      // What stands at a padded place must not matter.
      scope(() => {
        const batch = { ...padRows(rows, 7, side), labels }
        return atLabels(Float32Array.from(forward(model, batch).logits().dataSync()), labels)
      })

    it('logits behind rows padded on the right, on the left, and alone, read from labels shifted right', () => {
      for (const side of ['right', 'left'] as const) expect(furthest(logitsOf(side), expected)).toBeLessThan(1e-4)
      const alone = rows.flatMap((row, b) => {
        const own = [labels[b]!.filter((label) => label !== -100)]
        return scope(() => [
          ...forward(model, { ids: [row], labels: own })
            .logits()
            .dataSync(),
        ])
      })
      expect(furthest(Float32Array.from(alone), expected)).toBeLessThan(1e-4)
    })

    it('with a cache: the same logits, the encoder read once', () => {
      const batch = padRows(rows, 7, 'right')
      const decoderIds = labels.map((row) => [0, ...row.slice(0, -1).map((id) => Math.max(0, id))])
      const length = decoderIds[0]!.length
      const pieces = [2, 1, length - 3].map((size, i, all) => {
        const at = all.slice(0, i).reduce((a, b) => a + b, 0)
        return decoderIds.map((row) => row.slice(at, at + size))
      })
      const cache = createCache()
      const parts = pieces.map((piece) =>
        scope(
          () =>
            forward(model, { ...batch, decoderIds: piece }, { cache })
              .logits()
              .arraySync() as number[][][],
        ),
      )
      cache.dispose()
      const values = rows.flatMap((_, b) => parts.flatMap((part) => part[b]!.flat()))
      expect(furthest(atLabels(Float32Array.from(values), labels), expected)).toBeLessThan(1e-4)
    })

    it("the mean of nll is transformers' loss", () => {
      const batch = { ...padRows(rows, 7, 'right'), labels }
      const total = scope(() => sum(forward(model, batch).nll(labels)).dataSync()[0]!)
      expect(Math.abs(total / countTargets(batch, model.labelShift) - loss)).toBeLessThan(1e-4)
    })

    it('greedy tokens, alone and batched', async () => {
      const maxNewTokens = greedy[0]!.length
      expect(await generate(model, rows, { maxNewTokens })).toEqual(greedy)
      for (const [i, row] of rows.entries()) expect(await generate(model, [row], { maxNewTokens })).toEqual([greedy[i]])
    })

    it('the likeliest of three beams', async () => {
      const found = await beamSearch(model, rows, { numBeams: 3, maxNewTokens: beams[0]!.length })
      expect(found.map(([best]) => best!.ids)).toEqual(beams)
    })
  })
