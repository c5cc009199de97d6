/** Marks the files of one save: the newest sorts last, and no two savers share one. */
export const saveId = (): string => {
  const random = Math.floor(Math.random() * 36 ** 6).toString(36)
  return `${Date.now().toString(36).padStart(9, '0')}-${random.padStart(6, '0')}`
}

/** What a save puts beside `name`: the new file before it is whole, the old one until the new is in place. */
export const temporaryName = (name: string, kind: 'tmp' | 'old', id: string): string => `${name}.${kind}-${id}`

/** The save that a file beside `name` is of. */
export const saveOf = (file: string, name: string, kind: 'tmp' | 'old'): string | undefined => {
  const prefix = `${name}.${kind}-`
  const id = file.slice(prefix.length)
  return file.startsWith(prefix) && /^[0-9a-z]{9}-[0-9a-z]{6}$/.test(id) ? id : undefined
}
