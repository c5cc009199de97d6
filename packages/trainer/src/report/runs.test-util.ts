import type { EvaluationReport, StepReport, TrainEvent } from '../callbacks.ts'

export const step = (n: number, more: Partial<StepReport> = {}): StepReport => ({
  step: n,
  steps: 10,
  epoch: 0,
  loss: 3 / n,
  learningRate: 1e-3,
  gradNorm: 1 / n,
  targets: 40,
  tokens: 100,
  seconds: 0.5,
  bytes: 2 ** 20,
  skipped: false,
  ...more,
})

export const evaluation = (n: number, more: Partial<EvaluationReport> = {}): EvaluationReport => ({
  step: n,
  metrics: { loss: 3 / (n + 1) },
  best: true,
  continuations: [],
  seconds: 1,
  ...more,
})

export const event = (n: number, code: TrainEvent['code'], message = `${code} at ${n}`): TrainEvent => ({
  code,
  step: n,
  message,
  details: {},
})

/** Uniform in 0 … 1, the same for a seed (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The steps of a run that learns: noise, warm-up, a rate that falls to 0. */
export const learning = (steps: number, seed = 0): StepReport[] => {
  const random = seeded(seed)
  return Array.from({ length: steps }, (_, i) => {
    const t = i / steps
    const noise = random() + random() + random() - 1.5
    return step(i + 1, {
      steps,
      epoch: Math.floor(3 * t),
      loss: 0.35 + 2.6 * Math.exp(-7 * t) + 0.18 * noise * (0.4 + Math.exp(-4 * t)),
      learningRate: 5e-4 * Math.min((i + 1) / (steps * 0.06 + 1), 1 - t),
      gradNorm: (0.25 + 4 * Math.exp(-6 * t)) * Math.exp(0.6 * noise),
      targets: 96,
      tokens: Math.round(1400 + 300 * noise),
      seconds: 2.1 + 0.3 * random() + (i === 0 ? 2 : 0),
      bytes: 5.4e8 + (i > 2 ? 1.4e8 : 0) + 1e7 * random(),
    })
  })
}
