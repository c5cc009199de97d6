import { all, type Method, type MethodKind, near } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import { GraftError } from '@graftjs/tensor/error'

/** The one place that lists every method by name. */
const methods: Record<string, ((options: never) => Method) & { kind: MethodKind }> = { lora }

export const kinds = Object.values(methods)

/** `{ name, …config }`, or a list of them: first listed is outermost. */
export const methodOf = (config: unknown): Method => {
  if (Array.isArray(config)) return config.length === 1 ? methodOf(config[0]) : all(...config.map(methodOf))
  const { name, ...options } = config as { name: string }
  const make = methods[name]
  if (make) return make(options as never)
  const close = near(String(name), Object.keys(methods))
  throw new GraftError({
    code: 'bad-recipe',
    culprit: 'method.name',
    given: JSON.stringify(name),
    expected: `one of ${Object.keys(methods).join(', ')}${close.length ? ` (did you mean ${close[0]}?)` : ''}`,
  })
}
