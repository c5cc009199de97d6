import { streamDecoder, type Tokenizer } from '@graftjs/text'
import { IGNORED, type Sample } from './encode-examples.ts'

/** A token of a sample, or the few that share a character, as one can look at it. */
export interface Piece {
  readonly text: string
  readonly ids: readonly number[]
  readonly learnt: boolean
  readonly special: boolean
}

/** A sample's tokens with their text. */
export const samplePieces = ({ ids, labels }: Sample, tokenizer: Tokenizer): Piece[] => {
  const stream = streamDecoder(tokenizer, { skipSpecialTokens: false })
  const pieces: Piece[] = []
  let open: number[] = []
  const close = (text: string, learnt: boolean): void => {
    pieces.push({ text, ids: open, learnt, special: open.some((id) => tokenizer.isSpecial(id)) })
    open = []
  }
  ids.forEach((id, t) => {
    const text = stream.push(id)
    open.push(id)
    const learnt = labels[t] !== IGNORED
    // A character goes to the piece of its last byte; where the label changes within it, the bytes so far stand alone.
    const next = t + 1 < ids.length ? labels[t + 1] !== IGNORED : !learnt
    if (text !== '') close(text, learnt)
    else if (next !== learnt) close(stream.flush() || '\uFFFD', learnt)
  })
  return pieces
}

/** A text whose every character can be seen and none of which moves a terminal's cursor or turns the direction. */
export const visible = (text: string): string =>
  text
    .replace(/\p{Cc}/gu, (character) => {
      if (character === '\n') return '⏎\n'
      if (character === '\t') return '→'
      const code = character.charCodeAt(0)
      return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? '␡' : named(code)
    })
    .replace(/[\p{Cf}\p{Zl}\p{Zp}\u00a0]/gu, (character) => named(character.codePointAt(0)!))
    .replaceAll(' ', '·')

const named = (code: number): string => `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`
