import { type Bytes, sweep, UNCHANGED, writeFailed, writeFlushed } from './atomic-write.ts'
import { saveId, saveOf, temporaryName } from './temporary-name.ts'
import { nodeFs, type WriteFs } from './write-fs.ts'

/**
 * Writes several files of one folder as a set. All are first written and flushed beside their targets. Then the old files
 * step aside, the last one first, and the new ones take their names, the last one last: where the last file is, its whole set
 * is. Whatever fails puts the old files back. A kill in between leaves no last file, and both sets whole beside it:
 * `wholeSets` finds the new one, other readers see an incomplete folder, never a mix. The next save clears away the rest.
 * Other files of the folder are not touched.
 */
export const atomicWriteFolder = async (
  dir: string,
  files: readonly (readonly [name: string, bytes: Bytes])[],
  given?: WriteFs,
): Promise<void> => {
  const fs = given ?? (await nodeFs())
  const undo: (() => Promise<void>)[] = []
  try {
    await swapIn(fs, dir, files, undo)
  } catch (cause) {
    throw writeFailed(
      dir,
      cause,
      (await rollBack(undo)) ? UNCHANGED : `complete copies lie in ${dir} as .tmp- and .old-`,
    )
  }
  const names = files.map(([name]) => name)
  await sweep(fs, dir, names)
}

const swapIn = async (
  fs: WriteFs,
  dir: string,
  files: readonly (readonly [name: string, bytes: Bytes])[],
  undo: (() => Promise<void>)[],
): Promise<void> => {
  const id = saveId()
  const move = async (from: string, to: string): Promise<void> => {
    await fs.rename(`${dir}/${from}`, `${dir}/${to}`)
    undo.push(() => fs.rename(`${dir}/${to}`, `${dir}/${from}`))
  }
  if (await fs.mkdir(dir)) undo.push(() => fs.removeFolder(dir).catch(() => {}))
  const present = new Set(await fs.list(dir))
  for (const [name, bytes] of files) {
    const temporary = `${dir}/${temporaryName(name, 'tmp', id)}`
    undo.push(() => fs.remove(temporary).catch(() => {}))
    await writeFlushed(fs, temporary, bytes)
  }
  for (const [name] of files.toReversed()) if (present.has(name)) await move(name, temporaryName(name, 'old', id))
  for (const [name] of files) await move(temporaryName(name, 'tmp', id), name)
  await fs.flushFolder(dir)
}

/** Latest step first. Where a rename fails it stops: the state is then one that a kill may leave, too. */
const rollBack = async (undo: readonly (() => Promise<void>)[]): Promise<boolean> => {
  try {
    for (const step of undo.toReversed()) await step()
    return true
  } catch {
    return false
  }
}

/**
 * Where the files of a set that `atomicWriteFolder` wrote lie, best first: under their names, or, after a kill, as the newest
 * save left them. Only a set whose last file can be read is whole: a first save that was cut off while it wrote has half of it.
 */
export const wholeSets = async (dir: string, names: readonly string[]): Promise<ReadonlyMap<string, string>[]> => {
  const { readdir } = await import('node:fs/promises')
  const present = new Set(await readdir(dir).catch(() => [] as string[]))
  const last = names.at(-1)!
  const setOf = (fileOf: (name: string) => string): ReadonlyMap<string, string> =>
    new Map(names.filter((name) => present.has(fileOf(name))).map((name) => [name, `${dir}/${fileOf(name)}`]))
  if (present.has(last)) return [setOf((name) => name)]
  const saves = [...present].map((file) => saveOf(file, last, 'tmp')).filter((id) => id !== undefined)
  return saves
    .sort()
    .reverse()
    .map((id) =>
      setOf((name) => {
        const temporary = temporaryName(name, 'tmp', id)
        return present.has(temporary) ? temporary : name
      }),
    )
}
