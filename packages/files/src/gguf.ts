import { GraftError } from '@graftjs/tensor/error'
import type { ByteSource } from './byte-source.ts'

/** Block shapes of the tensor types that are read; the others are known by name and refused when read. */
const readable: Record<number, { readonly name: GgufType; readonly numbers: number; readonly bytes: number }> = {
  0: { name: 'F32', numbers: 1, bytes: 4 },
  1: { name: 'F16', numbers: 1, bytes: 2 },
  2: { name: 'Q4_0', numbers: 32, bytes: 18 },
  3: { name: 'Q4_1', numbers: 32, bytes: 20 },
  8: { name: 'Q8_0', numbers: 32, bytes: 34 },
  30: { name: 'BF16', numbers: 1, bytes: 2 },
}
const otherTypes: Record<number, { readonly name: string; readonly numbers: number; readonly bytes: number }> = {
  6: { name: 'Q5_0', numbers: 32, bytes: 22 },
  7: { name: 'Q5_1', numbers: 32, bytes: 24 },
  9: { name: 'Q8_1', numbers: 32, bytes: 36 },
  10: { name: 'Q2_K', numbers: 256, bytes: 84 },
  11: { name: 'Q3_K', numbers: 256, bytes: 110 },
  12: { name: 'Q4_K', numbers: 256, bytes: 144 },
  13: { name: 'Q5_K', numbers: 256, bytes: 176 },
  14: { name: 'Q6_K', numbers: 256, bytes: 210 },
  15: { name: 'Q8_K', numbers: 256, bytes: 292 },
}
export type GgufType = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q4_1' | 'Q8_0'
export type GgufValue = number | bigint | boolean | string | GgufValue[]

export interface GgufTensor {
  readonly name: string
  readonly type: string
  /** In PyTorch's order: [rows, columns], the last dimension contiguous. */
  readonly shape: readonly number[]
  readonly bytes: number
}

export interface Gguf {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, GgufTensor>
  /** The stored bytes of one tensor of a readable type. */
  read(name: string): Promise<Uint8Array>
}

/** What a header may hold at most. Sizes in a file are claims; each is checked before anything is allocated for it. */
const CAP = { keys: 100_000, tensors: 1_000_000, string: 10_000_000, array: 4_000_000, dims: 4 }
const scalarBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]

/** Reads the header of a GGUF file, version 2 or 3, with the checks of gguf.cpp. */
export const openGguf = async (source: ByteSource): Promise<Gguf> => {
  const r = await createReader(source)
  if ((await r.u32()) !== 0x46554747) throw r.bad('no GGUF magic', 'a file that begins with "GGUF"')
  const version = await r.u32()
  if (version !== 2 && version !== 3)
    throw r.bad(
      `version ${version}${(version & 0xffff) === 0 && version ? ' (a big-endian file?)' : ''}`,
      'version 2 or 3, little endian',
    )
  const tensorCount = await r.count('tensors', CAP.tensors)
  const keyCount = await r.count('metadata keys', CAP.keys)
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < keyCount; i++) {
    const key = await r.string()
    if (key === '') throw r.bad('an empty metadata key', 'a name')
    if (metadata.has(key)) throw r.bad(`the key ${key} twice`, 'each key once')
    const type = await r.u32()
    metadata.set(key, await r.value(type, key))
  }
  const alignment = alignmentOf(metadata, r)
  const infos = new Map<string, GgufTensor & { readonly offset: number }>()
  let expected = 0
  for (let i = 0; i < tensorCount; i++) {
    const info = await readInfo(r, infos)
    if (info.offset !== expected)
      throw r.bad(`tensor ${info.name} at offset ${info.offset}`, `${expected}, where the one before ends`)
    expected = pad(info.offset + info.bytes, alignment)
    if (!Number.isSafeInteger(expected)) throw r.bad(`tensor ${info.name} of ${info.bytes} bytes`, 'offsets below 2^53')
    infos.set(info.name, info)
  }
  const start = pad(r.position(), alignment)
  const last = [...infos.values()].at(-1)
  const end = last ? start + last.offset + last.bytes : r.position()
  if (end > source.size) throw r.bad(`a file of ${source.size} bytes`, `${end} at least: is it cut short?`)
  return {
    version,
    metadata,
    tensors: infos,
    read: async (name) => {
      const info = infos.get(name)
      if (!info)
        throw new GraftError({
          code: 'no-tensor',
          culprit: source.name,
          given: name,
          expected: `one of its ${infos.size} tensors`,
        })
      if (!Object.values(readable).some((t) => t.name === info.type))
        throw new GraftError({
          code: 'unsupported-type',
          culprit: `${source.name}: ${name}`,
          given: info.type,
          expected: Object.values(readable)
            .map((t) => t.name)
            .join(', '),
        })
      return source.read(start + info.offset, info.bytes)
    },
  }
}

const pad = (n: number, to: number): number => Math.ceil(n / to) * to

const alignmentOf = (metadata: ReadonlyMap<string, GgufValue>, r: Reader): number => {
  const value = metadata.get('general.alignment') ?? 32
  if (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value > 0 &&
    value <= 65536 &&
    (value & (value - 1)) === 0
  )
    return value
  throw r.bad(`general.alignment ${String(value)}`, 'a power of two')
}

