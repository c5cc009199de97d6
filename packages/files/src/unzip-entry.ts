import { GraftError } from '@graftjs/tensor/error'
import { atomicWrite } from './atomic-write.ts'
import { type ByteSource, fileSource } from './byte-source.ts'
import { crc32 } from './crc32.ts'
import { findZipEntry, type ZipEntry } from './zip-directory.ts'

const PIECE = 1 << 20
/** Real files do not shrink further; what claims to is made to fill the disk. */
const RATIO = 200

/** Takes one file out of a zip archive (a Python wheel is one) a piece at a time; it appears only when its size and CRC-32 fit. */
export const unzipEntry = async (archive: string, entry: string, file: string): Promise<void> => {
  const source = await fileSource(archive)
  try {
    const found = await findZipEntry(source, entry)
    await atomicWrite(file, checked(found, unpacked(source, found), archive))
  } finally {
    await source.close()
  }
}

const pieces = async function* (source: ByteSource, { data, packed }: ZipEntry): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < packed; at += PIECE) yield await source.read(data + at, Math.min(PIECE, packed - at))
}

const unpacked = async function* (source: ByteSource, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  if (entry.method === 0) return yield* pieces(source, entry)
  const { pipeline, Readable } = await import('node:stream')
  const { createInflateRaw } = await import('node:zlib')
  const inflate = createInflateRaw()
  // Whoever reads it learns of its errors; one that comes after the reader has stopped would else end the process.
  inflate.on('error', () => {})
  yield* pipeline(Readable.from(pieces(source, entry)), inflate, () => {})
}

/** Passes the bytes on as long as they are what the archive says they are. */
const checked = async function* (
  { name, size, packed, crc }: ZipEntry,
  bytes: AsyncIterable<Uint8Array>,
  archive: string,
): AsyncGenerator<Uint8Array> {
  const bad = (given: string, expected: string, cause?: unknown): GraftError =>
    new GraftError({ code: 'bad-file', culprit: `${archive}: ${name}`, given, expected, cause })
  if (size > RATIO * packed + PIECE) throw bad(`${size} bytes packed into ${packed}`, `a ratio of ${RATIO} at most`)
  let [count, sum] = [0, 0]
  try {
    for await (const piece of bytes) {
      count += piece.byteLength
      if (count > size) throw bad(`more than its ${size} bytes`, 'no more')
      sum = crc32(piece, sum)
      yield piece
    }
  } catch (cause) {
    throw cause instanceof GraftError ? cause : bad('bytes that cannot be unpacked', 'an undamaged archive', cause)
  }
  if (count !== size) throw bad(`${count} bytes`, `${size}`)
  if (sum !== crc) throw bad('a wrong CRC-32', 'an undamaged archive')
}
