import type { Sample } from './encode-examples.ts'

/** All tokens in a row, cut wherever a row of `maxLength` is full: the pieces of each row. */
export const wrap = (samples: readonly Sample[], maxLength: number): Sample[][] => {
  const rows: Sample[][] = []
  let space = 0
  for (const sample of samples)
    for (let from = 0; from < sample.ids.length; ) {
      if (space === 0) {
        rows.push([])
        space = maxLength
      }
      const to = Math.min(from + space, sample.ids.length)
      rows.at(-1)!.push(piece(sample, from, to))
      space -= to - from
      from = to
    }
  return rows
}

export const piece = (sample: Sample, from: number, to: number): Sample =>
  from === 0 && to === sample.ids.length
    ? sample
    : { ids: sample.ids.slice(from, to), labels: sample.labels.slice(from, to), source: sample.source }
