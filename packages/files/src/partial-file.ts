import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'

/** A download that is not whole yet: its bytes so far, beside the target, under a name that says what they belong to. */
export interface PartialFile {
  readonly size: number
  /** What the server must still name for the bytes to count; undefined where nothing can be gone on with. */
  readonly etag: string | undefined
  append(bytes: Uint8Array): Promise<void>
  /** From the first byte on again, of a file with this etag. */
  restart(etag: string | undefined): Promise<void>
  /** Flushes and closes; once `check` has let the bytes pass by their SHA-256, they take the target's name. */
  finish(check: (path: string, sha256: string) => Promise<void>): Promise<void>
  /** Closes. A later call goes on with it, where that can be. */
  keep(): Promise<void>
  discard(): Promise<void>
}

interface Found {
  readonly path: string
  readonly etag: string
  readonly size: number
}

// What this process is downloading: not to be taken for left behind.
const active = new Set<string>()
let count = 0

/**
 * Takes over what a download of this url to this file left when its process died or gave up, else starts with nothing.
 * Taking over is one rename, so two processes never write one file.
 */
export const openPartial = async (file: string, url: string): Promise<PartialFile> => {
  const { createHash } = await import('node:crypto')
  const { open } = await import('node:fs/promises')
  const key = createHash('sha256').update(url).digest('hex').slice(0, 12)
  const nameFor = (etag: string | undefined): string => {
    const name = `${file}.${process.pid}-${(count++).toString(36)}-${key}${etag ? `-${toHex(etag)}` : ''}.incomplete`
    active.add(name)
    return name
  }
  const left = await takeOver(file, key, nameFor)
  const path = left?.path ?? nameFor(undefined)
  const handle = await open(path, left ? 'r+' : 'w')
  const hash = createHash('sha256')
  if (left)
    for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Uint8Array)
  return partialOf(handle, file, path, nameFor, { etag: left?.etag, size: left?.size ?? 0, hash })
}

const partialOf = async (
  handle: FileHandle,
  file: string,
  first: string,
  nameFor: (etag: string | undefined) => string,
  state: { etag: string | undefined; size: number; hash: Hash },
): Promise<PartialFile> => {
  const { createHash } = await import('node:crypto')
  const { rename, rm } = await import('node:fs/promises')
  let path = first
  const close = async (): Promise<void> => {
    active.delete(path)
    await handle.close()
  }
  const discard = async (): Promise<void> => {
    await close()
    await rm(path, { force: true })
  }
  return {
    get size() {
      return state.size
    },
    get etag() {
      return state.etag
    },
    append: async (bytes) => {
      for (let at = 0; at < bytes.byteLength; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.byteLength - at, state.size + at)
        if (bytesWritten === 0) throw new Error('the disk takes no more bytes')
        at += bytesWritten
      }
      state.hash.update(bytes)
      state.size += bytes.byteLength
    },
    restart: async (etag) => {
      await handle.truncate(0)
      const named = nameFor(etag)
      await rename(path, named)
      active.delete(path)
      path = named
      Object.assign(state, { etag, size: 0, hash: createHash('sha256') })
    },
    finish: async (check) => {
      await handle.sync()
      await handle.close()
      await check(path, state.hash.digest('hex'))
      await rename(path, file)
      active.delete(path)
    },
    keep: () => (state.etag === undefined || state.size === 0 ? discard() : close()),
    discard,
  }
}

/** The longest of what dead downloads of this url left, under a name of ours. The others are removed. */
const takeOver = async (file: string, key: string, nameFor: (etag: string) => string): Promise<Found | undefined> => {
  const { rename, rm } = await import('node:fs/promises')
  const [best, ...rest] = (await leftBehind(file, key)).sort((a, b) => b.size - a.size)
  for (const { path } of rest) await rm(path, { force: true })
  if (!best?.etag) {
    if (best) await rm(best.path, { force: true })
    return undefined
  }
  const path = nameFor(best.etag)
  // Another process may have been quicker: then this one starts with nothing.
  const taken = await rename(best.path, path).then(
    () => true,
    () => false,
  )
  if (!taken) active.delete(path)
  return taken ? { ...best, path } : undefined
}

const leftBehind = async (file: string, key: string): Promise<Found[]> => {
  const { readdir, stat } = await import('node:fs/promises')
  const { basename, dirname, join } = await import('node:path')
  const prefix = `${basename(file)}.`
  const found: Found[] = []
  for (const name of await readdir(dirname(file))) {
    const path = join(dirname(file), name)
    const [, pid, of, etag] = name.startsWith(prefix)
      ? (/^(\d+)-[0-9a-z]+-([0-9a-f]{12})(?:-([0-9a-f]+))?\.incomplete$/.exec(name.slice(prefix.length)) ?? [])
      : []
    if (pid === undefined || of !== key || active.has(path) || isAlive(Number(pid))) continue
    const { size } = await stat(path).catch(() => ({ size: 0 }))
    found.push({ path, etag: fromHex(etag ?? ''), size })
  }
  return found
}

const isAlive = (pid: number): boolean => {
  // Of this process, those under way are in `active`.
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const toHex = (text: string): string => Buffer.from(text).toString('hex')
const fromHex = (hex: string): string => Buffer.from(hex, 'hex').toString()
