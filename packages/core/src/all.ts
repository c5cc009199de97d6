import type { Method } from './types.ts'

/** Several methods as one. The first listed is outermost: its patch sees what the later ones return. */
export const all = (...methods: Method[]): Method => ({
  name: methods.map((m) => m.name).join('+'),
  config: { methods: methods.map(({ name, config }) => ({ name, ...config })) },
  attach: (model, params) => methods.flatMap((m) => m.attach(model, params)),
})
