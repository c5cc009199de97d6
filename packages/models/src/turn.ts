import type { Stored } from './stored-source.ts'

/** [rows, columns] as [columns, rows]. */
export const turn = <A extends Float32Array | Uint16Array | Uint32Array>(
  values: A,
  [rows, columns]: readonly number[],
): A => {
  const turned = new (values.constructor as new (length: number) => A)(values.length)
  for (let r = 0; r < rows!; r++) for (let c = 0; c < columns!; c++) turned[c * rows! + r] = values[r * columns! + c]!
  return turned
}

/** A matrix that a file holds as [in, out], as [out, in]: 16 or 32 bits a number, for safetensors packs none. */
export const turnStored = ({ format, shape, bytes }: Stored): Stored => {
  const own = bytes.slice().buffer
  const values = turn(format === 'f32' ? new Uint32Array(own) : new Uint16Array(own), shape)
  return { format, shape: [...shape].reverse(), bytes: new Uint8Array(values.buffer) }
}
