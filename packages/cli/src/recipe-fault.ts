import { GraftError } from '@graftjs/tensor/error'
import type { z } from 'zod'
import { nearKey } from './near-key.ts'
import { flatFields } from './recipe-fields.ts'
import { schemaAt } from './recipe-json-schema.ts'

type Issue = z.core.$ZodIssue

/** The fault to name first: an unknown key, which may be why another one is missing, else the first. */
export const recipeFault = (value: unknown, issues: readonly Issue[], file: string): GraftError => {
  const found = issues.map(deepest)
  const issue = found.find(rank) ?? found[0]!
  if (issue.code === 'unrecognized_keys') return unknownKey([...issue.path], issue.keys[0]!, file)
  const given = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
  return new GraftError({
    code: 'bad-recipe',
    culprit: `${file}: ${pathText(issue.path) || 'recipe'}`,
    given: given === undefined ? 'nothing' : brief(given),
    expected: issue.message,
  })
}

/** Of alternatives that all failed, the fault of the one that went furthest: `data.train[1].path`, not `data.train`. */
const deepest = (issue: Issue): Issue => {
  if (issue.code !== 'invalid_union') return issue
  const inner = issue.errors
    .flat()
    .map(deepest)
    .filter(({ code, path }) => path.length > 0 || code === 'unrecognized_keys')
    .sort((a, b) => rank(b) - rank(a) || b.path.length - a.path.length)[0]
  return inner ? ({ ...inner, path: [...issue.path, ...inner.path] } as Issue) : issue
}

const rank = ({ code }: Issue): number => (code === 'unrecognized_keys' ? 1 : 0)

const unknownKey = (path: readonly PropertyKey[], key: string, file: string): GraftError => {
  const whole = pathText([...path, key])
  const known = Object.keys(schemaAt(path).properties ?? {})
  const close = nearKey(key, known)
  const elsewhere = flatFields().filter((field) => field.key === key && field.path !== whole)
  const hint = close.length
    ? `did you mean ${close.join(' or ')}?`
    : elsewhere.length
      ? `its place is ${elsewhere.map((field) => field.path).join(' or ')}`
      : `known keys are ${known.join(', ')}`
  return new GraftError({
    code: 'bad-recipe',
    culprit: `${file}: ${whole}`,
    message: `${file}: unknown key ${whole}; ${hint}`,
  })
}

const pathText = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key)),
    '',
  )

const brief = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
