import { attach, exportAdapter, type JsonObject, type MethodKind, type Model, type Tuned } from '@graftjs/core'
import { fromFloat32, readAdapter, toFloat32, type WriteFs, writeAdapter } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { LoadedModel } from './load-model.ts'

/** What a method's factory carries: its identity on disk. */
export interface Kinded {
  readonly kind: MethodKind
}

// The config that a tuned model was loaded with: keys that Graft does not know survive the round trip.
const loadedConfigs = new WeakMap<Tuned, JsonObject>()

/** Writes adapter_config.json and adapter_model.safetensors as PEFT writes them. Atomic: what was there stays whole if it fails. */
export const saveAdapter = async (tuned: Tuned, dir: string, options: { fs?: WriteFs } = {}): Promise<void> => {
  const { method, model } = tuned
  if (!method?.kind)
    throw new GraftError({
      code: 'not-saveable',
      culprit: method?.name ?? 'model',
      given: 'a method without a file format',
      expected: 'one that PEFT knows, such as lora',
    })
  const own = method.kind.write(method)
  const before = loadedConfigs.get(tuned)
  // A config that was loaded already says all this in its own words; it is kept byte for byte.
  const config = before ?? { ...own, base_model_name_or_path: (model as Partial<LoadedModel>).name ?? null }
  const exported = await exportAdapter(tuned)
  const tensors = new Map(
    [...exported.tensors].map(([path, { shape, data }]) => [path, fromFloat32(path, shape, data)]),
  )
  await writeAdapter(dir, { config, tensors }, options.fs)
}

/** Attaches the adapter in `dir` by the one of `methods` that its config names. Strict: missing or unexpected keys throw. */
export const loadAdapter = async (model: Model, dir: string, methods: readonly Kinded[]): Promise<Tuned> => {
  const { config, tensors } = await readAdapter(dir)
  const type = config.peft_type
  const found = methods.find(({ kind }) => kind.peftType === type)
  if (!found)
    throw new GraftError({
      code: 'unknown-method',
      culprit: `${dir}: peft_type`,
      given: JSON.stringify(type ?? null),
      expected: `one of ${methods.map(({ kind }) => kind.peftType).join(', ')}`,
    })
  const values = new Map([...tensors].map(([path, tensor]) => [path, { shape: tensor.shape, data: toFloat32(tensor) }]))
  const tuned = attach(model, found.kind.read(config), { values })
  loadedConfigs.set(tuned, config)
  return tuned
}
