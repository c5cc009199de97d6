import { atomicWrite } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { LogSink } from './log-sink.ts'

/** A file as a sink, in Node. Folders above it are made. Throws `write-failed` and `read-failed`, with the path. */
export const fileSink = (path: string): LogSink => ({
  read: async () => {
    const { readFile } = await import('node:fs/promises')
    return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return ''
      throw failed('read-failed', path, 'read', cause)
    })
  },
  replace: (text) => atomicWrite(path, new TextEncoder().encode(text)),
  append: async (text) => {
    const { appendFile } = await import('node:fs/promises')
    await appendFile(path, text).catch((cause: Error) => {
      throw failed('write-failed', path, 'written to', cause)
    })
  },
})

const failed = (code: string, path: string, what: string, cause: Error): GraftError =>
  new GraftError({ code, culprit: path, message: `${path}: cannot be ${what} (${cause.message})`, cause })
