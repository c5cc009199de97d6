import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward } from '@graftjs/core'
import { bytesSource, openSafetensors, readMlxAdapter, toFloat32, writeAdapter, writeMlxAdapter } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { loadAdapter, loadModel } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-mlx-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const dir = fixtureDir('mlx-adapter')
const opened = (path: string) => openSafetensors(bytesSource(readFileSync(path), path))

// Made by tooling/oracle/mlx_adapter.py with mlx-lm.
it('a LoRA of mlx-lm gives the logits of mlx-lm', async () => {
  await useSimd({ threads: 2 })
  const model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  await writeAdapter(join(scratch, 'peft'), await readMlxAdapter(dir))
  const tuned = await loadAdapter(model, join(scratch, 'peft'), [lora])
  const ids = [
    [5, 6, 7, 8],
    [1, 9, 2, 3],
  ]
  const ours = scope(() => Float32Array.from(forward(tuned, { ids }).logits().dataSync()))
  const base = scope(() => Float32Array.from(forward(model, { ids }).logits().dataSync()))
  const expected = toFloat32(await (await opened(`${dir}/expected.safetensors`)).read('logits'))
  const furthest = (values: Float32Array) =>
    values.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i]!)), 0)
  expect(ours.length).toBe(expected.length)
  expect(furthest(ours)).toBeLessThan(1e-4)
  expect(furthest(base)).toBeGreaterThan(1e-2)
  tuned.dispose()
  model.dispose()
})

it('what is written is what mlx-lm writes', async () => {
  const out = join(scratch, 'mlx')
  await writeMlxAdapter(out, await readMlxAdapter(dir), { layers: 2 })
  const [theirs, ours] = [await opened(`${dir}/adapters.safetensors`), await opened(`${out}/adapters.safetensors`)]
  expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort())
  for (const name of theirs.tensors.keys()) {
    const [given, expected] = [await ours.read(name), await theirs.read(name)]
    expect(given.shape).toEqual(expected.shape)
    expect(toFloat32(given)).toEqual(toFloat32(expected))
  }
  const config = (of: string) =>
    JSON.parse(readFileSync(`${of}/adapter_config.json`, 'utf8')) as { lora_parameters: { keys: string[] } }
  // The order of the keys says nothing.
  const theirConfig = config(dir)
  theirConfig.lora_parameters.keys.sort()
  expect(config(out)).toEqual(theirConfig)
})
