import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import type { ByteSource } from './byte-source.ts'
import { type Cursor, createCursor } from './gguf-cursor.ts'
import { isReadable, layoutById, readableTypes } from './gguf-types.ts'
import { type GgufEntry, type GgufValue, readValue, UINT32 } from './gguf-value.ts'
import { countOf } from './named-tensor.ts'

export interface GgufTensor {
  readonly name: string
  /** Its name in ggml; only those of `GgufType` can be read. */
  readonly type: string
  /** In PyTorch's order: [rows, columns], the last dimension contiguous. */
  readonly shape: readonly number[]
  readonly bytes: number
}

export interface Gguf {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** The same with how each value is stored: what `writeGguf` takes. */
  readonly entries: ReadonlyMap<string, GgufEntry>
  readonly tensors: ReadonlyMap<string, GgufTensor>
  /** The stored bytes of one tensor of a readable type. */
  read(name: string): Promise<Uint8Array>
}

interface Placed extends GgufTensor {
  readonly offset: number
}

/** What a header may claim at most; each claim is also held against the rest of the file before anything is made for it. */
export const CAP = { keys: 100_000, tensors: 1_000_000, dims: 4, dim: 2 ** 32, nameBytes: 64, alignment: 2 ** 20 }
/** The least bytes of a key with its value, and of a tensor's entry. */
const LEAST = { key: 8 + 1 + 4 + 1, tensor: 8 + 1 + 4 + 4 + 8 }

/** Reads the header of a GGUF file, version 2 or 3, with the checks of gguf.cpp. */
export const openGguf = async (source: ByteSource): Promise<Gguf> => {
  const cursor = createCursor(source)
  const version = await readVersion(cursor)
  const tensorCount = await readCount(cursor, 'tensors', CAP.tensors, LEAST.tensor)
  const keyCount = await readCount(cursor, 'metadata keys', CAP.keys, LEAST.key)
  const entries = await readMetadata(cursor, keyCount)
  const metadata = new Map([...entries].map(([key, { value }]) => [key, value]))
  const alignment = alignmentOf(metadata, cursor)
  const tensors = await readTensors(cursor, tensorCount, alignment)
  const start = pad(cursor.position(), alignment)
  const last = [...tensors.values()].at(-1)
  const end = last ? start + last.offset + last.bytes : 0
  if (end > source.size)
    throw cursor.bad(`a file of ${source.size} bytes`, `${end}, where the last tensor ends: is it cut short?`)
  return {
    version,
    metadata,
    entries,
    tensors,
    read: async (name) => {
      const { offset, bytes } = readableTensor(tensors, name, source.name)
      return source.read(start + offset, bytes)
    },
  }
}

const readableTensor = (tensors: ReadonlyMap<string, Placed>, name: string, file: string): Placed => {
  const tensor = tensors.get(name)
  if (!tensor)
    throw new GraftError({
      code: 'no-tensor',
      culprit: file,
      given: name,
      expected: `one of its ${tensors.size} tensors`,
    })
  if (isReadable(tensor.type)) return tensor
  throw new GraftError({
    code: 'unsupported-type',
    culprit: `${file}: ${name}`,
    given: tensor.type,
    expected: readableTypes.join(', '),
  })
}

const readVersion = async (cursor: Cursor): Promise<number> => {
  if ((await cursor.u32()) !== 0x46554747) throw cursor.bad('no GGUF magic', 'a file that begins with "GGUF"')
  const version = await cursor.u32()
  if (version === 2 || version === 3) return version
  const bigEndian = version !== 0 && (version & 0xffff) === 0
  throw cursor.bad(
    `GGUF version ${version}${bigEndian ? ' (a big-endian file?)' : ''}`,
    'version 2 or 3, little endian',
  )
}

const readCount = async (cursor: Cursor, what: string, cap: number, least: number): Promise<number> => {
  const count = await cursor.size(`number of ${what}`)
  if (count > cap) throw cursor.bad(`${count} ${what}`, `at most ${cap}`)
  if (count * least > cursor.left()) throw cursor.bad(`${count} ${what} in ${cursor.left()} bytes`, 'as many as fit')
  return count
}

