/** A value of a file as an error shows it: short whatever it is, however deep it nests. */
export const brief = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map((v) => (Array.isArray(v) ? '[…]' : brief(v)))
    return `[${shown.join(', ')}${value.length > 8 ? ', …' : ''}]`
  }
  return typeof value === 'object' && value !== null ? '{…}' : String(value)
}
