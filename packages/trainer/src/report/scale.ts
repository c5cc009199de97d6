export interface Scale {
  readonly kind: 'linear' | 'log'
  /** Of 0 (the lower end) … 1. What is outside is put on the edge. */
  readonly at: (value: number) => number
  readonly ticks: readonly number[]
}

/** From a round number to a round number around the values; `zero`: from 0. */
export const linearScale = (values: readonly number[], { zero = false, count = 4 } = {}): Scale => {
  const [least, most] = range(values)
  const low = zero || (least > 0 && least < most / 2) ? Math.min(0, least) : least
  const pad = most > low ? 0 : Math.abs(most) / 2 || 1
  const step = niceStep((most + pad - (zero ? low : low - pad)) / count)
  // The small part keeps rounding errors from adding a tick.
  const first = Math.floor((zero ? low : low - pad) / step + 1e-9)
  const last = Math.max(first + 1, Math.ceil((most + pad) / step - 1e-9))
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => clean((first + i) * step))
  return { kind: 'linear', at: (v) => inside((v - first * step) / ((last - first) * step)), ticks }
}

/** Decades, six at most below the largest value; less than two are marked at 2 and 5 as well. */
export const logScale = (values: readonly number[]): Scale => {
  const positive = values.filter((v) => v > 0)
  const [least, most] = range(positive)
  const top = Math.log10(most)
  const bottom = Math.max(Math.log10(least), top - 6)
  const [low, high] = top - bottom < 1e-9 ? [bottom - 0.5, top + 0.5] : [bottom, top]
  const pad = (high - low) * 0.05
  const [from, to] = [low - pad, high + pad]
  const within = (v: number): boolean => Math.log10(v) >= from && Math.log10(v) <= to
  const decades = Array.from({ length: Math.ceil(to) - Math.floor(from) + 1 }, (_, i) => 10 ** (Math.floor(from) + i))
  const fine = decades.flatMap((d) => [d, 2 * d, 5 * d]).filter(within)
  const coarse = decades.filter(within)
  const ticks = (coarse.length >= 3 ? coarse : fine).map(clean)
  return { kind: 'log', at: (v) => (v > 0 ? inside((Math.log10(v) - from) / (to - from)) : 0), ticks }
}

/** From step 0 to the last one; the ticks are whole steps. */
export const stepScale = (last: number): Scale => {
  const to = Math.max(1, last)
  const step = Math.max(1, niceStep(to / 5))
  const ticks = Array.from({ length: Math.floor(to / step + 1e-9) + 1 }, (_, i) => i * step)
  return { kind: 'linear', at: (v) => inside(v / to), ticks }
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
const niceStep = (least: number): number => {
  const power = 10 ** Math.floor(Math.log10(least))
  return clean([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9))! * power)
}

/** 0.30000000000000004 is 0.3. */
const clean = (value: number): number => Number(value.toPrecision(12))

const inside = (fraction: number): number => Math.min(1, Math.max(0, fraction))

// Not Math.min(...values): a call takes no 100,000 arguments everywhere.
const range = (values: readonly number[]): [least: number, most: number] => {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    if (value < least) least = value
    if (value > most) most = value
  }
  return least <= most ? [least, most] : [0, 1]
}
