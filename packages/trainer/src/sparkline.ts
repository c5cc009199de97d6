const BARS = '▁▂▃▄▅▆▇█'

/** The losses as one line of bars, averaged into `width` columns. */
export const sparkline = (values: readonly number[], width = 60): string => {
  const columns = averaged(values, width)
  const [low, high] = [Math.min(...columns), Math.max(...columns)]
  return columns.map((v) => BARS[high > low ? Math.round(((v - low) / (high - low)) * (BARS.length - 1)) : 0]).join('')
}

const averaged = (values: readonly number[], width: number): number[] => {
  const n = Math.min(width, values.length)
  return Array.from({ length: n }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / n), Math.floor(((i + 1) * values.length) / n))
    return part.reduce((a, b) => a + b, 0) / part.length
  })
}
