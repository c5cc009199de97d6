/** GPT-2's printable stand-ins for the 256 bytes, by byte. */
const byteTokens: readonly string[] = (() => {
  const printable = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173 && b < 256)
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
})()

/** `1 2` can never happen where digits stand alone. */
const merges = ['h e', 'l l', 'he ll', 'hell o', 'Ġ w', 'Ġw o', '1 2', 'Ġ Ġ']
export const tinyTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']

/** Three special tokens, the bytes, and a few merges, as a GGUF file tells them. */
export const tinyGguf = (): Record<string, unknown> => {
  const tokens = [...specials, ...byteTokens, ...merges.map((m) => m.replace(' ', ''))]
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.from(tokens, (_, id) => (id < 3 ? 3 : 1)),
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.unknown_token_id': 0,
    'tokenizer.ggml.padding_token_id': 2,
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.chat_template': tinyTemplate,
  }
}

/** The same as tokenizer.json and tokenizer_config.json tell it. */
export const tinyJson = () => {
  const gguf = tinyGguf()
  const tokens = gguf['tokenizer.ggml.tokens'] as string[]
  return {
    tokenizer: {
      version: '1.0',
      added_tokens: specials.map((content, id) => ({ id, content, special: true, normalized: false })),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Digits', individual_digits: true },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        unk_token: '<|endoftext|>',
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) as Record<string, number>,
        merges: gguf['tokenizer.ggml.merges'] as string[],
      },
    },
    config: {
      bos_token: '<|im_start|>',
      eos_token: { content: '<|im_end|>', special: true },
      unk_token: '<|endoftext|>',
      pad_token: '<|im_end|>',
      chat_template: tinyTemplate,
    },
  }
}
