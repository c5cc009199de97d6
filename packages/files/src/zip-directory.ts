import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import type { ByteSource } from './byte-source.ts'

/** One file of a zip archive, as its central directory has it, held against its own header. */
export interface ZipEntry {
  readonly name: string
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  /** Where its packed bytes begin. */
  readonly data: number
}

const [END, CENTRAL, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50]
const ENTRY_CAP = 100_000
const DIRECTORY_CAP = 100_000_000
const ENCRYPTED = 1

type Bad = (given: string, expected: string) => GraftError
type Listed = Omit<ZipEntry, 'data'> & { readonly flags: number; readonly local: number }

/** Finds a file by its whole name. No other name of the archive is used for anything. */
export const findZipEntry = async (source: ByteSource, name: string): Promise<ZipEntry> => {
  const bad: Bad = (given, expected) => new GraftError({ code: 'bad-file', culprit: source.name, given, expected })
  const { entries, at } = await readDirectory(source, bad)
  const [found, ...others] = entries.filter((entry) => entry.name === name)
  if (!found)
    throw new GraftError({
      code: 'no-entry',
      culprit: source.name,
      given: name,
      expected: `one of its ${entries.length} files`,
    })
  if (others.length > 0) throw bad(`${brief(name)} more than once`, 'each file once')
  if (found.flags & ENCRYPTED) throw bad(`${brief(name)}, encrypted`, 'a file that is not')
  if (found.method !== 0 && found.method !== 8) throw bad(`${brief(name)} packed by method ${found.method}`, '0 or 8')
  const data = await checkLocal(source, found, bad)
  const end = data + found.packed
  if (end > at || entries.some(({ local }) => local > found.local && local < end))
    throw bad(`${brief(name)} at ${data} … ${end}, over other parts of the archive`, 'files one after another')
  return { ...found, data }
}

const readDirectory = async (source: ByteSource, bad: Bad): Promise<{ entries: Listed[]; at: number }> => {
  const tail = await source.read(Math.max(0, source.size - 65_557), Math.min(65_557, source.size))
  const view = viewOf(tail)
  let end = tail.byteLength - 22
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === END && view.getUint16(end + 20, true) === tail.byteLength - end - 22)
  )
    end--
  if (end < 0) throw bad('no end of a zip directory', 'a zip archive: is it cut short?')
  const [count, size, at] = [
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ]
  if (count === 0xffff || size === 0xffffffff || at === 0xffffffff)
    throw bad('a zip archive in the 64-bit form', 'one below 4 GiB')
  if (size > DIRECTORY_CAP || at + size > source.size - tail.byteLength + end)
    throw bad(`a directory of ${size} bytes at ${at}`, 'one within the archive')
  return { entries: listEntries(await source.read(at, size), count, bad), at }
}

const listEntries = (directory: Uint8Array, count: number, bad: Bad): Listed[] => {
  if (count > ENTRY_CAP) throw bad(`${count} files`, `at most ${ENTRY_CAP}`)
  const view = viewOf(directory)
  const entries: Listed[] = []
  for (let at = 0; entries.length < count; ) {
    const fits = at + 46 <= directory.byteLength && view.getUint32(at, true) === CENTRAL
    const nameEnd = fits ? at + 46 + view.getUint16(at + 28, true) : Number.POSITIVE_INFINITY
    if (nameEnd > directory.byteLength)
      throw bad(`a directory that ends after ${entries.length} of ${count} files`, 'all')
    entries.push({
      name: new TextDecoder().decode(directory.subarray(at + 46, nameEnd)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      local: view.getUint32(at + 42, true),
    })
    at = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  return entries
}

const checkLocal = async (source: ByteSource, { name, local }: Listed, bad: Bad): Promise<number> => {
  if (local + 30 > source.size) throw bad(`${brief(name)} at ${local}`, 'a file within the archive')
  const view = viewOf(await source.read(local, 30))
  const nameLength = view.getUint16(26, true)
  const nameEnd = local + 30 + nameLength
  if (view.getUint32(0, true) !== LOCAL || nameEnd > source.size)
    throw bad(`no header of ${brief(name)} at ${local}`, 'one')
  const own = new TextDecoder().decode(await source.read(local + 30, nameLength))
  if (own !== name) throw bad(`${brief(name)}, whose own header says ${brief(own)}`, 'one name')
  return nameEnd + view.getUint16(28, true)
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
