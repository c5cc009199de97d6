import { attach, forward, type Method, type Model, sitesOf, type Tuned } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { molora, mov } from '@graftjs/molora'
import { random, scope, type Tensor, tensor } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError, tinyDecoder } from '../../src/index.ts'

let model: Model
beforeAll(async () => {
  await useSimd({ threads: 2 })
  model = tinyDecoder()
})
afterAll(() => model.dispose())

const batch = {
  ids: [
    [5, 9, 2, 30, 4],
    [7, 7, 1, 3, 12],
  ],
}

/** Fills every parameter with numbers that its path fixes. */
const filled = (method: Method): Tuned => {
  const tuned = attach(model, method, { seed: 1 })
  for (const [path, param] of tuned.params.all)
    param.set(
      tensor(
        random(1, path)
          .fill(new Float32Array(param.value.size), 'normal')
          .map((x) => 0.5 * x),
        param.shape,
      ),
    )
  return tuned
}
const logits = (tuned: Tuned): Float32Array =>
  scope(() => forward(tuned, batch).logits().dataSync().slice() as Float32Array)
const valuesOf = (tuned: Tuned, end: string): Float32Array =>
  [...tuned.params.all].find(([path]) => path.endsWith(end))![1].value.dataSync() as Float32Array

/** What a patch adds to y at x, [1, 1, n] each, with what a run tells it. */
const deltaAt = (tuned: Tuned, path: string, x: Float32Array, y: Float32Array): Float32Array => {
  const site = sitesOf(model, 'linear').find((s) => s.path === path)!
  const [patch] = tuned.patches.get(site)!
  const run = { once: (choose: () => Tensor) => choose() } as never
  const delta = (patch as unknown as { delta: (x: Tensor, y: Tensor, run: never) => Tensor }).delta
  return scope(
    () =>
      delta(tensor(x, [1, 1, x.length]), tensor(y, [1, 1, y.length]), run)
        .dataSync()
        .slice() as Float32Array,
  )
}
const drawn = (name: string, size: number): Float32Array => random(2, name).fill(new Float32Array(size), 'normal')
const softmaxOf = (scores: number[]): number[] => {
  const total = scores.reduce((sum, s) => sum + Math.exp(s), 0)
  return scores.map((s) => Math.exp(s) / total)
}
const dot = (row: ArrayLike<number>, x: ArrayLike<number>, from = 0): number =>
  Array.from(x).reduce((sum, v, i) => sum + v * row[from + i]!, 0)

const path = 'model.layers.1.self_attn.v_proj'
const [E, r] = [3, 2]

