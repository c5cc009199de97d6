import { forward, type Tuned } from '@graftjs/core'
import { readAdapter, toFloat32 } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { addWeightedAdapter, type CombinationType, lora, type WeightedAdapterOptions } from '@graftjs/lora'
import { type LoadedModel, loadAdapter, loadModel } from '@graftjs/models'
import { memory, scope } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { largestDifference, relativeError } from '../src/index.ts'
import { fixtureDir } from './fixture.ts'
import { type PeftLora, readPeftLora } from './support/peft-lora.ts'

const { facts, expected, bytes, keys } = await readPeftLora()
const names = ['one', 'two', 'stable', 'three']
const ids = [[3, 7, 90, 14, 22]]
let model: LoadedModel
let tuned: Tuned

/** s B A of an adapter at every module it has, from the parameters, [out, in]. */
const deltas = (name: string, scaleAt: (path: string, r: number) => number): Map<string, Float32Array> => {
  const { all } = tuned.adapter(name).params
  const made = new Map<string, Float32Array>()
  for (const [key, a] of all) {
    if (!key.endsWith('.lora_A.weight')) continue
    const path = key.replace('.lora_A.weight', '')
    const [r, inner] = a.shape as [number, number]
    const [av, bv] = [a.value.dataSync(), all.get(`${path}.lora_B.weight`)!.value.dataSync()]
    const delta = new Float32Array((bv.length / r) * inner)
    for (let i = 0; i < delta.length; i++)
      for (let k = 0; k < r; k++)
        delta[i]! += scaleAt(path, r) * bv[Math.floor(i / inner) * r + k]! * av[k * inner + (i % inner)]!
    made.set(path, delta)
  }
  return made
}

/** Of the source adapters, by the numbers in their configs: alpha / r, rsLoRA, and the rank pattern of `three`. */
const scales: Record<string, (path: string, r: number) => number> = {
  one: () => 3,
  two: () => 0.5,
  stable: () => 3 / Math.SQRT2,
  three: (_, r) => 2 / r,
}
const made = (name: string): Map<string, Float32Array> => deltas(name, scales[name] ?? (() => 1))

/** Σ w ΔW at one module. */
const exactSum = (adapters: readonly string[], weights: readonly number[], path: string): Float32Array => {
  const parts = adapters.map((name) => made(name).get(path))
  return parts.find(Boolean)!.map((_, i) => parts.reduce((sum, part, k) => sum + weights[k]! * (part?.[i] ?? 0), 0))
}

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
  model = await loadModel(`${fixtureDir('odd-llama')}/model`)
  const [first, ...others] = names
  tuned = await loadAdapter(model, `${fixtureDir('peft-lora')}/combined/${first}`, [lora], { name: first! })
  for (const name of others) await loadAdapter(tuned, `${fixtureDir('peft-lora')}/combined/${name}`, [lora], { name })
  scope(() => forward(tuned, { ids }).logits())
})
afterAll(() => {
  tuned.dispose()
  model.dispose()
})

const optionsOf = (given: PeftLora['combined'][string]): Omit<WeightedAdapterOptions, 'name'> => ({
  combinationType: given.combination_type as CombinationType,
  ...(given.svd_rank !== undefined && { svdRank: given.svd_rank }),
  ...(given.density !== undefined && { density: given.density }),
  ...(given.majority_sign_method && { majoritySignMethod: given.majority_sign_method }),
})

