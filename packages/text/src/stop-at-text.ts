import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from './tokenizer.ts'

/**
 * Tells whether generated ids have come to one of `texts`, wherever tokens were cut: for `generate`'s `stopWhen`. The text is
 * part of the result, as in transformers' `stop_strings`.
 */
export const stopAtText = (
  tokenizer: Pick<Tokenizer, 'decode'>,
  texts: readonly string[],
): ((ids: readonly number[]) => boolean) => {
  if (texts.length === 0 || texts.includes(''))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'stop texts',
      given: JSON.stringify(texts),
      expected: 'at least one text, none of them empty',
    })
  // A token is a byte at least, so that so many of the last ones hold any text that ends in the newest; one more, since
  // some decoders take a space off the first.
  const reach = Math.max(...texts.map((text) => new TextEncoder().encode(text).length))
  return (ids) => {
    const tail = tokenizer.decode(ids.slice(-reach - 1))
    return texts.some((text) => tail.includes(text))
  }
}
