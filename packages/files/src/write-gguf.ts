import { GraftError } from '@graftjs/tensor/error'
import { atomicWrite } from './atomic-write.ts'
import { brief } from './brief.ts'
import { CAP, pad } from './gguf.ts'
import { encodeEntry, encodeString, u32, u64 } from './gguf-encode.ts'
import { type GgufType, ggufLayout, ggufTypeId } from './gguf-types.ts'
import type { GgufEntry } from './gguf-value.ts'
import { countOf } from './named-tensor.ts'
import type { WriteFs } from './write-fs.ts'

/** A tensor to be written. Its bytes are asked for when its turn comes, and dropped before the next. */
export interface GgufOutput {
  /** At most 63 bytes. */
  readonly name: string
  readonly type: GgufType
  /** In PyTorch's order: [rows, columns]. At most four dimensions. */
  readonly shape: readonly number[]
  /** In the layout of its type: what `quantize` gives, or another file's `read`. */
  bytes(): Promise<Uint8Array> | Uint8Array
}

export interface GgufContent {
  readonly metadata: ReadonlyMap<string, GgufEntry>
  readonly tensors: readonly GgufOutput[]
}

/**
 * Writes a GGUF file, version 3, tensor by tensor: no more than one of them is in memory. Atomic: what was at `path` stays as
 * it was if anything fails. A `general.alignment` in the metadata is kept to; without one it is 32.
 * Errors: `bad-name`, `bad-value` or `bad-tensor` for what GGUF cannot hold, `write-failed` for the disk.
 */
export const writeGguf = (path: string, content: GgufContent, { fs }: { readonly fs?: WriteFs } = {}): Promise<void> =>
  atomicWrite(path, ggufChunks(content), fs)

/** The bytes of the same file piece by piece: for a download in a browser, or a stream of your own. */
export const ggufChunks = ({ metadata, tensors }: GgufContent): AsyncGenerator<Uint8Array> => {
  const alignment = alignmentOf(metadata)
  // All that can be refused is refused here, before the first byte is asked for.
  const header = headerOf(metadata, tensors, alignment)
  return chunksOf(header, tensors, alignment)
}

const chunksOf = async function* (
  header: Uint8Array,
  tensors: readonly GgufOutput[],
  alignment: number,
): AsyncGenerator<Uint8Array> {
  yield header
  yield zeros(header.byteLength, alignment)
  for (const tensor of tensors) {
    const bytes = await tensor.bytes()
    const expected = sizeOf(tensor)
    if (bytes.byteLength !== expected)
      throw fault(
        'bad-tensor',
        tensor.name,
        `${bytes.byteLength} bytes`,
        `${expected}, by ${tensor.type} and [${tensor.shape}]`,
      )
    yield bytes
    yield zeros(expected, alignment)
  }
}

const fault = (code: string, culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code, culprit, given, expected })

const zeros = (size: number, alignment: number): Uint8Array => new Uint8Array(pad(size, alignment) - size)

const alignmentOf = (metadata: ReadonlyMap<string, GgufEntry>): number => {
  const { type, value } = metadata.get('general.alignment') ?? { type: 'u32', value: 32 }
  if (
    type === 'u32' &&
    typeof value === 'number' &&
    value > 0 &&
    value <= CAP.alignment &&
    Number.isInteger(Math.log2(value))
  )
    return value
  throw fault(
    'bad-value',
    'general.alignment',
    `${type} ${brief(value)}`,
    `a u32 that is a power of two, at most ${CAP.alignment}`,
  )
}

const headerOf = (
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufOutput[],
  alignment: number,
): Uint8Array => {
  const parts: Uint8Array[] = [u32(0x46554747), u32(3), u64(tensors.length), u64(metadata.size)]
  // Not push(...items): a vocabulary has more of them than a call takes.
  const add = (items: readonly Uint8Array[]): void => {
    for (const item of items) parts.push(item)
  }
  for (const [key, entry] of metadata) {
    if (key === '') throw fault('bad-name', 'a metadata key', 'nothing', 'a name')
    add(encodeEntry(key, entry))
  }
  const seen = new Set<string>()
  let offset = 0
  for (const tensor of tensors) {
    checkName(tensor.name, seen)
    const { name, type, shape } = tensor
    add([
      ...encodeString(name, 'a tensor name'),
      u32(shape.length),
      ...shape.toReversed().map(u64),
      u32(ggufTypeId(type)),
      u64(offset),
    ])
    offset = pad(offset + sizeOf(tensor), alignment)
  }
  return joined(parts)
}

const checkName = (name: string, seen: Set<string>): void => {
  const bytes = new TextEncoder().encode(name).byteLength
  if (bytes === 0 || bytes >= CAP.nameBytes)
    throw fault('bad-name', `tensor ${brief(name)}`, `a name of ${bytes} bytes`, `1 … ${CAP.nameBytes - 1}`)
  if (seen.has(name)) throw fault('bad-name', `tensor ${brief(name)}`, 'a name twice', 'another name')
  seen.add(name)
}

const sizeOf = ({ name, type, shape }: GgufOutput): number => {
  const { numbers, bytes } = ggufLayout(type)
  const count =
    shape.length <= CAP.dims && shape.every((n) => Number.isInteger(n) && n >= 0) ? countOf(shape) : undefined
  if (count === undefined) throw fault('bad-tensor', name, `shape [${shape}]`, `at most ${CAP.dims} whole numbers`)
  const row = shape.at(-1) ?? 1
  if (row % numbers !== 0)
    throw fault('bad-tensor', name, `rows of ${row}`, `a multiple of ${numbers}, the block of ${type}`)
  return (count / numbers) * bytes
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.byteLength
  }
  return out
}
