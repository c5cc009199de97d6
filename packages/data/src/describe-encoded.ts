import type { Encoded } from './encode-examples.ts'

/** What became of a file's rows, in a line, and what should be known before training, a line each. */
export const describeEncoded = ({ summary, ...encoded }: Encoded, name: string): string[] => {
  const { rows, tokens, targets, longest } = summary
  const counts = `${name}: ${some(rows, 'row')}, ${some(tokens, 'token')}, ${number(targets)} learnt (${percent(targets, tokens)}), longest ${number(longest)}`
  return [
    counts,
    ...(encoded.truncated > 0
      ? [
          `cut: ${some(encoded.truncated, 'row')} (${firstOf(encoded.cutSources)}), ${some(encoded.lostTokens, 'token')} lost, ${number(encoded.lostTargets)} of them to be learnt`,
        ]
      : []),
    ...(encoded.apart > 0
      ? [`${some(encoded.apart, 'row')} encoded in parts, because a token of the whole text would span a seam`]
      : []),
    ...encoded.warnings.map((warning) => `warning: ${warning}`),
  ]
}

const number = (n: number): string => n.toLocaleString('en-US')
const some = (n: number, what: string): string => `${number(n)} ${what}${n === 1 ? '' : 's'}`

export const percent = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`

const firstOf = (rows: readonly number[]): string =>
  rows.length > 5 ? `${rows.slice(0, 5).join(', ')}, …` : rows.join(', ')
