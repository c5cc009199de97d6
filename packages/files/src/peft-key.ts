import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'

const PREFIX = 'base_model.model.'

/** PEFT's names on disk and ours: `base_model.model.` + the module's path + the part. */
export const peftKey = {
  toDisk: (path: string): string => PREFIX + path,
  fromDisk: (key: string, file: string): string => {
    if (key.startsWith(PREFIX)) return key.slice(PREFIX.length)
    throw new GraftError({
      code: 'bad-file',
      culprit: file,
      given: `the key ${brief(key)}`,
      expected: `keys that begin with ${PREFIX}`,
    })
  },
}
