import { GraftError, isGraftError } from '@graftjs/tensor/error'

/** Puts the place before any error from inside it. tfjs's own are useless without it. */
export const naming = <T>(path: string, f: () => T): T => {
  try {
    return f()
  } catch (error) {
    throw placed(error, path)
  }
}

/** The error with the place where it happened, and who was at work there. */
export const placed = (cause: unknown, path: string, by?: string): unknown => {
  const text = cause instanceof Error ? cause.message : String(cause)
  // One that names a place inside this one says more than we could.
  if (isGraftError(cause) && text.includes(path)) return cause
  const where = by ? `${path}: ${by}` : path
  if (isGraftError(cause))
    return new GraftError({ code: cause.code, culprit: path, message: `${where}: ${text}`, cause })
  const freed = text.includes("reading 'backend'") || text.includes('is disposed')
  return new GraftError({
    code: freed ? 'freed-tensor' : 'stage-failed',
    culprit: path,
    message: `${where}: ${freed ? FREED : text}`,
    cause,
  })
}

const FREED = 'reads a tensor that was freed; what a stage needs comes through the stream, a parameter or run.once'
