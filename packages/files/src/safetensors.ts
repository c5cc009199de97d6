import { GraftError } from '@graftjs/tensor/error'
import type { ByteSource } from './byte-source.ts'
import { type Dtype, dtypeBits, type NamedTensor } from './named-tensor.ts'
import { type Json, strictJson } from './strict-json.ts'

const HEADER_CAP = 100_000_000

interface Entry {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** A safetensors file whose header has passed every rule; tensors are read one by one. */
export interface Safetensors {
  readonly metadata: ReadonlyMap<string, string>
  readonly tensors: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>
  read(name: string): Promise<NamedTensor>
}

/** Checks the header as the Rust reader does, and what JavaScript would bend (numbers over 2^53, keys twice). */
export const openSafetensors = async (source: ByteSource): Promise<Safetensors> => {
  const bad = fault(source.name)
  if (source.size < 8) throw bad('a file shorter than 8 bytes', 'a header length')
  const prefix = await source.read(0, 8)
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true))
  if (length > HEADER_CAP) throw bad(`a header of ${length} bytes`, `at most ${HEADER_CAP}`)
  if (8 + length > source.size)
    throw bad(
      `a header of ${length} bytes in a file of ${source.size}`,
      'a header within the file: is the file cut short?',
    )
  const header = parseHeader(await source.read(8, length), source.name)
  const metadata = metadataOf(header.get('__metadata__'), bad)
  header.delete('__metadata__')
  const tensors = new Map([...header].map(([name, value]) => [name, entryOf(name, value, bad)]))
  checkLayout(tensors, source.size - 8 - length, bad)
  return {
    metadata,
    tensors,
    read: async (name) => {
      const entry = tensors.get(name)
      if (!entry)
        throw new GraftError({
          code: 'no-tensor',
          culprit: source.name,
          given: name,
          expected: `one of its ${tensors.size} tensors`,
        })
      const bytes = await source.read(8 + length + entry.begin, entry.end - entry.begin)
      return { name, dtype: entry.dtype, shape: entry.shape, bytes }
    },
  }
}

type Bad = (given: string, expected: string, cause?: unknown) => GraftError
const fault =
  (file: string): Bad =>
  (given, expected, cause) =>
    new GraftError({ code: 'bad-file', culprit: file, given, expected, ...(cause === undefined ? {} : { cause }) })

const parseHeader = (bytes: Uint8Array, name: string): Map<string, Json> => {
  const bad = fault(name)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw bad('a header that is not UTF-8', 'UTF-8', cause)
  }
  const value = strictJson(text, `${name}: header`)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad('a header that is no object', 'a JSON object')
  return new Map(Object.entries(value))
}

const metadataOf = (value: Json | undefined, bad: Bad): Map<string, string> => {
  if (value === undefined || value === null) return new Map()
  const entries = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : undefined
  if (!entries?.every(([, v]) => typeof v === 'string'))
    throw bad('a __metadata__ that holds more than strings', 'string to string')
  return new Map(entries as [string, string][])
}

const isSize = (v: Json | undefined): v is number => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0

const entryOf = (name: string, value: Json, bad: Bad): Entry => {
  const {
    dtype,
    shape,
    data_offsets: offsets,
    ...more
  } = (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}) as Record<string, Json>
  const where = `tensor ${JSON.stringify(name)}`
  if (Object.keys(more).length > 0)
    throw bad(`${where} with the key ${Object.keys(more)[0]}`, 'dtype, shape and data_offsets')
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBits, dtype))
    throw bad(`${where} of dtype ${JSON.stringify(dtype)}`, Object.keys(dtypeBits).join(', '))
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw bad(`${where} of shape ${JSON.stringify(shape)}`, 'whole numbers below 2^53')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw bad(`${where} at ${JSON.stringify(offsets)}`, 'a pair of whole numbers below 2^53')
  return { dtype: dtype as Dtype, shape: shape as number[], begin: offsets[0] as number, end: offsets[1] as number }
}

/** One after another from 0 to the end of the file: no hole, no overlap, nothing behind. */
const checkLayout = (tensors: ReadonlyMap<string, Entry>, bytes: number, bad: Bad): void => {
  let at = 0
  for (const [name, { dtype, shape, begin, end }] of [...tensors].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    const where = `tensor ${JSON.stringify(name)}`
    if (begin !== at || end < begin)
      throw bad(`${where} at ${begin} … ${end}`, `one that begins at ${at}, where the one before ends`)
    const bits = shape.reduce((p, n) => p * n, 1) * dtypeBits[dtype]
    if (!Number.isSafeInteger(bits)) throw bad(`${where} of shape [${shape}]`, 'fewer than 2^53 bits')
    if (bits % 8 !== 0) throw bad(`${where} of ${bits} bits`, 'whole bytes')
    if (bits / 8 !== end - begin) throw bad(`${where} of ${end - begin} bytes`, `${bits / 8}, by its dtype and shape`)
    at = end
  }
  if (at !== bytes)
    throw bad(
      `${bytes} bytes of data`,
      `${at}, where the last tensor ends: is the file cut short or longer than it should be?`,
    )
}

/** The same bytes as the Python library writes: widest dtype first, then by name; the header padded with spaces to 8. */
export const writeSafetensors = (
  tensors: readonly NamedTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array => {
  const order = Object.keys(dtypeBits)
  const sorted = [...tensors].sort(
    (a, b) => order.indexOf(b.dtype) - order.indexOf(a.dtype) || compareBytes(a.name, b.name),
  )
  const header: Record<string, Json> = Object.create(null) as Record<string, Json>
  if (metadata) header.__metadata__ = { ...metadata }
  let at = 0
  for (const { name, dtype, shape, bytes } of sorted) {
    if (name in header)
      throw new GraftError({
        code: 'bad-name',
        culprit: name,
        given: 'a tensor of that name twice',
        expected: 'each name once',
      })
    header[name] = { dtype, shape: [...shape], data_offsets: [at, at + bytes.byteLength] }
    at += bytes.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(json.length / 8) * 8
  const out = new Uint8Array(8 + padded + at).fill(32, 8, 8 + padded)
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true)
  out.set(json, 8)
  let to = 8 + padded
  for (const { bytes } of sorted) {
    out.set(bytes, to)
    to += bytes.byteLength
  }
  return out
}

/** By UTF-8 bytes, as Rust compares strings. */
const compareBytes = (a: string, b: string): number => {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)]
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i]! - y[i]!
  return x.length - y.length
}
