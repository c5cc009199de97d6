/** What every error of Graft says: who is at fault, what was given, what would do. */
export interface Fault {
  /** A short constant to branch on, such as `bad-file`, `bad-option`, `out-of-memory`. */
  readonly code: string
  /** The file, option, parameter path or site that is at fault. */
  readonly culprit: string
  /** The whole sentence, where "culprit: given …; expected …" does not read well. */
  readonly message?: string
  readonly given?: string
  readonly expected?: string
  readonly cause?: unknown
}

/** Every throw of Graft is one of these. Two installed copies recognise each other through `isGraftError`. */
export class GraftError extends Error {
  readonly code: string
  readonly culprit: string
  readonly given: string | undefined
  readonly expected: string | undefined

  constructor(fault: Fault) {
    super(fault.message ?? sentence(fault), fault.cause === undefined ? undefined : { cause: fault.cause })
    this.name = 'GraftError'
    this.code = fault.code
    this.culprit = fault.culprit
    this.given = fault.given
    this.expected = fault.expected
  }
}

export const isGraftError = (e: unknown): e is GraftError => e instanceof Error && e.name === 'GraftError'

const sentence = ({ culprit, given, expected }: Fault): string =>
  [`${culprit}:`, given && `given ${given};`, expected && `expected ${expected}`]
    .filter(Boolean)
    .join(' ')
    .replace(/;$/, '')
