import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import type { ByteSource } from './byte-source.ts'
import { countOf, type Dtype, dtypeBits, type NamedTensor } from './named-tensor.ts'
import { isJsonObject, type Json, type JsonObject, strictJson } from './strict-json.ts'

/** As the Python library and its writer: beyond it a header is refused before it is read. */
export const HEADER_CAP = 100_000_000

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
  const length = await headerLength(source, bad)
  const header = parseHeader(await source.read(8, length), source.name, bad)
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
      const { dtype, shape, begin, end } = entry
      return { name, dtype, shape, bytes: await source.read(8 + length + begin, end - begin) }
    },
  }
}

type Bad = (given: string, expected: string, cause?: unknown) => GraftError
const fault =
  (file: string): Bad =>
  (given, expected, cause) =>
    new GraftError({ code: 'bad-file', culprit: file, given, expected, cause })

const headerLength = async (source: ByteSource, bad: Bad): Promise<number> => {
  if (source.size < 8) throw bad(`a file of ${source.size} bytes`, '8 at least, the length of a header')
  const prefix = await source.read(0, 8)
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true))
  if (length > HEADER_CAP)
    throw bad(`a header of ${length} bytes`, `at most ${HEADER_CAP}: is this a safetensors file?`)
  if (8 + length > source.size)
    throw bad(
      `a header of ${length} bytes in a file of ${source.size}`,
      'a header within the file: is the file cut short?',
    )
  return length
}

const parseHeader = (bytes: Uint8Array, name: string, bad: Bad): Map<string, Json> => {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw bad('a header that is not UTF-8', 'UTF-8', cause)
  }
  const value = strictJson(text, `${name}: header`, { wholeNumbers: true })
  if (!isJsonObject(value)) throw bad('a header that is no object', 'a JSON object')
  const header = new Map(Object.entries(value))
  for (const name of header.keys()) checkUnicode(name, bad)
  return header
}

/** Half a surrogate pair has no UTF-8: it could not be written again. */
const checkUnicode = (text: string, bad: Bad): void => {
  if (/\p{Cs}/u.test(text)) throw bad(`the text ${brief(text)}`, 'valid Unicode')
}

const metadataOf = (value: Json | undefined, bad: Bad): Map<string, string> => {
  if (value === undefined || value === null) return new Map()
  const entries = isJsonObject(value) ? Object.entries(value) : undefined
  if (!entries?.every((entry): entry is [string, string] => typeof entry[1] === 'string'))
    throw bad('a __metadata__ that holds more than strings', 'string to string')
  for (const text of entries.flat()) checkUnicode(text, bad)
  return new Map(entries)
}

const isSize = (v: Json | undefined): v is number => typeof v === 'number' && Number.isSafeInteger(v)

const entryOf = (name: string, value: Json, bad: Bad): Entry => {
  const where = `tensor ${brief(name)}`
  if (!isJsonObject(value)) throw bad(`${where} that is ${brief(value)}`, 'an object')
  const { dtype, shape, data_offsets: offsets }: JsonObject = value
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBits, dtype))
    throw bad(`${where} of dtype ${brief(dtype)}`, Object.keys(dtypeBits).join(', '))
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw bad(`${where} of shape ${brief(shape)}`, 'whole numbers below 2^53')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw bad(`${where} at ${brief(offsets)}`, 'a pair of whole numbers below 2^53')
  return { dtype: dtype as Dtype, shape, begin: offsets[0]!, end: offsets[1]! }
}

/** One after another from 0 to the end of the file: no hole, no overlap, nothing behind. */
const checkLayout = (tensors: ReadonlyMap<string, Entry>, bytes: number, bad: Bad): void => {
  let at = 0
  for (const [name, { dtype, shape, begin, end }] of [...tensors].sort(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    const where = `tensor ${brief(name)}`
    if (begin !== at || end < begin)
      throw bad(`${where} at ${begin} … ${end}`, `one that begins at ${at}, where the one before ends`)
    const bits = (countOf(shape) ?? Number.NaN) * dtypeBits[dtype]
    if (!Number.isSafeInteger(bits)) throw bad(`${where} of shape ${brief(shape)}`, 'fewer than 2^53 bits')
    if (bits % 8 !== 0) throw bad(`${where} of ${bits} bits`, 'whole bytes')
    if (bits / 8 !== end - begin) throw bad(`${where} of ${end - begin} bytes`, `${bits / 8}, by its dtype and shape`)
    at = end
  }
  if (at === bytes) return
  throw bad(
    `${bytes} bytes of data`,
    `${at}, where the last tensor ends: is the file ${bytes < at ? 'cut short' : 'longer than it should be'}?`,
  )
}
