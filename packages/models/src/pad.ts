import type { Batch } from '@graftjs/core'

/** Rows of different lengths as one batch, padding on the left (as generating wants it) or on the right. */
export const padRows = (
  rows: readonly (readonly number[])[],
  padId: number,
  side: 'left' | 'right',
): Required<Pick<Batch, 'ids' | 'mask'>> => {
  const length = Math.max(...rows.map((row) => row.length))
  const fill = (row: readonly number[], value: number, own: readonly number[]): number[] => {
    const gap = new Array<number>(length - row.length).fill(value)
    return side === 'left' ? [...gap, ...own] : [...own, ...gap]
  }
  return {
    ids: rows.map((row) => fill(row, padId, row)),
    mask: rows.map((row) =>
      fill(
        row,
        0,
        row.map(() => 1),
      ),
    ),
  }
}
