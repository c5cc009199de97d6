import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward, type Model } from '@graftjs/core'
import { fileSource, openSafetensors, writeSharded } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { loadModel, saveModel } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-sharded-'))
beforeAll(() => useSimd({ threads: 2 }))
afterAll(() => rmSync(dir, { recursive: true }))

const logits = (model: Model): Float32Array =>
  scope(() =>
    Float32Array.from(
      forward(model, { ids: [[5, 6, 7, 8]] })
        .logits()
        .dataSync(),
    ),
  )

it('a model in shards loads as the whole one does, and is saved again', async () => {
  const base = `${fixtureDir('tiny-llama')}/model`
  const source = await fileSource(`${base}/model.safetensors`)
  const file = await openSafetensors(source)
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
    bytes: async () => (await file.read(name)).bytes,
  }))
  const sharded = join(dir, 'sharded')
  cpSync(base, sharded, { recursive: true })
  await writeSharded(sharded, tensors, { maxShardBytes: 60_000 })
  await source.close()
  const shards = readdirSync(sharded).filter((name) => name.endsWith('.safetensors'))
  expect(shards.length).toBeGreaterThan(1)
  expect(shards).not.toContain('model.safetensors')
  const [whole, parts] = [await loadModel(base), await loadModel(sharded)]
  expect(logits(parts)).toEqual(logits(whole))
  await saveModel(parts, join(dir, 'saved'))
  const again = await loadModel(join(dir, 'saved'))
  expect(logits(again)).toEqual(logits(whole))
  for (const model of [whole, parts, again]) model.dispose()
})
