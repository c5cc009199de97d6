const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const padded = (n: number, width = 2): string => String(n).padStart(width, '0')

/** Python's `date.strftime(format)` in the C locale, for the codes that chat templates use; others stay as they are. */
export const strftime = (date: Date, format: string): string => {
  const codes: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    y: () => padded(date.getFullYear() % 100),
    m: () => padded(date.getMonth() + 1),
    d: () => padded(date.getDate()),
    B: () => months[date.getMonth()]!,
    b: () => months[date.getMonth()]!.slice(0, 3),
    A: () => days[date.getDay()]!,
    a: () => days[date.getDay()]!.slice(0, 3),
    H: () => padded(date.getHours()),
    I: () => padded(date.getHours() % 12 || 12),
    M: () => padded(date.getMinutes()),
    S: () => padded(date.getSeconds()),
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    '%': () => '%',
  }
  return format.replace(/%(.)/g, (whole, code: string) => codes[code]?.() ?? whole)
}
