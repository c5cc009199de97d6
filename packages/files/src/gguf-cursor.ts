import { GraftError } from '@graftjs/tensor/error'
import type { ByteSource } from './byte-source.ts'

/** A place in a file's header that moves forward, over a window that is refilled as it goes. */
export interface Cursor {
  position(): number
  left(): number
  bad(given: string, expected: string): GraftError
  u32(): Promise<number>
  /** A 64-bit number that must be below 2^53. */
  size(what: string): Promise<number>
  string(): Promise<string>
  /** `count` strings, or fixed-size values that `read` takes from the window. */
  strings(count: number): Promise<string[]>
  values<T>(count: number, bytes: number, read: (view: DataView, at: number) => T): Promise<T[]>
}

const WINDOW = 1 << 20
const STRING_CAP = 10_000_000

export const createCursor = (source: ByteSource): Cursor => {
  // Tokens may begin with a byte-order mark or hold bytes that are no UTF-8.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let window = new Uint8Array(0)
  let view = new DataView(window.buffer)
  let [base, at] = [0, 0]
  const bad = (given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-file', culprit: source.name, given, expected })
  const left = (): number => source.size - base - at
  const has = (bytes: number): boolean => at + bytes <= window.byteLength
  const fill = async (bytes: number): Promise<void> => {
    if (bytes > left())
      throw bad(`${left()} bytes where ${bytes} should follow (at ${base + at})`, 'a whole file: is it cut short?')
    base += at
    at = 0
    window = (await source.read(base, Math.min(Math.max(bytes, WINDOW), source.size - base))) as Uint8Array<ArrayBuffer>
    view = new DataView(window.buffer, window.byteOffset, window.byteLength)
  }
  const take = (bytes: number): number => {
    at += bytes
    return at - bytes
  }
  const takeSize = (what: string): number => {
    const value = view.getBigUint64(take(8), true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw bad(`${what} ${value}`, 'a number below 2^53')
    return Number(value)
  }
  const string = async (): Promise<string> => {
    if (!has(8)) await fill(8)
    const length = takeSize('a string of length')
    if (length > STRING_CAP) throw bad(`a string of ${length} bytes`, `at most ${STRING_CAP}`)
    if (!has(length)) await fill(length)
    return decoder.decode(window.subarray(take(length), at))
  }
  return {
    position: () => base + at,
    left,
    bad,
    string,
    u32: async () => {
      if (!has(4)) await fill(4)
      return view.getUint32(take(4), true)
    },
    size: async (what) => {
      if (!has(8)) await fill(8)
      return takeSize(what)
    },
    strings: async (count) => {
      const out: string[] = []
      for (let i = 0; i < count; i++) out.push(await string())
      return out
    },
    values: async (count, bytes, read) => {
      if (!has(count * bytes)) await fill(count * bytes)
      return Array.from({ length: count }, () => read(view, take(bytes)))
    },
  }
}
