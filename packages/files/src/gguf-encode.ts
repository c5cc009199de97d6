import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import { ARRAY, type GgufEntry, type GgufScalar, type GgufValue, scalarId } from './gguf-value.ts'

const encoder = new TextEncoder()

export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)
export const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)

/** Its length in eight bytes, then its UTF-8. */
export const encodeString = (text: string, culprit: string): Uint8Array[] => {
  // Half a surrogate pair has no UTF-8: it would be written as another character.
  if (/\p{Cs}/u.test(text)) throw bad(culprit, `the text ${brief(text)}`, 'valid Unicode')
  const bytes = encoder.encode(text)
  return [u64(bytes.byteLength), bytes]
}

/** A key with its value. Errors: `bad-value` for one that its type cannot hold. */
export const encodeEntry = (key: string, { type, value }: GgufEntry): Uint8Array[] => {
  const head = encodeString(key, 'a metadata key')
  if (!isArrayType(type)) return [...head, u32(scalarId(type)), ...encodeScalar(key, type, value)]
  const item = type.slice(0, -2) as GgufScalar
  if (!Array.isArray(value)) throw bad(key, `${typeof value} ${brief(value)}`, `an array, by ${type}`)
  const items = value.flatMap((v) => encodeScalar(key, item, v))
  return [...head, u32(ARRAY), u32(scalarId(item)), u64(value.length), ...items]
}

const isArrayType = (type: string): type is `${GgufScalar}[]` => type.endsWith('[]')

const bad = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-value', culprit, given, expected })

const encodeScalar = (key: string, type: GgufScalar, value: GgufValue): Uint8Array[] => {
  if (type === 'string') {
    if (typeof value !== 'string') throw bad(key, `${typeof value} ${brief(value)}`, 'a string')
    return encodeString(value, key)
  }
  if (type === 'bool') {
    if (typeof value !== 'boolean') throw bad(key, `${typeof value} ${brief(value)}`, 'a boolean')
    return [Uint8Array.of(value ? 1 : 0)]
  }
  const { bytes, least, most, write } = kinds[type]
  const whole = type !== 'f32' && type !== 'f64'
  const fits = whole
    ? (typeof value === 'bigint' || Number.isSafeInteger(value)) &&
      BigInt(value as number) >= least &&
      BigInt(value as number) <= most
    : typeof value === 'number'
  if (!fits)
    throw bad(
      key,
      `${typeof value} ${brief(value)}`,
      whole ? `a whole number from ${least} to ${most}, by ${type}` : 'a number',
    )
  const out = new Uint8Array(bytes)
  write(new DataView(out.buffer), value as number | bigint)
  return [out]
}

interface Kind {
  readonly bytes: number
  readonly least: bigint
  readonly most: bigint
  write(view: DataView, value: number | bigint): void
}
const unsigned = (bytes: number, write: Kind['write']): Kind => ({
  bytes,
  least: 0n,
  most: 2n ** BigInt(8 * bytes) - 1n,
  write,
})
const signed = (bytes: number, write: Kind['write']): Kind => {
  const most = 2n ** BigInt(8 * bytes - 1) - 1n
  return { bytes, least: -most - 1n, most, write }
}

const kinds: Readonly<Record<Exclude<GgufScalar, 'string' | 'bool'>, Kind>> = {
  u8: unsigned(1, (view, value) => view.setUint8(0, Number(value))),
  i8: signed(1, (view, value) => view.setInt8(0, Number(value))),
  u16: unsigned(2, (view, value) => view.setUint16(0, Number(value), true)),
  i16: signed(2, (view, value) => view.setInt16(0, Number(value), true)),
  u32: unsigned(4, (view, value) => view.setUint32(0, Number(value), true)),
  i32: signed(4, (view, value) => view.setInt32(0, Number(value), true)),
  u64: unsigned(8, (view, value) => view.setBigUint64(0, BigInt(value), true)),
  i64: signed(8, (view, value) => view.setBigInt64(0, BigInt(value), true)),
  f32: signed(4, (view, value) => view.setFloat32(0, Number(value), true)),
  f64: signed(8, (view, value) => view.setFloat64(0, Number(value), true)),
}
