import { GraftError } from '@graftjs/tensor/error'
import { near } from './near.ts'
import type { Kind, Model, Site } from './types.ts'

/** PEFT's `target_modules`: names matched as suffixes, a regular expression that matches whole paths, `'all-linear'`, or null for the architecture's own. */
export type TargetModules = readonly string[] | string | null | undefined

export interface SelectOptions {
  /** The same two forms; wins over the targets. */
  readonly excludeModules?: readonly string[] | string | null | undefined
  /** Only in these layers, counted from 0: sites outside the layers drop out. */
  readonly layersToTransform?: readonly number[] | number | null | undefined
  /** With `layersToTransform`: the name of the list that is counted, such as `'layers'`; the first number in a path when absent. */
  readonly layersPattern?: readonly string[] | string | null | undefined
  /** Sites that `savedModules` holds as wholes: never targets too. */
  readonly modulesToSave?: readonly string[] | null | undefined
}

export const sitesOf = <K extends Kind>(model: Model, kind: K): Site<K>[] =>
  model.sites.filter((s) => s.kind === kind) as Site<K>[]

/** The linear sites that `targetModules` names, in the model's order. Every entry must match something. */
export const linears = (model: Model, targetModules: TargetModules, options: SelectOptions = {}): Site<'linear'>[] => {
  const targets = targetModules ?? model.targetModules
  if (targets !== 'all-linear') return select(model, 'linear', targets, options)
  const all = sitesOf(model, 'linear').filter(
    ({ path }) => !isWithin(path, (module) => module === (model.outputPath ?? 'lm_head')),
  )
  return without(all, options)
}

/** The same for methods that also stand at embeddings: what `targetModules` names may be a linear site or an embedding. */
export const linearsAndEmbeddings = (
  model: Model,
  targetModules: TargetModules,
  options: SelectOptions = {},
): Site<'linear' | 'embedding'>[] =>
  targetModules && targetModules !== 'all-linear'
    ? select(model, ['linear', 'embedding'], targetModules, options)
    : linears(model, targetModules, options)

/** The sites of one kind (or of some) that `targets` names by PEFT's rule: a list of paths or their ends, or a regular expression over whole paths. Every entry must match something. */
export const select = <K extends Kind>(
  model: Model,
  kind: K | readonly K[],
  targets: readonly string[] | string,
  options: SelectOptions = {},
): Site<K>[] => {
  const kinds = [kind].flat() as K[]
  const sites = model.sites.filter((site) => kinds.includes(site.kind as K)) as Site<K>[]
  requireMatches(model, kinds.join(' or '), sites, targets)
  return without(
    sites.filter((site) => matches(site.path, targets)),
    options,
  )
}

const without = <S extends Pick<Site, 'path'>>(sites: readonly S[], options: SelectOptions): S[] => {
  const { excludeModules, layersToTransform, modulesToSave } = options
  const left = sites.filter(
    ({ path }) =>
      !(excludeModules && matches(path, excludeModules, 'excludeModules')) &&
      !modulesToSave?.some((name) => isWithin(path, (part) => matches(part, [name]))),
  )
  const kept = left.filter(({ path }) => isInLayers(path, options))
  if (kept.length > 0) return kept
  const [culprit, given] =
    left.length > 0
      ? ['layersToTransform', layersToTransform]
      : modulesToSave?.length
        ? ['modulesToSave', modulesToSave]
        : ['excludeModules', excludeModules]
  throw new GraftError({
    code: 'no-target',
    culprit: culprit as string,
    given: JSON.stringify(given),
    expected: 'to leave at least one of the target modules',
  })
}

/** PEFT's rule: the first number in the path that has a name before it, or that stands behind one of the patterns. */
const isInLayers = (path: string, { layersToTransform, layersPattern }: SelectOptions): boolean => {
  const layers = [layersToTransform ?? []].flat()
  if (layers.length === 0) return true
  const patterns = [layersPattern ?? []].flat()
  const found = patterns.length
    ? patterns.map((p) => regex(`^(?:|.*?\\.)(?:${p})\\.(\\d+)\\.`, p, 'layersPattern').exec(path)).find(Boolean)
    : /^.*?\.[^.]*\.(\d+)\./.exec(path)
  return found !== null && found !== undefined && layers.includes(Number(found[1]))
}

/** Whether the module or one that holds it passes. */
export const isWithin = (path: string, passes: (module: string) => boolean): boolean =>
  path.split('.').some((_, i, parts) => passes(parts.slice(0, i + 1).join('.')))

/** PEFT's rule for `rank_pattern` and its like: the first key that, as a regular expression, matches the path or an end of it. */
export const patternFor = <T>(
  patterns: Readonly<Record<string, T>>,
  path: string,
  option: string,
): readonly [key: string, value: T] | undefined =>
  Object.entries(patterns).find(([key]) => regex(`^(?:.*\\.)?(?:${key})$`, key, option).test(path))

/** PEFT's rule: a list entry is the path or a suffix of it after a dot; a string is a regular expression over the whole path. */
const matches = (path: string, targets: readonly string[] | string, option = 'targetModules'): boolean =>
  typeof targets === 'string'
    ? regex(`^(?:${targets})$`, targets, option).test(path)
    : targets.some((t) => path === t || path.endsWith(`.${t}`))

const regex = (source: string, given: string, option: string): RegExp => {
  try {
    return new RegExp(source)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-option',
      culprit: option,
      given: JSON.stringify(given),
      expected: 'a valid regular expression',
      cause,
    })
  }
}

const requireMatches = (
  model: Model,
  kind: string,
  sites: readonly Pick<Site, 'path' | 'role'>[],
  targets: readonly string[] | string,
): void => {
  const entries = typeof targets === 'string' ? [targets] : targets
  const roles = [...new Set(sites.map((s) => s.role))]
  if (entries.length === 0)
    throw new GraftError({
      code: 'no-target',
      culprit: 'targetModules',
      given: 'an empty list',
      expected: `some of ${roles.join(', ')}`,
    })
  for (const entry of entries) {
    const one = typeof targets === 'string' ? entry : [entry]
    if (sites.some((s) => matches(s.path, one))) continue
    const close = near(entry, [...roles, ...sites.map((s) => s.path)])
    throw new GraftError({
      code: 'no-target',
      culprit: 'targetModules',
      message:
        `targetModules: no ${kind} site of this ${model.type} model matches ${JSON.stringify(entry)}; ` +
        `${close.length ? `near names: ${close.join(', ')}; ` : ''}its ${kind} sites are ${roles.join(', ')}`,
    })
  }
}
