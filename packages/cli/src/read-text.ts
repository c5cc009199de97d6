import { readFile } from 'node:fs/promises'
import { GraftError } from '@graftjs/tensor/error'

/** A file that the user named. */
export const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: Error) => {
    throw new GraftError({
      code: 'no-file',
      culprit: path,
      message: `${path}: cannot be read (${cause.message})`,
      cause,
    })
  })
