import type { Tokenizer } from '@graftjs/text'
import type { Sample } from './encode-examples.ts'
import { samplePieces, visible } from './sample-pieces.ts'

export interface AnsiOptions {
  /** Default true. Without it, what is learnt stands in ⟦ ⟧. */
  readonly color?: boolean
}

const style = (codes: string, text: string): string => `\x1b[${codes}m${text}\x1b[0m`

/** Two shades of each, in turn, so that one sees where a token ends. */
const shades = {
  learnt: ['48;5;22;38;5;231', '48;5;28;38;5;231'],
  masked: ['38;5;248', '38;5;242'],
} as const
const SPECIAL = ';1;35'

/** What the colours and signs of `showAnsi` mean, in a line. */
export const ansiLegend = ({ color = true }: AnsiOptions = {}): string =>
  [
    color ? style(shades.learnt[0], 'learnt') : '⟦learnt⟧',
    color ? style(shades.masked[0], 'masked') : 'masked',
    ...(color ? [style(`0${SPECIAL}`, '<special>')] : []),
    '· space',
    '⏎ line break',
    '→ tab',
  ].join('  ')

/** A sample's tokens for a terminal: what is learnt on green, what is masked in grey, white space and special tokens to be seen. */
export const showAnsi = (sample: Sample, tokenizer: Tokenizer, { color = true }: AnsiOptions = {}): string => {
  const pieces = samplePieces(sample, tokenizer)
  if (!color)
    return pieces
      .map(({ text, learnt }, i) => {
        const [starts, ends] = [learnt && !pieces[i - 1]?.learnt, learnt && !pieces[i + 1]?.learnt]
        return `${starts ? '⟦' : ''}${visible(text)}${ends ? '⟧' : ''}`
      })
      .join('')
  return pieces
    .map(({ text, learnt, special }, i) => {
      const shade = shades[learnt ? 'learnt' : 'masked'][i % 2]!
      // A background that runs over a line break would colour the rest of the line.
      return visible(text)
        .split('\n')
        .map((line) => (line === '' ? '' : style(`${shade}${special ? (learnt ? ';1' : SPECIAL) : ''}`, line)))
        .join('\n')
    })
    .join('')
}
