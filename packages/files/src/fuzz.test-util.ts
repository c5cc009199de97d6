import { faultOrNone, mutate, seeded } from './files.test-util.ts'
import { type ByteSource, bytesSource } from './index.ts'

/** 200,000 with GRAFT_MATRIX=whole. */
export const FUZZ_COUNT = process.env.GRAFT_MATRIX === 'whole' ? 200_000 : 5_000
const DEADLINE_MS = 1_000

/** Sizes and counts that readers have stumbled over. */
const hard = [
  0n,
  1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 61n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n - 32n,
]

/** `mutate`, and now and then a whole number of four or eight bytes in its place. */
export const mutateHard = (bytes: Uint8Array, random: (n: number) => number): Uint8Array => {
  const out = mutate(bytes, random)
  if (random(3) > 0 || out.length < 9) return out
  const view = new DataView(out.buffer)
  const value = hard[random(hard.length)]!
  const at = random(out.length - 8)
  if (random(2) === 0) view.setBigUint64(at, value, true)
  else view.setUint32(at, Number(BigInt.asUintN(32, value)), true)
  return out
}

/** A source that throws where more is asked for than four times the file and 1 MiB, at once or in all. */
export const boundedSource = (bytes: Uint8Array, name: string): ByteSource => {
  const source = bytesSource(bytes, name)
  const most = 4 * bytes.byteLength + 2 ** 20
  let asked = 0
  return {
    ...source,
    read: (offset, length) => {
      asked += length
      if (asked > most) throw new Error(`${asked} bytes were asked for of a file of ${bytes.byteLength}`)
      return source.read(offset, length)
    },
  }
}

/** Runs `use` on so many changed copies: each must end within a second, well or with a GraftError. Says how many were refused. */
export const fuzz = async (
  bytes: Uint8Array,
  use: (changed: Uint8Array) => unknown,
  change: typeof mutate = mutateHard,
): Promise<number> => {
  let refused = 0
  for (let seed = 0; seed < FUZZ_COUNT; seed++) {
    const changed = change(bytes, seeded(seed))
    const begin = performance.now()
    const fault = await faultOrNone(() => use(changed)).catch((cause: Error) => {
      throw new Error(`seed ${seed}`, { cause })
    })
    const ms = performance.now() - begin
    if (ms > DEADLINE_MS) throw new Error(`seed ${seed}: ${Math.round(ms)} ms`)
    if (fault) refused++
  }
  return refused
}