describe('molora', () => {
  it.each<[object, (p: number[]) => number[]]>([
    [{}, (p) => p],
    [{ topK: 1, renormalize: false }, (p) => p.map((v) => (v === Math.max(...p) ? v : 0))],
    [{ topK: 1 }, (p) => p.map((v) => (v === Math.max(...p) ? 1 : 0))],
    [{ topK: 2 }, (p) => p.map((v) => (v === Math.min(...p) ? 0 : v / (1 - Math.min(...p))))],
  ])('is the sum over experts of the paper, written out: %j', (options, kept) => {
    const tuned = filled(molora({ experts: E, r, loraAlpha: 5, targetModules: ['v_proj'], ...options }))
    const site = sitesOf(model, 'linear').find((s) => s.path === path)!
    const [a, b, w] = ['molora_A', 'molora_B', 'molora_router'].map((part) =>
      valuesOf(tuned, `1.self_attn.v_proj.${part}.weight`),
    )
    const x = drawn('x', site.inDim)
    const p = kept(softmaxOf(Array.from({ length: E }, (_, e) => dot(w!, x, e * site.inDim))))
    const wanted = Array.from({ length: site.outDim }, (_, o) => {
      let sum = 0
      for (let e = 0; e < E; e++)
        for (let k = 0; k < r; k++) {
          const column = e * r + k
          sum += p[e]! * b![o * E * r + column]! * dot(a!, x, column * site.inDim)
        }
      return (5 / r) * sum
    })
    expect(relativeError(deltaAt(tuned, path, x, drawn('y', site.outDim)), wanted)).toBeLessThan(1e-5)
    tuned.dispose()
  })

  it('with one expert is LoRA', () => {
    const one = filled(molora({ experts: 1, r: 3, loraAlpha: 6, targetModules: 'all-linear' }))
    const plain = attach(model, lora({ r: 3, loraAlpha: 6, targetModules: 'all-linear' }))
    for (const [name, param] of plain.params.all)
      param.set(tensor(one.params.all.get(name.replace('lora_', 'molora_'))!.value.dataSync().slice(), param.shape))
    expect(relativeError(logits(one), logits(plain))).toBeLessThan(1e-5)
    one.dispose()
    plain.dispose()
  })

  it.each<[object, string]>([
    [{ experts: 0 }, 'molora.experts: given 0; expected a whole number ≥ 1'],
    [{ experts: 3, topK: 4 }, 'molora.topK: given 4; expected a whole number of 1 … 3, the experts, or null for all'],
    [{ r: 1.5 }, 'molora.r: given 1.5; expected a whole number ≥ 1'],
  ])('refuses %j', (options, message) => expect(() => molora(options)).toThrow(message))

  it('reads the file that it writes', () => {
    for (const [method, kind] of [
      [molora({ experts: 3, r: 2, loraAlpha: 4, targetModules: ['q_proj'], topK: 2 }), molora.kind],
      [mov({ experts: 3, targetModules: ['v_proj', 'down_proj'], feedforwardModules: ['down_proj'] }), mov.kind],
    ] as const)
      expect(kind.read({ ...kind.write(method), task_type: 'CAUSAL_LM' }).config).toEqual(method.config)
  })
})

describe('mov', () => {
  it('scales values head by head, by one router for all heads, written out', () => {
    const tuned = filled(mov({ experts: E, targetModules: ['v_proj'] }))
    const attention = sitesOf(model, 'attention')[1]!
    const size = attention.inDim / attention.keyHeads
    expect(attention.keyHeads).toBeGreaterThan(1)
    const [l, w] = [
      valuesOf(tuned, '1.self_attn.v_proj.mov_l'),
      valuesOf(tuned, '1.self_attn.v_proj.mov_router.weight'),
    ]
    const y = drawn('y', attention.inDim)
    const wanted = Array.from(y, (v, i) => {
      const head = Math.floor(i / size)
      const h = y.subarray(head * size, (head + 1) * size)
      const p = softmaxOf(Array.from({ length: E }, (_, e) => dot(w, h, e * size)))
      return v * (p.reduce((sum, pe, e) => sum + pe * l[e * attention.inDim + i]!, 0) - 1)
    })
    const x = drawn('x', sitesOf(model, 'linear').find((s) => s.path === path)!.inDim)
    expect(relativeError(deltaAt(tuned, path, x, y), wanted)).toBeLessThan(1e-5)
    tuned.dispose()
  })

  it('is no identity at the start where weights that were dropped are not made up for', () => {
    const off = attach(model, mov({ experts: 3, topK: 1, renormalize: false, targetModules: ['v_proj'] }))
    const on = attach(model, mov({ experts: 3, topK: 1, targetModules: ['v_proj'] }))
    const base = scope(() => forward(model, batch).logits().dataSync().slice() as Float32Array)
    expect(relativeError(logits(on), base)).toBeLessThan(1e-5)
    expect(relativeError(logits(off), base)).toBeGreaterThan(1e-2)
    off.dispose()
    on.dispose()
  })

  it('refuses feed-forward modules that are no targets', () => {
    expect(() => attach(model, mov({ targetModules: ['v_proj'], feedforwardModules: ['down_proj'] }))).toThrow(
      /mov\.feedforwardModules: given model\.layers\.0\.mlp\.down_proj, which targetModules leaves out/,
    )
  })
})
