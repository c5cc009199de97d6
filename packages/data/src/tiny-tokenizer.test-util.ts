import { type Tokenizer, tokenizerFromGguf } from '@graftjs/text'

const byteTokens = (): string[] => {
  const printable = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173 && b < 256)
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
}

export const turns =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

/** Bytes, three special tokens and the words " yes" and " no", under any chat template. */
export const tinyTokenizer = (changes: Record<string, unknown> = {}): Tokenizer => {
  const merges = ['Ġ y', 'Ġy e', 'Ġye s', 'Ġ n', 'Ġn o']
  const tokens = [
    '<|endoftext|>',
    '<|im_start|>',
    '<|im_end|>',
    ...byteTokens(),
    ...merges.map((m) => m.replace(' ', '')),
  ]
  return tokenizerFromGguf({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': tokens.map((_, id) => (id < 3 ? 3 : 1)),
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.chat_template': turns,
    ...changes,
  })
}
