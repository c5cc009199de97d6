import { type Tokenizer, tokenizerFromJson } from '@graftjs/text'

const printable = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173 && b < 256)

const byteTokens = (): string[] => {
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
}

/** What chat templates use for special tokens. */
const special =
  /<[|｜][^<>\s]*?[|｜]>|<(?:start|end)_of_turn>|<[A-Z_]+_TOKEN>|<end_of_utterance>|<sop>|<\/?s>|\[\/?INST\]/g

/** Bytes, two words that begin with a space, and the special tokens that the template writes. */
export const templateTokenizer = (source: string, bos: string, eos: string): Tokenizer => {
  const specials = [...new Set([bos, eos, ...(source.match(special) ?? [])])]
  const merges = ['Ġ y', 'Ġy e', 'Ġye s', 'Ċ Ċ', 'e s', 'y es']
  const tokens = [...specials, ...byteTokens(), ...merges.map((pair) => pair.replace(' ', ''))]
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return tokenizerFromJson(
    {
      added_tokens: specials.map((content, id) => ({ id, content, special: true, normalized: false })),
      pre_tokenizer: byteLevel,
      decoder: byteLevel,
      model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
    },
    { bos_token: bos, eos_token: eos },
    source,
  )
}
