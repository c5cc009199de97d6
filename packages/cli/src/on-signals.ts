const codes = { SIGINT: 130, SIGTERM: 143 } as const
export type StopSignal = keyof typeof codes

/** A terminal signals the whole group and a wrapper (npx, bin/graft.mjs) passes on what it got: that is one signal. */
const ONE = 300

/**
 * Lets a command finish what is under way. The first SIGINT or SIGTERM calls `stop`, a second ends the process at once.
 * Returns what takes the listeners away.
 */
export const onSignals = (stop: (signal: StopSignal, exitCode: number) => void): (() => void) => {
  let first: number | undefined
  const hear = (signal: StopSignal) => (): void => {
    const now = performance.now()
    if (first === undefined) {
      first = now
      stop(signal, codes[signal])
    } else if (now - first > ONE) process.exit(codes[signal])
  }
  const listeners = (Object.keys(codes) as StopSignal[]).map((signal) => [signal, hear(signal)] as const)
  for (const [signal, listener] of listeners) process.on(signal, listener)
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener)
  }
}
