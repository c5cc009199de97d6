// What of the protobuf wire format an event needs. A message is its fields, one after the other, by ascending number.

/** Varints, for int64 that is not negative and for enums. Zero is the default of proto3 and is left out. */
export const integer = (field: number, value: number): Uint8Array =>
  value === 0 ? new Uint8Array() : concat([varint(field * 8), varint(value)])

export const double = (field: number, value: number): Uint8Array =>
  fixed(field * 8 + 1, 8, (view) => view.setFloat64(0, value, true))

/** Written also where it is 0: within a oneof, zero is a choice. */
export const float = (field: number, value: number): Uint8Array =>
  fixed(field * 8 + 5, 4, (view) => view.setFloat32(0, value, true))

export const string = (field: number, value: string): Uint8Array => message(field, [new TextEncoder().encode(value)])

/** Also what bytes are: anything with a length before it. */
export const message = (field: number, parts: readonly Uint8Array[]): Uint8Array => {
  const body = concat(parts)
  return concat([varint(field * 8 + 2), varint(body.length), body])
}

export const concat = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((n, { length }) => n + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const fixed = (key: number, size: number, set: (view: DataView) => void): Uint8Array => {
  const bytes = new Uint8Array(size)
  set(new DataView(bytes.buffer))
  return concat([varint(key), bytes])
}

// Division, not shifts: step counts and lengths may pass 2^31.
const varint = (value: number): Uint8Array => {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest])
    bytes.push((rest % 128) + 128)
  }
}
