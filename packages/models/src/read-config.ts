import type { Json, JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'

export interface ConfigReader {
  /** A number above 0. */
  number(key: string, absent?: number): number
  /** The same; undefined where it is absent or null. */
  optional(key: string): number | undefined
  flag(key: string, absent?: boolean): boolean
  /** Refuses any other value of an option that would change the mathematics. Absent and null are fine. */
  only(key: string, ...built: Json[]): void
}

/** Reads keys of a config.json or of a GGUF's metadata; `file` is for errors. */
export const readConfig = (json: JsonObject, file: string): ConfigReader => {
  const number = (key: string, absent?: number): number => {
    const value = json[key] ?? absent
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    throw new GraftError({
      code: 'bad-file',
      culprit: `${file}: ${key}`,
      given: value === undefined ? 'nothing' : JSON.stringify(value),
      expected: 'a number above 0',
    })
  }
  return {
    number,
    optional: (key) => ((json[key] ?? undefined) === undefined ? undefined : number(key)),
    flag: (key, absent = false) => {
      const value = json[key] ?? absent
      if (typeof value === 'boolean') return value
      throw new GraftError({
        code: 'bad-file',
        culprit: `${file}: ${key}`,
        given: JSON.stringify(value),
        expected: 'true or false',
      })
    },
    only: (key, ...built) => {
      const value = json[key] ?? null
      if (value === null || built.includes(value)) return
      throw new GraftError({
        code: 'unsupported-option',
        culprit: `${file}: ${key}`,
        given: JSON.stringify(value),
        expected: built.map((known) => JSON.stringify(known)).join(' or ') || 'none',
      })
    },
  }
}
