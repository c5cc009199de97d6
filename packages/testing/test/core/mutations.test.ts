import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { mutations } from '../../mutations/mutations.ts'
import { mutate, runMutant, type Seen } from '../../mutations/run-mutant.ts'

const sourceOf = (file: string): string => readFileSync(new URL(`../../../core/src/${file}`, import.meta.url), 'utf8')

/** Runs at most two at a time, in the order in which they are asked for. */
const lanes = [Promise.resolve(), Promise.resolve()] as Promise<unknown>[]
const queued = <T>(i: number, f: () => Promise<T>): Promise<T> => {
  const run = lanes[i % 2]!.then(f)
  lanes[i % 2] = run.catch(() => {})
  return run
}

describe('deliberate faults in the executor', () => {
  const seen = new Map<string, Seen>()

  it('each finds its text in the sources exactly once', () => {
    for (const mutation of mutations)
      expect(mutate(sourceOf(mutation.file), mutation)).not.toBe(sourceOf(mutation.file))
  })

  it('one whose text is gone fails', () => {
    expect(() => mutate('abc', { name: 'gone', file: 'x.ts', from: 'd', to: '' })).toThrow('holds its text 0 times')
    expect(() => mutate('aba', { name: 'twice', file: 'x.ts', from: 'a', to: '' })).toThrow('holds its text 2 times')
  })

  it.concurrent('the executor as it is passes', { timeout: 300_000 }, async ({ expect }) => {
    expect(await queued(0, () => runMutant())).toBeNull()
  })

  it.concurrent.each(mutations.map((m, i) => [m.name, m, i] as const))(
    'seen: %s',
    { timeout: 600_000 },
    async (name, mutation, i) => {
      const found = await queued(i + 1, () => runMutant(mutation))
      seen.set(name, found)
      expect(found, 'nothing saw it').not.toBeNull()
    },
  )

  afterAll(() => {
    const lines = mutations.map(
      ({ name }) => `${seen.get(name) ? 'seen    ' : 'SURVIVED'}  ${name}\n            ${text(seen.get(name))}`,
    )
    process.stdout.write(`\nMutations of the executor: ${seen.size}\n${lines.join('\n')}\n`)
  })
})

const text = (found: Seen | undefined): string => (found ? `by ${found.name}` : '')
