import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attach, forward, linears, type Model, merge, type Tuned, toLora } from '@graftjs/core'
import { fromFloat32, readAdapter, toFloat32, writeAdapter } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { type LoraOptions, lora } from '@graftjs/lora'
import {
  beamSearch,
  generate,
  hotSwap,
  type LoadedModel,
  loadAdapter,
  loadModel,
  saveAdapter,
  textCache,
} from '@graftjs/models'
import { memory, scope } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { moveAll } from '../src/conformance/subject.ts'
import { largestDifference, relativeError } from '../src/index.ts'
import { fixtureDir } from './fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-adapter-files-'))
const peft = (name: string): string => `${fixtureDir('peft-lora')}/${name}`
const ids = [[3, 7, 60, 14, 22]]
const logitsOf = (t: Tuned | Model, adapter?: string | null): Float32Array =>
  scope(
    () =>
      forward(t, { ids }, adapter === undefined ? {} : { adapter })
        .logits()
        .dataSync() as Float32Array,
  ).slice()

let model: LoadedModel
let tuned: Tuned
let tensors = 0
beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
  model = await loadModel(`${fixtureDir('odd-llama')}/model`)
  logitsOf(model)
})
afterAll(() => {
  model.dispose()
  rmSync(scratch, { recursive: true })
})
beforeEach(async () => {
  tensors = memory().tensors
  tuned = await loadAdapter(model, peft('odd-llama/dropout'), [lora])
})
afterEach(() => {
  tuned.dispose()
  expect(memory().tensors).toBe(tensors)
})

