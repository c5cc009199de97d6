import { readFileSync } from 'node:fs'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { embedRows, embedTexts, type LoadedModel, loadModel } from '@graftjs/models'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'
import { minilmFolder } from './support/minilm.ts'

/** What tooling/oracle/minilm.py recorded. */
interface Facts {
  readonly sentences: string[]
  readonly ids: number[][]
}

describe('all-MiniLM-L6-v2, against transformers', () => {
  const { sentences, ids } = JSON.parse(readFileSync(`${fixtureDir('minilm-l6')}/expected.json`, 'utf8')) as Facts
  let model: LoadedModel
  let expected: Float32Array
  beforeAll(async () => {
    await useSimd()
    model = await loadModel(await minilmFolder())
    const file = await openSafetensors(bytesSource(readFileSync(`${fixtureDir('minilm-l6')}/expected.safetensors`)))
    expected = toFloat32(await file.read('vectors'))
  }, 600_000)
  afterAll(() => model?.dispose())

  const furthest = (vectors: Float32Array[]): number => {
    const all = vectors.flatMap((vector) => [...vector])
    expect(all.length).toBe(expected.length)
    return all.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0)
  }

  it('says how its vectors are made', () => {
    expect([model.task, model.sentence]).toEqual([
      'feature-extraction',
      { pooling: 'mean', normalise: true, maxLength: 256 },
    ])
  })

  it('token ids of WordPiece', () => {
    for (const [i, text] of sentences.slice(0, -1).entries()) expect(model.tokenizer!.encode(text)).toEqual(ids[i])
  })

  it('embeddings of texts, batched and alone, within 1e-5', async () => {
    expect(furthest(await embedTexts(model, sentences))).toBeLessThan(1e-5)
    expect(furthest(await embedRows(model, ids, { batchSize: 1 }))).toBeLessThan(1e-5)
  })

  it('two ways to say one thing are nearer than two things', async () => {
    const [kettle, tea, adapters] = await embedTexts(model, sentences.slice(0, 3))
    const cosine = (a: Float32Array, b: Float32Array): number => a.reduce((s, x, i) => s + x * b[i]!, 0)
    expect(cosine(kettle!, tea!)).toBeGreaterThan(cosine(kettle!, adapters!) + 0.2)
  })
})
