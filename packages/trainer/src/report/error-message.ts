/** What to show of a thrown value: anything may be thrown. */
export const errorMessage = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const { name, message } = error
  return name === 'Error' || name === 'GraftError' ? message || name : `${name}: ${message}`
}
