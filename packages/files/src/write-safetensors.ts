import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import { compareUtf8 } from './compare-utf8.ts'
import { checkBytes, type Dtype, dtypeBits, type NamedTensor } from './named-tensor.ts'
import { HEADER_CAP } from './safetensors.ts'

const rank = new Map(Object.keys(dtypeBits).map((dtype, i) => [dtype as Dtype, i]))

/** The same bytes as the Python library writes: widest dtype first, then by name; the header padded with spaces to 8. */
export const writeSafetensors = (
  tensors: readonly NamedTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array => {
  checkNames(tensors)
  const sorted = [...tensors].sort((a, b) => rank.get(b.dtype)! - rank.get(a.dtype)! || compareUtf8(a.name, b.name))
  // The text is put together by hand: an object would put names that are numbers first.
  const parts = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : []
  let size = 0
  for (const tensor of sorted) {
    checkBytes(tensor)
    const { name, dtype, shape, bytes } = tensor
    const end = size + bytes.byteLength
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [size, end] })}`)
    size = end
  }
  return assemble(
    new TextEncoder().encode(`{${parts.join(',')}}`),
    sorted.map(({ bytes }) => bytes),
    size,
  )
}

const assemble = (header: Uint8Array, data: readonly Uint8Array[], size: number): Uint8Array => {
  if (header.byteLength > HEADER_CAP)
    throw new GraftError({
      code: 'bad-tensor',
      culprit: 'safetensors header',
      given: `${header.byteLength} bytes of names and shapes`,
      expected: `at most ${HEADER_CAP}`,
    })
  const padded = Math.ceil(header.byteLength / 8) * 8
  const out = new Uint8Array(8 + padded + size).fill(0x20, 8, 8 + padded)
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true)
  out.set(header, 8)
  let at = 8 + padded
  for (const bytes of data) {
    out.set(bytes, at)
    at += bytes.byteLength
  }
  return out
}

const checkNames = (tensors: readonly NamedTensor[]): void => {
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
