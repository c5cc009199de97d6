import { describe, expect, it } from 'vitest'
import { constant, cosine, linear } from './schedules.ts'

/** transformers/optimization.py, line by line. */
const transformers = {
  constant: (step: number, warm: number) => (step < warm ? step / Math.max(1, warm) : 1),
  linear: (step: number, warm: number, total: number) =>
    step < warm ? step / Math.max(1, warm) : Math.max(0, (total - step) / Math.max(1, total - warm)),
  cosine: (step: number, warm: number, total: number, cycles = 0.5) => {
    if (step < warm) return step / Math.max(1, warm)
    const progress = (step - warm) / Math.max(1, total - warm)
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress)))
  },
}

describe.each([0, 1, 3, 10])('with %d steps of warm-up', (warmupSteps) => {
  it('the schedules give the numbers of transformers', () => {
    for (let step = 0; step <= 12; step++) {
      expect(constant({ warmupSteps })(step, 10)).toBe(transformers.constant(step, warmupSteps))
      expect(linear({ warmupSteps })(step, 10)).toBe(transformers.linear(step, warmupSteps, 10))
      expect(cosine({ warmupSteps })(step, 10)).toBe(transformers.cosine(step, warmupSteps, 10))
      expect(cosine({ warmupSteps, cycles: 1.5 })(step, 10)).toBe(transformers.cosine(step, warmupSteps, 10, 1.5))
    }
  })
})
it('a ratio of warm-up is rounded up', () => {
  expect(linear({ warmupRatio: 0.25 })(2, 10)).toBe(transformers.linear(2, 3, 10))
  expect(constant({ warmupRatio: 1 })(9, 10)).toBe(0.9)
})
it('has the shape it is named for', () => {
  expect([0, 5, 10].map((step) => linear()(step, 10))).toEqual([1, 0.5, 0])
  expect([0, 5, 10].map((step) => cosine()(step, 10))).toEqual([1, expect.closeTo(0.5, 12), 0])
  expect(constant()(3, 10)).toBe(1)
})
it('refuses a warm-up that cannot be', () => {
  expect(() => linear({ warmupSteps: 1, warmupRatio: 0.1 })).toThrow(/both warmupSteps and warmupRatio/)
  expect(() => linear({ warmupSteps: -1 })).toThrow(/warmupSteps: given -1/)
  expect(() => linear({ warmupRatio: 1.5 })).toThrow(/warmupRatio: given 1.5/)
})
