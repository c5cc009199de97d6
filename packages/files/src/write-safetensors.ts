import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import { compareUtf8 } from './compare-utf8.ts'
import { checkBytes, countOf, type Dtype, dtypeBits, type NamedTensor } from './named-tensor.ts'
import { HEADER_CAP } from './safetensors.ts'

const rank = new Map(Object.keys(dtypeBits).map((dtype, i) => [dtype as Dtype, i]))

/** A tensor to be written whose bytes are asked for when its turn comes, and dropped before the next. */
export interface LazyTensor extends Omit<NamedTensor, 'bytes'> {
  bytes(): Promise<Uint8Array> | Uint8Array
}

/** The same bytes as the Python library writes: widest dtype first, then by name; the header padded with spaces to 8. */
export const writeSafetensors = (
  tensors: readonly NamedTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array => {
  for (const tensor of tensors) checkBytes(tensor)
  const { header, sorted, size } = plan(tensors, metadata)
  const out = new Uint8Array(header.byteLength + size)
  out.set(header)
  let at = header.byteLength
  for (const { bytes } of sorted) {
    out.set(bytes, at)
    at += bytes.byteLength
  }
  return out
}

/** The same file piece by piece, one tensor in memory at a time. What cannot be written is refused before the first byte. */
export const safetensorsChunks = (
  tensors: readonly LazyTensor[],
  metadata?: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> => {
  const { header, sorted } = plan(tensors, metadata)
  return chunksOf(header, sorted)
}

const chunksOf = async function* (header: Uint8Array, sorted: readonly LazyTensor[]): AsyncGenerator<Uint8Array> {
  yield header
  for (const tensor of sorted) {
    const bytes = await tensor.bytes()
    checkBytes({ ...tensor, bytes })
    yield bytes
  }
}

type Entry = Pick<NamedTensor, 'name' | 'dtype' | 'shape'>

/** The length and the header, and the tensors in the order they lie in. */
const plan = <T extends Entry>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> | undefined,
): { header: Uint8Array; sorted: T[]; size: number } => {
  checkNames(tensors)
  const sorted = [...tensors].sort((a, b) => rank.get(b.dtype)! - rank.get(a.dtype)! || compareUtf8(a.name, b.name))
  // The text is put together by hand: an object would put names that are numbers first.
  const parts = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : []
  let size = 0
  for (const tensor of sorted) {
    const { name, dtype, shape } = tensor
    const end = size + byteCount(tensor)
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [size, end] })}`)
    size = end
  }
  return { header: padded(new TextEncoder().encode(`{${parts.join(',')}}`)), sorted, size }
}

/** Bytes of a tensor by its dtype and shape. */
export const byteCount = ({ name, dtype, shape }: Entry): number => {
  const bytes = ((countOf(shape) ?? Number.NaN) * dtypeBits[dtype]) / 8
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes
  throw new GraftError({
    code: 'bad-tensor',
    culprit: name,
    given: `${dtype} of shape [${shape}]`,
    expected: 'whole bytes, fewer than 2^53',
  })
}

const padded = (header: Uint8Array): Uint8Array => {
  if (header.byteLength > HEADER_CAP)
    throw new GraftError({
      code: 'bad-tensor',
      culprit: 'safetensors header',
      given: `${header.byteLength} bytes of names and shapes`,
      expected: `at most ${HEADER_CAP}`,
    })
  const length = Math.ceil(header.byteLength / 8) * 8
  const out = new Uint8Array(8 + length).fill(0x20, 8)
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true)
  out.set(header, 8)
  return out
}

const checkNames = (tensors: readonly Entry[]): void => {
  const seen = new Set<string>()
  for (const { name } of tensors) {
    const fault =
      (name === '__metadata__' && 'the name that safetensors keeps for itself') ||
      (seen.has(name) && 'a name twice') ||
      (/\p{Cs}/u.test(name) && 'half a surrogate pair')
    if (fault)
      throw new GraftError({
        code: 'bad-name',
        culprit: `tensor ${brief(name)}`,
        given: fault,
        expected: 'another name',
      })
    seen.add(name)
  }
}
