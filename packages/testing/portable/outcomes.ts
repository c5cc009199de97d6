import type { Environment, Host } from './host.ts'
import { type Message, type Target, textOf } from './protocol.ts'

/** How a case ended: with an error, without one, or not at all because there is no such device here. */
export interface Outcome {
  readonly error?: string
  readonly missing?: string
}

export interface Run {
  /** Never rejects, and always ends: what hangs or crashes is the outcome of the case under way and of all after it. */
  outcome(name: string): Promise<Outcome>
  stop(): Promise<void>
}

/** Starts `host`, and gathers what it tells. Without a word for `silenceMs` it is taken to hang. */
export const startRun = (names: readonly string[], host: Host, target: Target, silenceMs: number): Run => {
  const settle = new Map<string, (outcome: Outcome) => void>()
  const outcomes = new Map(names.map((name) => [name, new Promise<Outcome>((resolve) => settle.set(name, resolve))]))
  let [under, over] = ['the start', false]
  let watch: ReturnType<typeof setTimeout> | undefined

  // A promise keeps its first outcome: the cases that have one are not changed.
  const endAll = (outcome: Outcome): void => {
    over = true
    clearTimeout(watch)
    for (const resolve of settle.values()) resolve(outcome)
  }
  const heard = (): void => {
    clearTimeout(watch)
    const error = `no word for ${silenceMs / 1000} s, in: ${under}`
    if (!over) watch = setTimeout(() => endAll({ error }), silenceMs)
  }
  const tell = (message: Message): void => {
    if (over) return
    if (message.type === 'begin') under = message.name
    else if (message.type === 'result')
      settle.get(message.name)?.(message.error === undefined ? {} : { error: message.error })
    else if (message.type === 'end') endAll({ error: 'the environment ended without running this case' })
    else if (message.type === 'unavailable') endAll({ missing: message.reason })
    else endAll({ error: `in: ${under}: ${message.error}` })
    heard()
  }

  heard()
  const environment: Promise<Environment | undefined> = host(target, tell).catch((error) => {
    endAll({ error: textOf(error) })
    return undefined
  })
  return {
    outcome: (name) => outcomes.get(name)!,
    stop: async () => {
      endAll({ error: 'stopped' })
      await (await environment)?.stop()
    },
  }
}
