import { GraftError } from '@graftjs/tensor/error'
import type { Cursor } from './gguf-cursor.ts'

/** A whole number beyond 2^53 comes as a bigint. */
export type GgufValue = number | bigint | boolean | string | GgufValue[]

/** The value types of GGUF by their number; 8 is a string, 9 an array. */
const scalars: Readonly<Record<number, readonly [bytes: number, read: (view: DataView, at: number) => GgufValue]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => narrow(view.getBigUint64(at, true))],
  11: [8, (view, at) => narrow(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
}
const [STRING, ARRAY] = [8, 9]
export const UINT32 = 4

/** Sizes in a file are claims: this many elements at most, and never more than the rest of the file can hold. */
const ARRAY_CAP = 1_000_000

export const readValue = async (cursor: Cursor, type: number, key: string): Promise<GgufValue> => {
  if (type === STRING) return cursor.string()
  if (type === ARRAY) return readArray(cursor, key)
  const scalar = scalars[type]
  if (!scalar) throw cursor.bad(`value type ${type} of ${key}`, '0 … 12')
  const [value] = await cursor.values(1, ...scalar)
  return value!
}

const readArray = async (cursor: Cursor, key: string): Promise<GgufValue[]> => {
  const type = await cursor.u32()
  const scalar = scalars[type]
  if (!scalar && type !== STRING) throw cursor.bad(`an array of type ${type} in ${key}`, 'numbers, booleans or strings')
  const count = await cursor.size(`elements of ${key}:`)
  if (count > ARRAY_CAP) throw cursor.bad(`${count} elements of ${key}`, `at most ${ARRAY_CAP}`)
  if (count * (scalar?.[0] ?? 8) > cursor.left())
    throw cursor.bad(`${count} elements of ${key} in ${cursor.left()} bytes`, 'an array within the file')
  return scalar ? cursor.values(count, ...scalar) : cursor.strings(count)
}

const narrow = (n: bigint): number | bigint =>
  n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n

interface Kinds {
  string: string
  number: number
  boolean: boolean
  strings: string[]
  numbers: number[]
}

/** The value of a key as the type it must have; `undefined` where the key is absent. */
export const ggufValue = <K extends keyof Kinds>(
  metadata: ReadonlyMap<string, GgufValue>,
  key: string,
  kind: K,
  file: string,
): Kinds[K] | undefined => {
  const value = metadata.get(key)
  if (value === undefined) return undefined
  const one = kind.replace(/s$/, '')
  const fits = one === kind ? typeof value === kind : Array.isArray(value) && value.every((v) => typeof v === one)
  if (fits) return value as Kinds[K]
  throw new GraftError({
    code: 'bad-file',
    culprit: `${file}: ${key}`,
    given: Array.isArray(value) ? 'an array' : `${typeof value} ${String(value).slice(0, 80)}`,
    expected: one === kind ? `a ${kind}` : `an array of ${kind}`,
  })
}