const readMetadata = async (cursor: Cursor, count: number): Promise<Map<string, GgufEntry>> => {
  const metadata = new Map<string, GgufEntry>()
  for (let i = 0; i < count; i++) {
    const key = await cursor.string()
    if (key === '') throw cursor.bad('an empty metadata key', 'a name')
    if (metadata.has(key)) throw cursor.bad(`the key ${brief(key)} twice`, 'each key once')
    const type = await cursor.u32()
    if (key === 'general.alignment' && type !== UINT32)
      throw cursor.bad(`general.alignment of value type ${type}`, `${UINT32}, an unsigned 32-bit number`)
    metadata.set(key, await readValue(cursor, type, brief(key)))
  }
  return metadata
}

const alignmentOf = (metadata: ReadonlyMap<string, GgufValue>, cursor: Cursor): number => {
  const value = (metadata.get('general.alignment') ?? 32) as number
  if (value > 0 && value <= CAP.alignment && (value & (value - 1)) === 0) return value
  throw cursor.bad(`general.alignment ${value}`, `a power of two, at most ${CAP.alignment}`)
}

export const pad = (n: number, to: number): number => Math.ceil(n / to) * to

/** The table of tensors: each must lie where the one before ends, padded. */
const readTensors = async (cursor: Cursor, count: number, alignment: number): Promise<Map<string, Placed>> => {
  const tensors = new Map<string, Placed>()
  let expected = 0
  for (let i = 0; i < count; i++) {
    const tensor = await readTensor(cursor)
    const name = brief(tensor.name)
    if (tensors.has(tensor.name)) throw cursor.bad(`the tensor ${name} twice`, 'each name once')
    if (tensor.offset !== expected)
      throw cursor.bad(`tensor ${name} at offset ${tensor.offset}`, `${expected}, where the one before ends`)
    expected = pad(tensor.offset + tensor.bytes, alignment)
    if (!Number.isSafeInteger(expected))
      throw cursor.bad(`tensor ${name} of ${tensor.bytes} bytes`, 'a place below 2^53')
    tensors.set(tensor.name, tensor)
  }
  return tensors
}

const readTensor = async (cursor: Cursor): Promise<Placed> => {
  const begin = cursor.position() + 8
  const name = await cursor.string()
  const nameBytes = cursor.position() - begin
  if (nameBytes === 0 || nameBytes >= CAP.nameBytes)
    throw cursor.bad(`a tensor name of ${nameBytes} bytes`, `1 … ${CAP.nameBytes - 1}`)
  const dims = await cursor.u32()
  if (dims > CAP.dims) throw cursor.bad(`tensor ${brief(name)} of ${dims} dimensions`, `at most ${CAP.dims}`)
  const shape: number[] = []
  for (let d = 0; d < dims; d++) shape.unshift(await cursor.size(`tensor ${brief(name)} of dimension`))
  const id = await cursor.u32()
  const { type, bytes } = sizeOf(cursor, brief(name), shape, id)
  return { name, type, shape, bytes, offset: await cursor.size(`tensor ${brief(name)} at offset`) }
}

const sizeOf = (cursor: Cursor, name: string, shape: number[], id: number): { type: string; bytes: number } => {
  const layout = layoutById(id)
  if (!layout) throw cursor.bad(`tensor ${name} of type ${id}`, 'a type of ggml that this version knows')
  // In the order of ggml, which multiplies the contiguous dimension first.
  const numbers = countOf(shape.toReversed())
  if (numbers === undefined || shape.some((dim) => dim > CAP.dim))
    throw cursor.bad(`tensor ${name} of shape [${shape}]`, 'dimensions up to 2^32 and fewer than 2^53 numbers')
  const row = shape.at(-1) ?? 1
  if (row % layout.numbers !== 0)
    throw cursor.bad(
      `tensor ${name} with rows of ${row}`,
      `a multiple of ${layout.numbers}, the block of ${layout.name}`,
    )
  const bytes = (numbers / layout.numbers) * layout.bytes
  if (!Number.isSafeInteger(bytes)) throw cursor.bad(`tensor ${name} of shape [${shape}]`, 'fewer than 2^53 bytes')
  return { type: layout.name, bytes }
}
