import { all, type Method, type MethodKind } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import { molora, mov } from '@graftjs/molora'
import { GraftError } from '@graftjs/tensor/error'
import { nearKey } from './near-key.ts'

/** The one place that lists every method by name. */
const methods: Record<string, ((options: never) => Method) & { kind: MethodKind }> = { lora, molora, mov }

export const kinds = Object.values(methods)
export const methodNames = Object.keys(methods)

/** `{ name, …config }`, or a list of them: first listed is outermost. */
export const methodOf = (config: unknown): Method => {
  if (Array.isArray(config)) return config.length === 1 ? methodOf(config[0]) : all(...config.map(methodOf))
  const { name, ...options } = config as { name: string }
  const make = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (make) return checked(make(options as never), options)
  const close = nearKey(String(name), Object.keys(methods))
  throw new GraftError({
    code: 'bad-recipe',
    culprit: 'method.name',
    given: JSON.stringify(name),
    expected: `one of ${Object.keys(methods).join(', ')}${close.length ? ` (did you mean ${close[0]}?)` : ''}`,
  })
}

/** A method's config holds all that it can be told: an option that is not there would be dropped in silence. */
const checked = (method: Method, options: object): Method => {
  const known = Object.keys(method.config)
  const unknown = Object.keys(options).find((key) => !known.includes(key))
  if (unknown === undefined) return method
  const close = nearKey(unknown, known)
  throw new GraftError({
    code: 'bad-recipe',
    culprit: `method.${unknown}`,
    message: `method: ${method.name} has no option ${unknown}; ${close.length ? `did you mean ${close.join(' or ')}?` : `its options are ${known.join(', ')}`}`,
  })
}
