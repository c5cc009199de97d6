import type { Tuned, Value } from '@graftjs/core'
import type { Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { lora } from './lora.ts'
import { type LoraConfig, loraAt, loraConfig } from './options.ts'

/** One adapter's A [r, in] and B [out, r] at a module. */
export interface Factors {
  readonly adapter: string
  /** Of the adapter in the list that was asked for. */
  readonly index: number
  readonly a: Value
  readonly b: Value
  readonly scale: number
  /** s B A, [out, in]. */
  delta(): Float32Array
}

export interface SiteFactors {
  readonly path: string
  readonly inDim: number
  readonly outDim: number
  /** Of the parameters, in the file. */
  readonly names: { readonly a: string; readonly b: string }
  /** In the order of the list that was asked for. */
  readonly factors: readonly Factors[]
}

const ENDS = [
  ['.lora_A.weight', '.lora_B.weight'],
  ['.lora_embedding_A', '.lora_embedding_B'],
] as const

/** What the adapters hold, read back from the device, by module. Errors: `unknown-adapter`, `not-combinable`. */
export const factorsOf = async (tuned: Tuned, adapters: readonly string[]): Promise<SiteFactors[]> => {
  const sites = new Map<string, SiteFactors & { factors: Factors[] }>()
  for (const [index, adapter] of adapters.entries()) {
    const { params } = tuned.adapter(adapter)
    const config = combinable(tuned, adapter)
    for (const [name, param] of params.all) {
      const ends = ENDS.find(([a]) => name.endsWith(a))
      if (!ends) continue
      const path = name.slice(0, -ends[0].length)
      const names = { a: name, b: path + ends[1] }
      const [a, b] = [await read(param.value), await read(params.all.get(names.b)!.value)]
      const site = sites.get(path) ?? { path, names, inDim: a.shape[1]!, outDim: b.shape[0]!, factors: [] }
      sites.set(path, site)
      const { scale } = loraAt(config, path)
      site.factors.push({ adapter, index, a, b, scale, delta: () => product(b, a, scale) })
    }
  }
  return [...sites.values()]
}

const combinable = (tuned: Tuned, adapter: string): LoraConfig => {
  const { method } = tuned.adapter(adapter)
  const refuse = (given: string): never => {
    throw new GraftError({
      code: 'not-combinable',
      culprit: adapter,
      given,
      expected: 'a LoRA of products of A and B alone; toLora makes one of any adapter that folds',
    })
  }
  if (method.kind !== lora.kind) return refuse(`an adapter of ${method.name}`)
  const config = loraConfig(method.config)
  if (config.loraBias) refuse('loraBias')
  if (config.bias !== 'none') refuse(`bias ${config.bias}`)
  if (config.modulesToSave?.length) refuse(`modulesToSave ${config.modulesToSave.join(', ')}`)
  if (config.trainableTokenIndices) refuse('trainableTokenIndices')
  return config
}

const read = async (t: Tensor): Promise<Value> => ({ shape: t.shape, data: (await t.data()) as Float32Array })

const product = (b: Value, a: Value, scale: number): Float32Array => {
  const [out, r] = b.shape as [number, number]
  const inner = a.shape[1]!
  const made = new Float32Array(out * inner)
  for (let i = 0; i < out; i++)
    for (let k = 0; k < r; k++) {
      const times = scale * b.data[i * r + k]!
      for (let j = 0; j < inner; j++) made[i * inner + j]! += times * a.data[k * inner + j]!
    }
  return made
}
