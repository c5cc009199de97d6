import type { JsonObject, Model, Site, Value, Values, Weighted } from '@graftjs/core'
import type { LoadedModel } from './load-model.ts'
import { valuesOf } from './save-model.ts'

/** Modules that PEFT adds to `modules_to_save` of an adapter with such a task, and then wants to find in its file. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
}

/**
 * The head goes into the adapter's file even where the adapter does not train it, as one of PEFT's `modules_to_save`: one
 * that the model's file lacks, such as that of a new classifier, since without it nobody could use the adapter; and that of
 * a classifier, since PEFT asks for it.
 */
export const withHead = async (
  model: Model,
  config: JsonObject,
  tensors: Values,
): Promise<{ config: JsonObject; tensors: Values }> => {
  const head = headOf(model, config).filter(({ path }) => !tensors.has(`${path}.weight`))
  if (head.length === 0 || !('modules_to_save' in config)) return { config, tensors }
  const reads = valuesOf(model)
  const all = new Map<string, Value>(tensors)
  const put = async (key: string, name: string): Promise<void> => {
    const read = reads.get(name)
    if (read && !all.has(key)) all.set(key, { shape: read.shape, data: await read() })
  }
  // What has an adapter cannot be a whole module too; the copy tells a reader whether it has the same one.
  const isAdapted = ({ path }: Site): boolean => [...tensors.keys()].some((key) => key.startsWith(`${path}.lora_`))
  for (const { path } of head.filter(isAdapted)) await put(`${path}.base_layer.weight`, `${path}.weight`)
  const missing = head.filter((site) => !isAdapted(site))
  for (const { path } of missing) for (const part of ['weight', 'bias']) await put(`${path}.${part}`, `${path}.${part}`)
  const before = Array.isArray(config.modules_to_save) ? config.modules_to_save : []
  const modules = new Set(missing.map(({ path }) => expectedIn(path, config) ?? path))
  const names = [...before, ...modules]
  return { config: { ...config, modules_to_save: names.length > 0 ? names : null }, tensors: all }
}

const headOf = (model: Model, config: JsonObject): Site<Weighted>[] => {
  const { fresh = [] } = model as Partial<LoadedModel>
  return model.sites.filter(
    (site): site is Site<Weighted> =>
      'weight' in site && (fresh.includes(`${site.path}.weight`) || expectedIn(site.path, config) !== undefined),
  )
}

/** The module that PEFT asks for and that the path is, or is inside of: a RoBERTa classifier holds two layers. */
const expectedIn = (path: string, { task_type: task }: JsonObject): string | undefined => {
  const parts = path.split('.')
  const at = parts.findIndex((part) => EXPECTED[String(task)]?.includes(part))
  return at < 0 ? undefined : parts.slice(0, at + 1).join('.')
}