describe('addWeightedAdapter', () => {
  it.each(Object.keys(facts.combined))("%s in PEFT's arithmetic: PEFT's numbers", async (name) => {
    const given = facts.combined[name]!
    const masks = new Map<string, Uint8Array>()
    for (const key of keys.filter((k) => k.startsWith(`combined/${name}/`) && k.split('/').length > 3))
      masks.set(key, await bytes(key))
    await addWeightedAdapter(tuned, given.adapters, given.weights, {
      name,
      arithmetic: 'peft',
      ...optionsOf(given),
      mask: ({ path, adapter, factor }) =>
        Float32Array.from(masks.get(`combined/${name}/${path}/${adapter}/${factor}`)!),
    })
    const { scale } = { scale: name === 'linear-stable' ? Math.SQRT2 : 1 } // rsLoRA scaled twice
    for (const [path, delta] of deltas(name, () => scale))
      expect(relativeError(delta, await expected(`combined/${name}/${path}`)), path).toBeLessThan(1e-4)
    tuned.deleteAdapter(name)
  })

  it.each([
    ['linear', ['one', 'stable'], [0.7, 0.4]],
    ['linear', ['stable', 'three', 'two'], [-0.4, 1.1, 0.3]],
    ['cat', ['three', 'one'], [1.1, -2]],
    ['svd', ['one', 'three'], [0.7, 1.1]],
  ] as const)('%s of %j is the sum of the changes itself', async (combinationType, adapters, weights) => {
    const before = memory().tensors
    const { relativeError: lost } = await addWeightedAdapter(tuned, adapters, weights, {
      name: 'sum',
      combinationType,
      ...(combinationType === 'svd' && { svdRank: 6 }),
    })
    expect(lost).toBeLessThan(1e-4)
    for (const [path, delta] of made('sum'))
      expect(relativeError(delta, exactSum(adapters, weights, path)), path).toBeLessThan(1e-5)
    tuned.deleteAdapter('sum')
    expect(memory().tensors).toBe(before)
  })

  it("PEFT's linear is not: it has cross terms", async () => {
    const [adapters, weights] = [
      ['one', 'two'],
      [0.7, 1.3],
    ] as const
    await addWeightedAdapter(tuned, adapters, weights, {
      name: 'crossed',
      combinationType: 'linear',
      arithmetic: 'peft',
    })
    const path = 'model.layers.0.self_attn.v_proj'
    expect(relativeError(made('crossed').get(path)!, exactSum(adapters, weights, path))).toBeGreaterThan(0.1)
    tuned.deleteAdapter('crossed')
  })

  it('says what a lower rank loses', async () => {
    const of = async (svdRank: number): Promise<number> => {
      const { r, relativeError: lost } = await addWeightedAdapter(tuned, ['one', 'two', 'three'], [1, 1, 1], {
        name: 'low',
        svdRank,
      })
      expect(r).toBe(svdRank)
      let [off, all] = [0, 0]
      for (const [path, delta] of made('low'))
        exactSum(['one', 'two', 'three'], [1, 1, 1], path).forEach((v, i) => {
          off += (v - delta[i]!) ** 2
          all += v * v
        })
      expect(lost).toBeCloseTo(Math.sqrt(off / all), 4)
      tuned.deleteAdapter('low')
      return lost
    }
    const [one, three] = [await of(1), await of(3)]
    expect(one).toBeGreaterThan(three)
    expect(three).toBeGreaterThan(0.01)
  })

  it('ties without _svd acts on the changes too, and the new adapter runs like any other', async () => {
    for (const [name, combinationType] of [
      ['a', 'ties'],
      ['b', 'ties_svd'],
    ] as const)
      await addWeightedAdapter(tuned, ['one', 'three'], [1, 1], { name, combinationType, density: 0.5 })
    const logits = (adapter: string): Float32Array =>
      scope(() => forward(tuned, { ids }, { adapter }).logits().dataSync() as Float32Array).slice()
    expect(largestDifference(logits('a'), logits('b'))).toBe(0)
    expect(largestDifference(logits('a'), logits('one'))).toBeGreaterThan(1e-3)
    for (const name of ['a', 'b']) tuned.deleteAdapter(name)
  })

  it('dare keeps a share of the entries, enlarged so that the mean stays, by its seed', async () => {
    const path = 'model.layers.0.self_attn.k_proj'
    const whole = made('one').get(path)!
    const draw = async (seed: number): Promise<Float32Array> => {
      await addWeightedAdapter(tuned, ['one'], [1], {
        name: 'thinned',
        combinationType: 'dare_linear_svd',
        density: 0.3,
        svdRank: 8,
        seed,
      })
      const delta = made('thinned').get(path)!
      tuned.deleteAdapter('thinned')
      return delta
    }
    const runs = [await draw(1), await draw(2), await draw(1)] as const
    expect(runs[2]).toEqual(runs[0])
    expect(largestDifference(runs[0], runs[1])).toBeGreaterThan(0.1)
    const kept = runs[0].filter((v) => Math.abs(v) > 1e-4).length / whole.length
    expect(kept).toBeGreaterThan(0.22) // 320 entries: 0.3 ± 3 · 0.026
    expect(kept).toBeLessThan(0.38)
    runs[0].forEach((v, i) => {
      expect(Math.min(Math.abs(v), Math.abs(v - whole[i]! / 0.3))).toBeLessThan(1e-3)
    })
  })

  it('svdClamp bounds both factors', async () => {
    await addWeightedAdapter(tuned, ['one', 'three'], [1, 1], { name: 'clamped', svdRank: 2, svdClamp: 0.8 })
    const values = [...tuned.adapter('clamped').params.all.values()]
    for (const path of ['k_proj', 'v_proj']) {
      const all = values.filter((p) => p.path.includes(path)).flatMap((p) => [...p.value.dataSync()].map(Math.abs))
      const most = Math.max(...all)
      // The quantile 0.8 of both signs is 0.6 of the magnitudes: 4 of 10 entries stand at the bound.
      expect(all.filter((v) => v > most * 0.9999).length / all.length).toBeCloseTo(0.4, 1)
    }
    tuned.deleteAdapter('clamped')
  })

  it('rank and alpha come from the rank pattern of the file', async () => {
    const { tensors } = await readAdapter(`${fixtureDir('peft-lora')}/combined/three`)
    const b = toFloat32(tensors.get('model.layers.0.self_attn.v_proj.lora_B.weight')!)
    await addWeightedAdapter(tuned, ['three'], [1], { name: 'again', combinationType: 'cat' })
    const again = tuned.adapter('again').params.all.get('model.layers.0.self_attn.v_proj.lora_B.weight')!
    expect(again.shape).toEqual([8, 3])
    expect([...again.value.dataSync()].filter((_, i) => i % 3 === 0)).toEqual([...b])
    tuned.deleteAdapter('again')
  })

  const at = (options: Partial<WeightedAdapterOptions>, adapters = ['one'], weights = [1]): Promise<unknown> =>
    addWeightedAdapter(tuned, adapters, weights, { name: 'x', ...options })
  it.each([
    ['a name in use', () => at({ name: 'two' }), 'adapter: given "two"; expected a name that is not in use'],
    ['an unknown adapter', () => at({}, ['won']), 'given "won"; expected one of one'],
    ['no adapter', () => at({}, [], []), 'addWeightedAdapter.adapters: given none'],
    ['weights of another number', () => at({}, ['one'], [1, 2]), 'addWeightedAdapter.weights: given [1,2]'],
    ['an unknown type', () => at({ combinationType: 'sum' as 'svd' }), 'addWeightedAdapter.combinationType: given sum'],
    ['ties without a density', () => at({ combinationType: 'ties' }), 'addWeightedAdapter.density: given undefined'],
    [
      'a density above 1',
      () => at({ combinationType: 'dare_ties', density: 2 }),
      'addWeightedAdapter.density: given 2',
    ],
    ['a rank of 0', () => at({ svdRank: 0 }), 'addWeightedAdapter.svdRank: given 0'],
    [
      "other ranks in PEFT's linear",
      () => at({ combinationType: 'linear', arithmetic: 'peft' }, ['one', 'three'], [1, 1]),
      'given linear with ranks 2 and',
    ],
  ])('refuses %s', async (_, act, message) => {
    const before = memory().tensors
    await expect(act()).rejects.toThrow(message)
    expect(tuned.adapters).toEqual(names)
    expect(memory().tensors).toBe(before)
  })

  it('refuses what is more than products, by name', async () => {
    tuned.addAdapter('whole', lora({ modulesToSave: ['norm'] }))
    await expect(at({}, ['one', 'whole'], [1, 1])).rejects.toThrow('whole: given modulesToSave norm')
    tuned.deleteAdapter('whole')
  })
})
