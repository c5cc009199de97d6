import { hashFile } from './hash-file.ts'

/** The SHA-256 of a file, hexadecimal. */
export const sha256File = (path: string): Promise<string> => hashFile(path, 'sha256')
