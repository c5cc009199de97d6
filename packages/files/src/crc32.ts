const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  return c
})

/** The CRC-32 of zip; `before` is that of the bytes in front of these. */
export const crc32 = (bytes: Uint8Array, before = 0): number => {
  let c = ~before
  for (let i = 0; i < bytes.byteLength; i++) c = table[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8)
  return ~c >>> 0
}
