/** Takes exact amounts of bytes from chunks of any size. */
export interface ChunkReader {
  read(bytes: number): Promise<Uint8Array>
  skip(bytes: number): Promise<void>
  close(): Promise<void>
}

export const createChunkReader = (
  chunks: AsyncIterable<Uint8Array>,
  cutShort: (had: number, wants: number) => Error,
): ChunkReader => {
  const iterator = chunks[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)
  /** Hands out `bytes` piece by piece, as they come. */
  const take = async (bytes: number, use: (piece: Uint8Array) => void): Promise<void> => {
    for (let left = bytes; left > 0; ) {
      if (chunk.byteLength === 0) {
        const next = await iterator.next()
        if (next.done) throw cutShort(bytes - left, bytes)
        chunk = next.value
      }
      const piece = chunk.subarray(0, left)
      use(piece)
      chunk = chunk.subarray(piece.byteLength)
      left -= piece.byteLength
    }
  }
  return {
    read: async (bytes) => {
      // Grown as the bytes come: a size in a header is only a claim.
      const pieces: Uint8Array[] = []
      await take(bytes, (piece) => pieces.push(piece))
      return join(pieces, bytes)
    },
    skip: (bytes) => take(bytes, () => {}),
    close: async () => {
      await iterator.return?.()
    },
  }
}

const join = (pieces: readonly Uint8Array[], bytes: number): Uint8Array => {
  const out = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.byteLength
  }
  return out
}
