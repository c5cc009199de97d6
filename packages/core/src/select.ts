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
export const linears = (
  model: Model,
  targetModules: TargetModules,
  { excludeModules }: SelectOptions = {},
): Site<'linear'>[] => {
  const sites = sitesOf(model, 'linear')
  const targets = targetModules ?? model.targetModules
  const chosen =
    targets === 'all-linear' ? sites.filter((s) => s.role !== 'lm_head') : sites.filter((s) => matches(s.path, targets))
  requireMatches(model, sites, targets)
  const kept = excludeModules ? chosen.filter((s) => !matches(s.path, excludeModules)) : chosen
  if (kept.length === 0)
    throw new GraftError({
      code: 'no-target',
      culprit: 'excludeModules',
      given: JSON.stringify(excludeModules),
      expected: 'to leave at least one of the target modules',
    })
  return kept
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

const requireMatches = (model: Model, sites: readonly Site<'linear'>[], targets: readonly string[] | string): void => {
  if (targets === 'all-linear') return
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
        `targetModules: no linear site of this ${model.type} model matches ${JSON.stringify(entry)}; ` +
        `${close.length ? `near names: ${close.join(', ')}; ` : ''}its linear sites are ${roles.join(', ')}`,
    })
  }
}
