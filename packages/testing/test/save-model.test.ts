import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward, type Model, merge, type Tuned } from '@graftjs/core'
import { fileSource, fromFloat32, openSafetensors, type Safetensors, toFloat32, writeSafetensors } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadAdapter, loadModel, saveModel } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-save-model-'))
const at = (name: string): string => join(scratch, name)
beforeAll(() => useSimd({ threads: 2 }))
afterAll(() => rmSync(scratch, { recursive: true }))

const ids = [
  [5, 6, 7, 8],
  [1, 9, 2, 3],
]
const logits = (model: Tuned | Model): Float32Array =>
  scope(() => Float32Array.from(forward(model, { ids }).logits().dataSync()))
const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0)
const opened = async <T>(dir: string, read: (file: Safetensors) => T | Promise<T>): Promise<T> => {
  const source = await fileSource(`${dir}/model.safetensors`)
  return openSafetensors(source)
    .then(read)
    .finally(() => source.close())
}
const names = (dir: string): Promise<string[]> => opened(dir, ({ tensors }) => [...tensors.keys()].sort())
const dtypes = (dir: string): Promise<string[]> =>
  opened(dir, ({ tensors }) => [...new Set([...tensors.values()].map(({ dtype }) => dtype))])
const config = (dir: string) => JSON.parse(readFileSync(`${dir}/config.json`, 'utf8')) as Record<string, unknown>

describe.each(['tiny-llama', 'odd-llama'])('saveModel of %s', (name) => {
  const base = `${fixtureDir(name)}/model`
  let model: LoadedModel
  beforeAll(async () => {
    model = await loadModel(base)
  })
  afterAll(() => model.dispose())

  it('writes a model that nobody changed as it was, to the bit', async () => {
    await saveModel(model, at(`${name}-same`))
    for (const file of ['model.safetensors', 'config.json'])
      expect(readFileSync(at(`${name}-same/${file}`)).equals(readFileSync(`${base}/${file}`)), file).toBe(true)
  })

  it('writes a merged model with the tensors of the base; it loads to the logits of base and adapter', async () => {
    const tuned = await loadAdapter(model, `${fixtureDir(name)}/adapter-all`, [lora])
    const merged = merge(tuned)
    const out = at(`${name}-merged`)
    await saveModel(merged, out, { dtype: 'f32' })
    expect(await names(out)).toEqual(await names(base))
    expect(await dtypes(out)).toEqual(['F32'])
    const again = await loadModel(out)
    expect(furthest(logits(again), logits(merged))).toBeLessThan(1e-6)
    expect(furthest(logits(again), logits(tuned))).toBeLessThan(1e-4)
    expect(furthest(logits(again), logits(model))).toBeGreaterThan(1e-2)
    again.dispose()
    merged.dispose()
    tuned.dispose()
  })

  it.each([
    ['bf16', 'BF16', 2 ** -7],
    ['f16', 'F16', 2 ** -10],
  ] as const)('rounds all weights to %s, and the config says so', async (dtype, stored, precision) => {
    const out = at(`${name}-${dtype}`)
    await saveModel(model, out, { dtype })
    expect(await dtypes(out)).toEqual([stored])
    expect(config(out)).toMatchObject({
      ['dtype' in config(base) ? 'dtype' : 'torch_dtype']: { bf16: 'bfloat16', f16: 'float16' }[dtype],
    })
    const weights = (dir: string) =>
      opened(dir, async (file) => toFloat32(await file.read('model.layers.0.mlp.up_proj.weight')))
    const [before, after] = [await weights(base), await weights(out)]
    for (const [i, v] of before.entries())
      expect(Math.abs(after[i]! - v)).toBeLessThanOrEqual((Math.abs(v) * precision) / 2 + 1e-7)
    // Rounded once, it stays.
    const again = await loadModel(out)
    await saveModel(again, `${out}-again`)
    expect(readFileSync(`${out}-again/model.safetensors`).equals(readFileSync(`${out}/model.safetensors`))).toBe(true)
    again.dispose()
  })
})

