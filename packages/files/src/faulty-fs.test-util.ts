import { nodeFs, type WriteFs } from './write-fs.ts'

export interface Faults {
  /** Which call fails: 0 is the first. */
  readonly at?: number
  readonly code?: string
  /** From that call on every one fails, as if the process or the disk had died. */
  readonly dead?: boolean
  /** A write takes so many bytes at most. */
  readonly shortWrite?: number
}

/** The real file system, with faults. Counts every call, also of the files that it opens. */
export const faulty = async ({ at = -1, code = 'EIO', dead = false, shortWrite }: Faults) => {
  const calls: string[] = []
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (_, key) => {
        // Whatever is awaited is asked for it.
        if (key === 'then') return undefined
        return async (given: unknown, ...more: unknown[]) => {
          const index = calls.push(String(key)) - 1
          const fails = at >= 0 && (dead ? index >= at : index === at)
          const call = (Reflect.get(target, key) as (...args: unknown[]) => Promise<unknown>).bind(target)
          const error = Object.assign(new Error(`${code}: ${String(key)} failed`), { code })
          if (fails && key !== 'close') {
            // A disk that is full has taken some of the bytes.
            if (key === 'write') await call((given as Uint8Array).subarray(0, 1))
            throw error
          }
          const cut = key === 'write' && shortWrite ? (given as Uint8Array).subarray(0, shortWrite) : given
          const result = await call(cut, ...more)
          if (fails) throw error
          return key === 'open' ? wrap(result as object) : result
        }
      },
    })
  return { fs: wrap<WriteFs>(await nodeFs()), calls }
}
