// Numbers as people read them. The locale is fixed: the same record gives the same bytes.

/** Four digits, without an exponent where that reads well: 2.718, 0.03142, 1.2e-5. */
export const digits = (value: number, count = 4): string => {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  const size = Math.abs(value)
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return shortExponent(value, count - 1)
  return minus(Number(value.toPrecision(count)).toLocaleString('en-US', { maximumFractionDigits: 8 }))
}

const shortExponent = (value: number, decimals: number): string =>
  minus(
    value
      .toExponential(decimals)
      .replace(/\.?0+e/, 'e')
      .replace('e+', 'e'),
  )

const minus = (text: string): string => text.replaceAll('-', '−')

/** 1,234,567 */
export const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** A step on an axis: 250, 20k, 1.5M. */
export const shortStep = (value: number): string => {
  if (value >= 1e6) return `${Number((value / 1e6).toFixed(3))}M`
  return value >= 1e4 ? `${Number((value / 1e3).toFixed(3))}k` : String(value)
}

/** 7.2 ms, 12.3 s, 4 min 10 s, 2 h 5 min */
export const duration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '–'
  if (seconds > 0 && seconds < 0.9995) return `${digits(1000 * seconds, 3)} ms`
  if (seconds < 99.95) return `${digits(seconds, 3)} s`
  const all = Math.round(seconds)
  const [h, min, s] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60]
  return h > 0 ? `${whole(h)} h ${min} min` : `${min} min ${s} s`
}

/** 5.3 MiB, 1.25 GiB */
export const memory = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${digits(bytes / 2 ** 30, 3)} GiB` : `${digits(bytes / 2 ** 20, 3)} MiB`

/** At most `limit` characters; says how many are left out. */
export const clip = (text: string, limit: number): string => {
  if (text.length <= limit) return text
  return `${text.slice(0, limit)} … (${whole(text.length - limit)} more characters)`
}