describe('saveModel', () => {
  /** tiny-llama with tied embeddings. */
  const tiedModel = async (): Promise<string> => {
    const dir = at('tied')
    if (existsSync(dir)) return dir
    const base = `${fixtureDir('tiny-llama')}/model`
    cpSync(base, dir, { recursive: true })
    const kept = await opened(base, (file) =>
      Promise.all([...file.tensors.keys()].filter((name) => name !== 'lm_head.weight').map((name) => file.read(name))),
    )
    writeFileSync(`${dir}/model.safetensors`, writeSafetensors(kept, { format: 'pt' }))
    writeFileSync(`${dir}/config.json`, JSON.stringify({ ...config(base), tie_word_embeddings: true }))
    writeFileSync(`${dir}/generation_config.json`, '{"eos_token_id": 2}')
    return dir
  }

  it('leaves tied embeddings tied, and parts them in file and config where only one of them was changed', async () => {
    const dir = await tiedModel()
    const model = await loadModel(dir)
    await saveModel(model, at('tied-same'))
    expect(await names(at('tied-same'))).not.toContain('lm_head.weight')
    expect(config(at('tied-same')).tie_word_embeddings).toBe(true)
    expect(readFileSync(at('tied-same/generation_config.json'), 'utf8')).toBe('{"eos_token_id": 2}')

    const parted = scope(() =>
      model.withWeights((site) => (site.path === 'lm_head' ? { weight: site.weight.dense() } : undefined)),
    )
    await saveModel(parted, at('parted'))
    expect(await names(at('parted'))).toEqual([...(await names(dir)), 'lm_head.weight'].sort())
    expect(config(at('parted')).tie_word_embeddings).toBe(false)
    const again = await loadModel(at('parted'))
    expect(furthest(logits(again), logits(model))).toBeLessThan(1e-6)
    again.dispose()
    parted.dispose()
    model.dispose()
  })

  it('hands on tensors that the model does not use', async () => {
    const base = `${fixtureDir('tiny-llama')}/model`
    cpSync(base, at('more'), { recursive: true })
    const tensors = await opened(base, (file) => Promise.all([...file.tensors.keys()].map((name) => file.read(name))))
    const more = fromFloat32('model.rotary.inv_freq', [2], Float32Array.of(1, 0.5))
    writeFileSync(at('more/model.safetensors'), writeSafetensors([...tensors, more], { format: 'pt' }))
    const model = await loadModel(at('more'))
    await saveModel(model, at('more-again'))
    expect(readFileSync(at('more-again/model.safetensors')).equals(readFileSync(at('more/model.safetensors')))).toBe(
      true,
    )
    model.dispose()
  })

  it('refuses a weight that float16 cannot hold, by name, and leaves what was there', async () => {
    const model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
    const large = scope(() =>
      model.withWeights((site) => {
        if (site.path !== 'model.layers.0.mlp.up_proj') return undefined
        const weight = site.weight.dense()
        weight.dataSync()[3] = 70000
        return { weight }
      }),
    )
    await saveModel(model, at('f16'))
    const before = readFileSync(at('f16/model.safetensors'))
    await expect(saveModel(large, at('f16'), { dtype: 'f16' })).rejects.toThrow(
      'model.layers.0.mlp.up_proj.weight: given the weight 70000; expected at most 65504 in float16: write bf16 or f32',
    )
    expect(readFileSync(at('f16/model.safetensors')).equals(before)).toBe(true)
    large.dispose()
    model.dispose()
  })

  it('refuses a model that came from no folder', async () => {
    const model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
    const { folder: _, ...rest } = model
    await expect(saveModel(rest, at('none'))).rejects.toThrow(/given a model that came from no folder of transformers/)
    expect(existsSync(at('none'))).toBe(false)
    model.dispose()
  })
})
