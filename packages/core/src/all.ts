import type { Method, Model, Params, Patch } from './types.ts'

/** Several methods as one. The first listed is outermost: its patch sees what the later ones return. */
export const all = (...methods: Method[]): Method => ({
  name: methods.map((m) => m.name).join('+'),
  config: { methods: methods.map(({ name, config }) => ({ name, ...config })) },
  attach: (model, params) => methods.flatMap((m) => signed(m, model, params)),
})

/** The method's patches, each with its name for errors. */
export const signed = (method: Method, model: Model, params: Params): Patch[] =>
  method.attach(model, params).map((patch) => (patch.by ? patch : { ...patch, by: method.name }))
