import { isMap, type JsonMap } from './check-tokenizer-json.ts'

/** What ByteLevel splits by (GPT-2's pattern). */
export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

export const split = (pattern: string): JsonMap => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
})

export const sequence = (...pretokenizers: JsonMap[]): JsonMap => ({ type: 'Sequence', pretokenizers })

/** Bytes to printable characters, without the split. */
export const bytes: JsonMap = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }

/**
 * Digits and ByteLevel as Unicode splits. tokenizers.js runs both by JavaScript's own `\d` and `\s`, which miss ², ٣ and
 * U+0085 and take U+FEFF for a space; the Rust tokenizers, and tokenizers.js in a Split, go by Unicode.
 */
export const unicodeExact = (part: unknown): unknown => {
  if (!isMap(part)) return part
  if (part.type === 'Sequence' && Array.isArray(part.pretokenizers))
    return { ...part, pretokenizers: part.pretokenizers.map(unicodeExact) }
  if (part.type === 'Digits') return split(part.individual_digits ? '\\p{N}' : '\\p{N}+')
  // A prefix space has to come before the split, so that one stays whole.
  if (part.type === 'ByteLevel' && part.use_regex !== false && !part.add_prefix_space)
    return sequence(split(gpt2Pattern), { ...part, use_regex: false })
  return part
}
