import type { JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'

export interface ConfigReader {
  /** A number above 0. */
  number(key: string, absent?: number): number
}

/** Reads keys of a config.json or of a GGUF's metadata; `file` is for errors. */
export const readConfig = (json: JsonObject, file: string): ConfigReader => ({
  number: (key, absent) => {
    const value = json[key] ?? absent
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    throw new GraftError({
      code: 'bad-file',
      culprit: `${file}: ${key}`,
      given: value === undefined ? 'nothing' : JSON.stringify(value),
      expected: 'a number above 0',
    })
  },
})
