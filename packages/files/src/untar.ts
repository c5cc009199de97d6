import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import { fileSource } from './byte-source.ts'
import { type ChunkReader, createChunkReader } from './chunk-reader.ts'

export interface TarEntry {
  /** A relative path with forward slashes and no `..`. */
  readonly name: string
  readonly bytes: Uint8Array
}

const FILE_CAP = 1 << 30
const NAME_CAP = 1 << 16

/**
 * The plain files of a .tar or .tgz (what `npm pack` makes), in their order. Files that `wanted` turns down are passed over
 * unread; links and folders always. Nothing is written anywhere.
 */
export const untar = async function* (
  archive: string,
  wanted: (name: string) => boolean = () => true,
): AsyncGenerator<TarEntry> {
  const bad = (given: string, expected: string, cause?: unknown): GraftError =>
    new GraftError({ code: 'bad-file', culprit: archive, given, expected, cause })
  const reader = createChunkReader(await unpackedChunks(archive, bad), (had, wants) =>
    bad(`${had} bytes where ${wants} should follow`, 'a whole archive: is it cut short?'),
  )
  try {
    let longName: string | undefined
    for (;;) {
      const block = await reader.read(512)
      if (block.every((byte) => byte === 0)) return
      const header = parseHeader(block, bad)
      const padding = (512 - (header.size % 512)) % 512
      if (header.type === 'x' || header.type === 'L') {
        longName = nameIn(header.type, await body(reader, header.size, NAME_CAP, bad)) ?? longName
      } else if (header.type === 'g') {
        await reader.skip(header.size)
      } else {
        const name = longName ?? header.name
        longName = undefined
        if ((header.type === '0' || header.type === '\0') && wanted(checkName(name, bad)))
          yield { name, bytes: await body(reader, header.size, FILE_CAP, bad) }
        else await reader.skip(header.size)
      }
      await reader.skip(padding)
    }
  } finally {
    await reader.close()
  }
}

type Bad = (given: string, expected: string, cause?: unknown) => GraftError

const body = async (reader: ChunkReader, size: number, cap: number, bad: Bad): Promise<Uint8Array> => {
  if (size > cap) throw bad(`a file of ${size} bytes`, `at most ${cap}`)
  return reader.read(size)
}

const unpackedChunks = async (archive: string, bad: Bad): Promise<AsyncIterable<Uint8Array>> => {
  const source = await fileSource(archive)
  const magic = source.size >= 2 ? await source.read(0, 2) : new Uint8Array(2)
  await source.close()
  const { createReadStream } = await import('node:fs')
  const { pipeline } = await import('node:stream')
  const { createGunzip } = await import('node:zlib')
  const file = createReadStream(archive)
  const packed = magic[0] === 0x1f && magic[1] === 0x8b
  if (!packed) return named(file, bad)
  const gunzip = createGunzip()
  // Whoever reads it learns of its errors; one that comes after the reader has stopped would else end the process.
  gunzip.on('error', () => {})
  return named(
    pipeline(file, gunzip, () => {}),
    bad,
  )
}

/** The errors of streams are ours. */
const named = async function* (chunks: AsyncIterable<Uint8Array>, bad: Bad): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
  } catch (cause) {
    throw bad('bytes that cannot be unpacked', 'an undamaged .tar or .tgz', cause)
  }
}

const text = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

const parseHeader = (block: Uint8Array, bad: Bad): { name: string; size: number; type: string } => {
  const octal = (from: number, length: number): number => {
    const digits = text(block.subarray(from, from + length)).trim()
    if (!/^[0-7]*$/.test(digits)) throw bad('a header that is none', 'a tar archive')
    return Number.parseInt(digits || '0', 8)
  }
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0)
  if (sum !== octal(148, 8)) throw bad('a header with a wrong checksum', 'an undamaged tar archive')
  const ustar = text(block.subarray(257, 262)) === 'ustar'
  const prefix = ustar && block[262] === 0 ? text(block.subarray(345, 500)) : ''
  const name = text(block.subarray(0, 100))
  return { name: prefix ? `${prefix}/${name}` : name, size: octal(124, 12), type: String.fromCharCode(block[156]!) }
}

/** The long name of the file that follows: GNU's as it is, POSIX's among `length key=value` lines. */
const nameIn = (type: string, bytes: Uint8Array): string | undefined => {
  if (type === 'L') return text(bytes)
  for (let at = 0; at < bytes.byteLength; ) {
    const line = text(bytes.subarray(at))
    const length = Number.parseInt(line, 10)
    if (!(length > 0)) return undefined
    const [, value] = /^\d+ path=(.*)\n$/s.exec(new TextDecoder().decode(bytes.subarray(at, at + length))) ?? []
    if (value !== undefined) return value
    at += length
  }
  return undefined
}

const checkName = (name: string, bad: Bad): string => {
  const parts = name.split('/')
  if (name !== '' && !name.startsWith('/') && !name.includes('\\') && !name.includes('\0') && !parts.includes('..'))
    return name
  throw bad(`a file named ${brief(name)}`, 'a path within the archive')
}
