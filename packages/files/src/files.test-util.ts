import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GraftError, isGraftError } from '@graftjs/tensor/error'

/** Seeded numbers below `n` (mulberry32): a failure comes back with its seed. */
export const seeded = (seed: number): ((n: number) => number) => {
  let state = seed >>> 0
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** The GraftError that `run` ends with. A result or an error of another kind fails the test. */
export const faultOf = async (run: () => unknown): Promise<GraftError> => {
  const fault = await faultOrNone(run)
  if (fault) return fault
  throw new Error('no error was thrown')
}

/** The same, where a result will do too. */
export const faultOrNone = async (run: () => unknown): Promise<GraftError | undefined> => {
  try {
    await run()
    return undefined
  } catch (e) {
    if (isGraftError(e) && e instanceof GraftError) return e
    throw new Error(`not a GraftError: ${String(e)}`, { cause: e })
  }
}

/** A copy with one to four bytes changed, removed, repeated or inserted. */
export const mutate = (bytes: Uint8Array, random: (n: number) => number): Uint8Array => {
  const out = [...bytes]
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(out.length || 1)
    const edits = [
      () => out.splice(at, 1, random(256)),
      () => out.splice(at, 1, (out[at] ?? 0) ^ (1 << random(8))),
      () => out.splice(at, 1, [0, 0xff, 0x7f, 0x80][random(4)]!),
      () => out.splice(at, 1),
      () => out.splice(at, 0, out[random(out.length || 1)] ?? 0),
    ]
    edits[random(edits.length)]!()
  }
  return Uint8Array.from(out)
}

/** Runs `use` in a folder of its own, which is gone afterwards. */
export const inFolder = async (use: (dir: string) => Promise<void>): Promise<void> => {
  const dir = await mkdtemp(join(tmpdir(), 'graft-files-'))
  try {
    await use(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

export const filesIn = async (dir: string): Promise<string[]> => (await readdir(dir)).sort()
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