describe('adapters in files, several on one model', () => {
  it('a second one is loaded beside the first by name, and either is saved', async () => {
    const first = logitsOf(tuned)
    expect(await loadAdapter(tuned, peft('odd-llama/saved'), [lora], { name: 'second' })).toBe(tuned)
    expect([tuned.active, tuned.adapters]).toEqual(['default', ['default', 'second']])
    expect(logitsOf(tuned)).toEqual(first)
    const second = logitsOf(tuned, 'second')
    expect(largestDifference(first, second)).toBeGreaterThan(1e-2)
    await saveAdapter(tuned, `${scratch}/second`, { name: 'second' })
    await saveAdapter(tuned, `${scratch}/active`)
    const config = (dir: string): string => readFileSync(`${dir}/adapter_config.json`, 'utf8')
    expect(config(`${scratch}/second`)).toBe(config(peft('odd-llama/saved')))
    expect(config(`${scratch}/active`)).toBe(config(peft('odd-llama/dropout')))
    const again = await loadAdapter(model, `${scratch}/second`, [lora], { name: 'chat' })
    expect([again.active, logitsOf(again)]).toEqual(['chat', second])
    again.dispose()
  })

  it('refuses a name in use and keeps what it had', async () => {
    const before = logitsOf(tuned)
    await expect(loadAdapter(tuned, peft('odd-llama/saved'), [lora])).rejects.toThrow('adapter: given "default"')
    expect([tuned.adapters, logitsOf(tuned)]).toEqual([['default'], before])
  })

  it('hotSwap replaces the values alone: same parameters, the other logits, the other config', async () => {
    const param = [...tuned.params.all.values()][0]
    const other = attach(model, lora({ r: 2, loraAlpha: 6, targetModules: ['v_proj', 'q_proj'] }), { seed: 4 })
    moveAll(other, 5)
    await saveAdapter(other, `${scratch}/other`)
    const wanted = logitsOf(other)
    other.dispose()
    const before = memory().tensors
    await hotSwap(tuned, `${scratch}/other`, [lora])
    expect(memory().tensors).toBe(before)
    expect([...tuned.params.all.values()][0]).toBe(param)
    expect(logitsOf(tuned)).toEqual(wanted)
    await saveAdapter(tuned, `${scratch}/swapped`)
    expect(readFileSync(`${scratch}/swapped/adapter_config.json`)).toEqual(
      readFileSync(`${scratch}/other/adapter_config.json`),
    )
  })

  it('hotSwap of what does not fit leaves everything as it was', async () => {
    const before = logitsOf(tuned)
    await expect(hotSwap(tuned, peft('odd-llama/rslora-patterns'), [lora])).rejects.toThrow(
      /lora with other options than default has: r, loraAlpha, targetModules, rankPattern, alphaPattern, useRslora/,
    )
    const { config, tensors: values } = await readAdapter(peft('odd-llama/dropout'))
    const [last] = [...values.keys()].slice(-1)
    await writeAdapter(`${scratch}/short`, { config, tensors: new Map([...values].filter(([key]) => key !== last)) })
    await expect(hotSwap(tuned, `${scratch}/short`, [lora])).rejects.toThrow(`1 missing key: ${last}`)
    const bent = fromFloat32(last!, [1, 3], new Float32Array(3))
    await writeAdapter(`${scratch}/bent`, { config, tensors: new Map([...values, [last!, bent]]) })
    await expect(hotSwap(tuned, `${scratch}/bent`, [lora])).rejects.toThrow(`${last}: given shape [1,3]`)
    await expect(hotSwap(tuned, peft('odd-llama/dropout'), [lora], { name: 'x' })).rejects.toThrow('given "x"')
    expect(logitsOf(tuned)).toEqual(before)
  })

  it('generate and beamSearch take an adapter for the call, or one a prompt', async () => {
    await loadAdapter(tuned, peft('odd-llama/gaussian'), [lora], { name: 'second' })
    const prompts = [[3, 7, 90], [5]]
    const how = { maxNewTokens: 8 }
    const of = (adapter: string | null): Promise<number[][]> => generate(tuned, prompts, { ...how, adapter })
    const [base, first, second] = [await of(null), await of('default'), await of('second')]
    expect(base).toEqual(await generate(model, prompts, how))
    expect(first).toEqual(await generate(tuned, prompts, how))
    expect(new Set([base, first, second].map(String)).size).toBe(3)
    expect(await generate(tuned, prompts, { ...how, adapter: ['second', null] })).toEqual([second[0], base[1]])
    const beams = async (adapter: string | null | (string | null)[]): Promise<number[][]> =>
      (await beamSearch(tuned, prompts, { ...how, numBeams: 3, adapter })).map(([best]) => best!.ids as number[])
    expect(await beams(['second', null])).toEqual([(await beams('second'))[0], (await beams(null))[1]])
    await expect(generate(tuned, prompts, { adapter: 'third' })).rejects.toThrow('given "third"')
    await expect(generate(tuned, prompts, { adapter: ['second'] })).rejects.toThrow('one a row: 2')
  })

  it('a text cache that one adapter filled is read anew by another', async () => {
    const cache = textCache()
    const text = [3, 7, 90, 14]
    const how = { maxNewTokens: 5, cache }
    await generate(tuned, [text], how)
    expect(await generate(tuned, [text], { ...how, adapter: null })).toEqual(
      await generate(model, [text], { maxNewTokens: 5 }),
    )
    cache.dispose()
  })

  it('what toLora makes is saved and loaded like any adapter', async () => {
    await loadAdapter(tuned, peft('odd-llama/embedding'), [lora], { name: 'wide' })
    tuned.setAdapter('wide')
    const made = await toLora(tuned, { r: 3 })
    expect(made.relativeError).toBeLessThan(1e-4)
    await saveAdapter(made, `${scratch}/made`)
    const again = await loadAdapter(model, `${scratch}/made`, [lora])
    expect(largestDifference(logitsOf(again), logitsOf(tuned))).toBeLessThan(1e-4)
    again.dispose()
    const low = await toLora(tuned, { r: 1 })
    expect(low.relativeError).toBeGreaterThan(0.1)
    expect(low.relativeError).toBeLessThan(Math.max(...low.error.values()))
  })

  it('an embedding that is not the model’s own is refused, not ignored', async () => {
    const { config, tensors: values } = await readAdapter(peft('odd-llama/embedding'))
    const key = 'model.embed_tokens.base_layer.weight'
    const stored = toFloat32(values.get(key)!)
    const write = (shape: number[], data: Float32Array): Promise<void> =>
      writeAdapter(`${scratch}/base`, { config, tensors: new Map([...values, [key, fromFloat32(key, shape, data)]]) })
    const load = async (): Promise<void> => (await loadAdapter(model, `${scratch}/base`, [lora])).dispose()
    await write([100, 40], stored.slice(0, 4000))
    await expect(load()).rejects.toThrow(
      `${key}: given a matrix [100,40]; expected [101,40], the model's: was the vocabulary resized?`,
    )
    await write([101, 40], stored.slice().reverse())
    await expect(load()).rejects.toThrow('(relative) away from the model')
    await write(
      [101, 40],
      stored.map((v) => v * 1.002),
    )
    await load()
  })

  it('refuses a file whose options this version cannot apply, and one of another method', async () => {
    const from = readFileSync(`${peft('odd-llama/dropout')}/adapter_config.json`, 'utf8')
    const { config, tensors: values } = await readAdapter(peft('odd-llama/dropout'))
    await writeAdapter(`${scratch}/odd`, { config, tensors: values })
    const load = (change: object): Promise<Tuned> => {
      writeFileSync(`${scratch}/odd/adapter_config.json`, JSON.stringify({ ...JSON.parse(from), ...change }))
      return loadAdapter(model, `${scratch}/odd`, [lora])
    }
    await expect(load({ use_dora: true })).rejects.toThrow('adapter_config.json: use_dora: given true')
    await expect(load({ peft_type: 'IA3' })).rejects.toThrow('peft_type: given "IA3"; expected one of LORA')
    await expect(load({ rank_pattern: { v_proj: 4 } })).rejects.toThrow('lora_A.weight: given shape [2,40]')
    await expect(load({ target_modules: ['q_proj'] })).rejects.toThrow('4 unexpected keys')
    await expect(load({ modules_to_save: ['norm'] })).rejects.toThrow('5 missing keys')
  })

  it('refuses rows of an embedding that is changed otherwise too, and tokens that are not there', () => {
    const on = (options: LoraOptions) => () => attach(model, lora(options))
    const trainableTokenIndices = [3, 7]
    const message =
      'lora.trainableTokenIndices: given tokens of model.embed_tokens, which targetModules or modulesToSave'
    expect(on({ targetModules: ['embed_tokens'], trainableTokenIndices })).toThrow(message)
    expect(on({ modulesToSave: ['embed_tokens'], trainableTokenIndices })).toThrow(message)
    expect(on({ trainableTokenIndices: [3, 101] })).toThrow(
      'trainableTokenIndices: given 101 for model.embed_tokens; expected token ids from 0 to 100, each once',
    )
    expect(on({ trainableTokenIndices: [3, 3] })).toThrow('given 3 for model.embed_tokens')
    expect(on({ trainableTokenIndices: { embed: [3] } })).toThrow('matches "embed"; near names: embed_tokens')
    expect(on({ targetModules: ['embed_tokens'], loraBias: true })).toThrow(
      'lora.loraBias: given true, and model.embed_tokens among the targets; expected linear layers alone',
    )
    expect(on({ targetModules: ['norm'] })).toThrow('no linear or embedding site of this llama model matches "norm"')
    expect(on({ modulesToSave: ['lm_haed'] })).toThrow('near names: lm_head')
  })

  it('a new head is in the file whether it was trained or not, so that the file is enough', async () => {
    const open = (seed: number): Promise<LoadedModel> =>
      loadModel(fixtureDir('encoders/bert'), { task: 'seq-cls', labels: ['ham', 'spam'], seed })
    const [here, there] = [await open(1), await open(2)]
    const some: LoraOptions[] = [
      {},
      { modulesToSave: ['classifier', 'pooler'] },
      { modulesToSave: ['classifier'] },
      { bias: 'all' }, // its bias is trained, its weight is not
    ]
    for (const options of some) {
      const made = attach(here, lora({ r: 2, ...options }), { seed: 3 })
      moveAll(made)
      await saveAdapter(made, `${scratch}/head`)
      const { config } = await readAdapter(`${scratch}/head`)
      expect(config).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: expect.arrayContaining(['classifier']) })
      const again = await loadAdapter(there, `${scratch}/head`, [lora])
      expect(logitsOf(again)).toEqual(logitsOf(made))
      for (const t of [made, again]) t.dispose()
    }
    // LoRA on the new head itself: another head is not taken for it.
    const made = attach(here, lora({ r: 2, targetModules: ['query', 'classifier'] }))
    await saveAdapter(made, `${scratch}/head`)
    ;(await loadAdapter(here, `${scratch}/head`, [lora])).dispose()
    await expect(loadAdapter(there, `${scratch}/head`, [lora])).rejects.toThrow(
      'classifier.base_layer.weight: given base',
    )
    made.dispose()
    expect(linears(here, 'all-linear').map(({ path }) => path)).not.toContain('classifier')
    for (const m of [here, there]) m.dispose()
  })

  it('tokens of an embedding that is tied to a head with a bias: the bias stays', async () => {
    const masked = await loadModel(fixtureDir('encoders/bert-masked-lm'))
    const base = logitsOf(masked)
    const made = attach(masked, lora({ trainableTokenIndices: [3, 60] }), { seed: 1 })
    expect(relativeError(logitsOf(made), base)).toBeLessThan(1e-6)
    moveAll(made)
    const merged = merge(made)
    expect(relativeError(logitsOf(merged), logitsOf(made))).toBeLessThan(1e-5)
    for (const m of [merged, made, masked]) m.dispose()
  })
})
