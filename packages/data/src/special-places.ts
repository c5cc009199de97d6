import type { Tokenizer } from '@graftjs/text'

/** A special token of a text: which it is in the text's ids, and its characters. */
export interface Place {
  readonly token: number
  readonly start: number
  readonly end: number
}

export interface Encoding {
  readonly text: string
  readonly ids: readonly number[]
  readonly specials: readonly Place[]
}

/** The ids of a text that brings its own special tokens, and where these are. */
export const encodeText = (tokenizer: Tokenizer, text: string): Encoding => {
  const ids = tokenizer.encode(text, { addSpecialTokens: false })
  const specials: Place[] = []
  let from = 0
  // A text is cut at its special tokens before anything else, so the next one in the ids is the next one in the text.
  for (const [token, id] of ids.entries()) {
    if (!tokenizer.isSpecial(id) && id !== tokenizer.eosId) continue
    const start = text.indexOf(tokenizer.tokenOf(id), from)
    if (start < 0) continue
    from = start + tokenizer.tokenOf(id).length
    specials.push({ token, start, end: from })
  }
  return { text, ids, specials }
}
