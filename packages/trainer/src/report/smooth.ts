import type { Point } from './down-sample.ts'

/**
 * Exponential means over about `span` points, corrected for their start (Kingma and Ba 2015, 3), from the left and from the
 * right, averaged: one alone lags behind a falling loss. Points that are not finite
 * are left out. With `log` the means are geometric, as a logarithmic axis wants them, and what is not positive is left out.
 */
export const smooth = (points: readonly Point[], span: number, kind: 'linear' | 'log' = 'linear'): Point[] => {
  const log = kind === 'log'
  const finite = points.filter(([, value]) => Number.isFinite(value) && (!log || value > 0))
  const values = finite.map(([, value]) => (log ? Math.log(value) : value))
  const decay = 1 - 1 / Math.max(1, span)
  const ahead = means(values, decay)
  const behind = means(values.toReversed(), decay).reverse()
  return finite.map(([step], i) => {
    const mean = (ahead[i]! + behind[i]!) / 2
    return [step, log ? Math.exp(mean) : mean]
  })
}

const means = (values: readonly number[], decay: number): number[] => {
  let [mean, weight] = [0, 0]
  return values.map((value) => {
    mean = decay * mean + (1 - decay) * value
    weight = decay * weight + (1 - decay)
    return mean / weight
  })
}
