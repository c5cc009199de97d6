import { GraftError } from '@graftjs/tensor/error'
import { near } from './near.ts'
import type { Kind, Model, Site } from './types.ts'

/** PEFT's `target_modules`: names matched as suffixes, a regular expression that matches whole paths, `'all-linear'`, or null for the architecture's own. */
export type TargetModules = readonly string[] | string | null | undefined

export interface SelectOptions {
  /** The same two forms; wins over the targets. */
  readonly excludeModules?: readonly string[] | string | null | undefined
}

export const sitesOf = <K extends Kind>(model: Model, kind: K): Site<K>[] =>
  model.sites.filter((s) => s.kind === kind) as Site<K>[]

/** The linear sites that `targetModules` names, in the model's order. Every entry must match something. */
export const linears = (model: Model, targetModules: TargetModules, options: SelectOptions = {}): Site<'linear'>[] => {
  const targets = targetModules ?? model.targetModules
  if (targets !== 'all-linear') return select(model, 'linear', targets, options)
  const all = sitesOf(model, 'linear').filter((site) => site.role !== 'lm_head')
  return without(all, options)
}

/** The sites of one kind that `targets` names by PEFT's rule: a list of paths or their ends, or a regular expression over whole paths. Every entry must match something. */
export const select = <K extends Kind>(
  model: Model,
  kind: K,
  targets: readonly string[] | string,
  options: SelectOptions = {},
): Site<K>[] => {
  const sites = sitesOf(model, kind)
  requireMatches(model, kind, sites, targets)
  return without(
    sites.filter((site) => matches(site.path, targets)),
    options,
  )
}

const without = <S extends Pick<Site, 'path'>>(sites: readonly S[], { excludeModules }: SelectOptions): S[] => {
  const kept = sites.filter((site) => !excludeModules || !matches(site.path, excludeModules))
  if (kept.length > 0) return kept
  throw new GraftError({
    code: 'no-target',
    culprit: 'excludeModules',
    given: JSON.stringify(excludeModules),
    expected: 'to leave at least one of the target modules',
  })
}

/** PEFT's rule: a list entry is the path or a suffix of it after a dot; a string is a regular expression over the whole path. */
const matches = (path: string, targets: readonly string[] | string): boolean =>
  typeof targets === 'string'
    ? wholeRegex(targets).test(path)
    : targets.some((t) => path === t || path.endsWith(`.${t}`))

const wholeRegex = (source: string): RegExp => {
  try {
    return new RegExp(`^(?:${source})$`)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-option',
      culprit: 'targetModules',
      given: JSON.stringify(source),
      expected: 'a valid regular expression',
      cause,
    })
  }
}

const requireMatches = (
  model: Model,
  kind: Kind,
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
