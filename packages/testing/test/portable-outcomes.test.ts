import { describe, expect, it } from 'vitest'
import type { Host } from '../portable/host.ts'
import { startRun } from '../portable/outcomes.ts'
import type { Message, Target } from '../portable/protocol.ts'

const target: Target = { backend: 'simd', threads: 1, variant: 'plain' }
const SILENCE_MS = 60

/** What becomes of two cases in an environment that tells this and nothing more, and how often it was stopped. */
const outcomesOf = async (told: readonly Message[]) => {
  let stopped = 0
  const host: Host = async (_, tell) => {
    for (const message of told) tell(message)
    return { stop: async () => void stopped++ }
  }
  const run = startRun(['first', 'second'], host, target, SILENCE_MS)
  const outcomes = [await run.outcome('first'), await run.outcome('second')]
  await run.stop()
  expect(stopped).toBe(1)
  return outcomes
}

const begin = (name: string): Message => ({ type: 'begin', name })
const passed = (name: string): Message => ({ type: 'result', name })

describe('the outcomes of a portable run', () => {
  it('are those of the cases', async () => {
    const told: Message[] = [
      passed('first'),
      { type: 'result', name: 'second', error: 'wrong numbers' },
      { type: 'end' },
    ]
    expect(await outcomesOf(told)).toEqual([{}, { error: 'wrong numbers' }])
  })

  it('name the case that hangs', async () => {
    expect(await outcomesOf([begin('first'), passed('first'), begin('second')])).toEqual([
      {},
      { error: 'no word for 0.06 s, in: second' },
    ])
    expect(await outcomesOf([])).toEqual(Array(2).fill({ error: 'no word for 0.06 s, in: the start' }))
  })

  it('name the case in which the environment died', async () => {
    const error = 'in: first: the browser ended'
    expect(await outcomesOf([begin('first'), { type: 'fatal', error: 'the browser ended' }])).toEqual([
      { error },
      { error },
    ])
  })

  it('say so of a case that was never run', async () => {
    const [, second] = await outcomesOf([passed('first'), { type: 'end' }])
    expect(second!.error).toMatch(/without running/)
  })

  it('tell a missing device from a failure', async () => {
    const missing = 'no WebGPU adapter'
    expect(await outcomesOf([{ type: 'unavailable', reason: missing }])).toEqual([{ missing }, { missing }])
  })

  it('take a host that cannot start for a failure', async () => {
    const run = startRun(['first'], () => Promise.reject(new Error('no port')), target, SILENCE_MS)
    expect((await run.outcome('first')).error).toMatch(/no port/)
    await run.stop()
  })
})
