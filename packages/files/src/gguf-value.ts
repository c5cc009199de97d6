import { GraftError } from '@graftjs/tensor/error'
import type { Cursor } from './gguf-cursor.ts'

/** A whole number beyond 2^53 comes as a bigint. */
export type GgufValue = number | bigint | boolean | string | GgufValue[]

/** The value types of GGUF. */
export type GgufScalar = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'bool' | 'string' | 'u64' | 'i64' | 'f64'
export type GgufValueType = GgufScalar | `${GgufScalar}[]`

/** A value with how it is stored: readers of GGUF take a number of another width for a fault. */
export interface GgufEntry {
  readonly type: GgufValueType
  readonly value: GgufValue
}

interface Fixed {
  readonly type: GgufScalar
  readonly bytes: number
  read(view: DataView, at: number): GgufValue
}

/** The value types by their number; 8 is a string, 9 an array. */
const scalars: Readonly<Record<number, Fixed>> = {
  0: { type: 'u8', bytes: 1, read: (view, at) => view.getUint8(at) },
  1: { type: 'i8', bytes: 1, read: (view, at) => view.getInt8(at) },
  2: { type: 'u16', bytes: 2, read: (view, at) => view.getUint16(at, true) },
  3: { type: 'i16', bytes: 2, read: (view, at) => view.getInt16(at, true) },
  4: { type: 'u32', bytes: 4, read: (view, at) => view.getUint32(at, true) },
  5: { type: 'i32', bytes: 4, read: (view, at) => view.getInt32(at, true) },
  6: { type: 'f32', bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  7: { type: 'bool', bytes: 1, read: (view, at) => view.getUint8(at) !== 0 },
  10: { type: 'u64', bytes: 8, read: (view, at) => narrow(view.getBigUint64(at, true)) },
  11: { type: 'i64', bytes: 8, read: (view, at) => narrow(view.getBigInt64(at, true)) },
  12: { type: 'f64', bytes: 8, read: (view, at) => view.getFloat64(at, true) },
}
export const STRING = 8
export const ARRAY = 9
export const UINT32 = 4
const numbers = new Map<string, number>([
  ...Object.entries(scalars).map(([id, { type }]) => [type, Number(id)] as const),
  ['string', STRING],
])
/** The number that a file gives a type. */
export const scalarId = (type: GgufScalar): number => numbers.get(type)!

/** Sizes in a file are claims: this many elements at most, and never more than the rest of the file can hold. */
const ARRAY_CAP = 1_000_000

export const readValue = async (cursor: Cursor, type: number, key: string): Promise<GgufEntry> => {
  if (type === STRING) return { type: 'string', value: await cursor.string() }
  if (type === ARRAY) return readArray(cursor, key)
  const scalar = scalars[type]
  if (!scalar) throw cursor.bad(`value type ${type} of ${key}`, '0 … 12')
  const [value] = await cursor.values(1, scalar.bytes, scalar.read)
  return { type: scalar.type, value: value! }
}

const readArray = async (cursor: Cursor, key: string): Promise<GgufEntry> => {
  const type = await cursor.u32()
  const scalar = scalars[type]
  if (!scalar && type !== STRING) throw cursor.bad(`an array of type ${type} in ${key}`, 'numbers, booleans or strings')
  const count = await cursor.size(`elements of ${key}:`)
  if (count > ARRAY_CAP) throw cursor.bad(`${count} elements of ${key}`, `at most ${ARRAY_CAP}`)
  if (count * (scalar?.bytes ?? 8) > cursor.left())
    throw cursor.bad(`${count} elements of ${key} in ${cursor.left()} bytes`, 'an array within the file')
  return scalar
    ? { type: `${scalar.type}[]`, value: await cursor.values(count, scalar.bytes, scalar.read) }
    : { type: 'string[]', value: await cursor.strings(count) }
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
