import { hashFile } from './hash-file.ts'

/** The hash by which git knows a file, hexadecimal: the SHA-1 of "blob ", its length, a zero byte and its bytes. */
export const gitHashFile = async (path: string): Promise<string> => {
  const { stat } = await import('node:fs/promises')
  const { size } = await stat(path)
  return hashFile(path, 'sha1', `blob ${size}\0`)
}
