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

/** The losses as a chart that any browser opens: raw in grey, a running mean in colour. */
export const lossSvg = (losses: readonly number[], title: string): string => {
  const [width, height, left, bottom, top] = [640, 320, 56, 40, 36]
  const high = Math.max(...losses) * 1.05
  const x = (i: number): number => left + (i / Math.max(1, losses.length - 1)) * (width - left - 20)
  const y = (v: number): number => height - bottom - (v / high) * (height - bottom - top)
  const points = (values: readonly number[]): string =>
    values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' ')
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((f) => high * f)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${left}" y="22" font-size="15" fill="#1c2733">${escapeXml(title)}</text>
${ticks.map((t) => `<line x1="${left}" x2="${width - 20}" y1="${y(t).toFixed(1)}" y2="${y(t).toFixed(1)}" stroke="#e5e9ee"/><text x="${left - 8}" y="${(y(t) + 4).toFixed(1)}" text-anchor="end" fill="#66717d">${t.toFixed(2)}</text>`).join('\n')}
<text x="${left}" y="${height - 12}" fill="#66717d">step 1</text><text x="${width - 20}" y="${height - 12}" text-anchor="end" fill="#66717d">step ${losses.length}</text>
<polyline fill="none" stroke="#c3ccd6" stroke-width="1" points="${points(losses)}"/>
<polyline fill="none" stroke="#0f8f6b" stroke-width="2" points="${points(runningMean(losses))}"/>
</svg>
`
}

const runningMean = (values: readonly number[], decay = 0.85): number[] => {
  let [mean, weight] = [0, 0]
  return values.map((v) => {
    mean = decay * mean + (1 - decay) * v
    weight = decay * weight + (1 - decay)
    return mean / weight
  })
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]!)