const readInfo = async (r: Reader, before: ReadonlyMap<string, unknown>): Promise<GgufTensor & { offset: number }> => {
  const name = await r.string()
  if (name.length === 0 || name.length >= 64) throw r.bad(`a tensor name of ${name.length} characters`, '1 … 63')
  if (before.has(name)) throw r.bad(`the tensor ${name} twice`, 'each name once')
  const dims = await r.u32()
  if (dims > CAP.dims) throw r.bad(`${dims} dimensions in ${name}`, `at most ${CAP.dims}`)
  const shape: number[] = []
  for (let d = 0; d < dims; d++) shape.unshift(await r.size(`dimension ${d} of ${name}`))
  const id = await r.u32()
  const type = readable[id] ?? otherTypes[id]
  if (!type) throw r.bad(`type ${id} in ${name}`, 'a tensor type that this version knows')
  const numbers = shape.reduce((a, b) => a * b, 1)
  if (!Number.isSafeInteger(numbers)) throw r.bad(`${name} of shape [${shape}]`, 'fewer than 2^53 numbers')
  if ((shape.at(-1) ?? 1) % type.numbers !== 0)
    throw r.bad(`${name} with rows of ${shape.at(-1)}`, `a multiple of ${type.numbers}, the block of ${type.name}`)
  return {
    name,
    type: type.name,
    shape,
    bytes: (numbers / type.numbers) * type.bytes,
    offset: await r.size(`offset of ${name}`),
  }
}

interface Reader {
  position(): number
  bad(given: string, expected: string): GraftError
  u32(): Promise<number>
  size(what: string): Promise<number>
  count(what: string, cap: number): Promise<number>
  string(): Promise<string>
  value(type: number, key: string): Promise<GgufValue>
}

/** Walks the header through a window that is refilled as it goes. */
const createReader = async (source: ByteSource): Promise<Reader> => {
  const decoder = new TextDecoder()
  let window: Uint8Array = new Uint8Array(0)
  let view: DataView = new DataView(new ArrayBuffer(0))
  let [base, at] = [0, 0]
  const bad = (given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-file', culprit: source.name, given, expected })
  const left = (): number => source.size - base - at
  const need = async (bytes: number): Promise<void> => {
    if (at + bytes <= window.length) return
    if (bytes > left())
      throw bad(
        `${left()} bytes where ${bytes} should follow (at ${base + at})`,
        'a whole header: is the file cut short?',
      )
    base += at
    at = 0
    window = await source.read(base, Math.min(Math.max(bytes, 1 << 20), source.size - base))
    view = new DataView(window.buffer, window.byteOffset, window.byteLength)
  }
  const u32 = async (): Promise<number> => {
    await need(4)
    at += 4
    return view.getUint32(at - 4, true)
  }
  const size = async (what: string): Promise<number> => {
    await need(8)
    at += 8
    const value = view.getBigUint64(at - 8, true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw bad(`${what}: ${value}`, 'a number below 2^53')
    return Number(value)
  }
  const count = async (what: string, cap: number): Promise<number> => {
    const n = await size(`number of ${what}`)
    if (n > cap) throw bad(`${n} ${what}`, `at most ${cap}`)
    return n
  }
  const string = async (): Promise<string> => {
    const length = await size('length of a string')
    if (length > CAP.string) throw bad(`a string of ${length} bytes`, `at most ${CAP.string}`)
    await need(length)
    at += length
    return decoder.decode(window.subarray(at - length, at))
  }
  const scalar = (type: number): GgufValue => {
    at += scalarBytes[type]!
    const p = at - scalarBytes[type]!
    const readers: Record<number, () => GgufValue> = {
      0: () => view.getUint8(p),
      1: () => view.getInt8(p),
      2: () => view.getUint16(p, true),
      3: () => view.getInt16(p, true),
      4: () => view.getUint32(p, true),
      5: () => view.getInt32(p, true),
      6: () => view.getFloat32(p, true),
      7: () => boolean(view.getUint8(p)),
      10: () => narrow(view.getBigUint64(p, true)),
      11: () => narrow(view.getBigInt64(p, true)),
      12: () => view.getFloat64(p, true),
    }
    return readers[type]!()
  }
  const boolean = (byte: number): boolean => {
    if (byte > 1) throw bad(`a boolean of value ${byte}`, '0 or 1')
    return byte === 1
  }
  const value = async (type: number, key: string): Promise<GgufValue> => {
    if (type === 8) return string()
    if (type === 9) return array(key)
    if (!scalarBytes[type]) throw bad(`value type ${type} of ${key}`, '0 … 12')
    await need(scalarBytes[type]!)
    return scalar(type)
  }
  const array = async (key: string): Promise<GgufValue[]> => {
    const type = await u32()
    if (type === 9 || (type !== 8 && !scalarBytes[type]))
      throw bad(`an array of type ${type} in ${key}`, 'numbers, booleans or strings')
    const n = await count(`elements of ${key}`, CAP.array)
    const least = type === 8 ? 8 : scalarBytes[type]!
    if (n * least > left()) throw bad(`${n} elements of ${key} in ${left()} bytes`, 'an array within the file')
    const out: GgufValue[] = []
    for (let i = 0; i < n; i++) {
      if (type === 8) out.push(await stringFast())
      else {
        await need(least)
        out.push(scalar(type))
      }
    }
    return out
  }
  // Awaiting each of 50,000 tokens would cost more than reading them.
  const stringFast = (): string | Promise<string> => {
    if (at + 8 > window.length) return string()
    const length = view.getUint32(at, true)
    if (view.getUint32(at + 4, true) !== 0 || at + 8 + length > window.length) return string()
    at += 8 + length
    return decoder.decode(window.subarray(at - length, at))
  }
  return { position: () => base + at, bad, u32, size, count, string, value }
}

const narrow = (n: bigint): number | bigint =>
  n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n
