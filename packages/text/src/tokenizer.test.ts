import { random } from '@graftjs/tensor'
import { describe, expect, it } from 'vitest'
import { tinyGguf, tinyJson } from './tiny-tokenizer.test-util.ts'
import { tokenizerFromGguf } from './tokenizer-from-gguf.ts'
import { tokenizerFromJson } from './tokenizer-from-json.ts'

const { tokenizer: json, config } = tinyJson()
const both = [
  ['GGUF metadata', tokenizerFromGguf(tinyGguf())],
  ['tokenizer.json', tokenizerFromJson(json, config)],
] as const

/** Texts of the characters on which tokenizers differ. */
const oddTexts = (n: number): string[] => {
  const draw = random(7, 'texts')
  const parts =
    "hello| world|12|²|½|٣|é|日本|👩‍👩‍👧|\u0085|\ufeff|\u00a0|  |\n|\r\n|\t|<|im_end|>|<|im_|'s|'LL|_|\u0301|\x00".split(
      '|',
    )
  return Array.from({ length: n }, () =>
    Array.from({ length: draw.int(9) }, () => parts[draw.int(parts.length)]).join(''),
  )
}

describe.each(both)('a tokenizer from %s', (_, tokenizer) => {
  it('cuts before digits and at byte-pair merges', () => {
    const tokens = (text: string): string[] => tokenizer.encode(text).map(tokenizer.tokenOf)
    expect(tokens('hello world 12')).toEqual(['hello', 'Ġwo', 'r', 'l', 'd', 'Ġ', '1', '2'])
    expect(tokens('a<|im_end|>b')).toEqual(['a', '<|im_end|>', 'b'])
  })
  it('cuts by Unicode: ² and ٣ are digits, U+0085 is a space, U+FEFF is none', () => {
    const bytes = (text: string): number => new TextEncoder().encode(text).length
    // A digit on its own leaves the space before it alone, so the two spaces merge.
    for (const [text, length] of [
      ['  ²', 1 + bytes('²')],
      ['  ٣', 1 + bytes('٣')],
      ['  \u0085', 1 + bytes('\u0085')],
      ['  \ufeff', 2 + bytes('\ufeff')],
    ] as const)
      expect(tokenizer.encode(text), JSON.stringify(text)).toHaveLength(length)
  })
  it('decodes to what was encoded', () => {
    for (const text of oddTexts(300)) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    expect(tokenizer.decode([])).toBe('')
    expect(tokenizer.decode(tokenizer.encode('a <|im_end|> .'), { skipSpecialTokens: true })).toBe('a  .')
  })
  it('knows its special tokens and its size', () => {
    expect(tokenizer).toMatchObject({ bosId: 1, eosId: 2, padId: 2, unkId: 0, vocabSize: 3 + 256 + 8 })
    expect([tokenizer.isSpecial(2), tokenizer.isSpecial(3), tokenizer.idOf('hello'), tokenizer.idOf('nope')]).toEqual([
      true,
      false,
      tokenizer.encode('hello')[0],
      undefined,
    ])
    expect(tokenizer.decode([2, 100_000])).toBe('<|im_end|>')
    expect(() => tokenizer.tokenOf(100_000)).toThrow(
      'token id: given 100000; expected an id of the vocabulary, below 267',
    )
  })
  it('renders and encodes a chat', () => {
    const chat = [{ role: 'user', content: 'hello' }]
    const text = '<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n'
    expect(tokenizer.applyChat(chat, { addGenerationPrompt: true })).toBe(text)
    expect(tokenizer.encodeChat(chat, { addGenerationPrompt: true })).toEqual(tokenizer.encode(text))
  })
})

it('both ways give the same ids', () => {
  for (const text of oddTexts(300)) expect(both[0][1].encode(text)).toEqual(both[1][1].encode(text))
})

describe('tokenizerFromGguf', () => {
  it('puts BOS and EOS round a text where the file says so', () => {
    const gguf = { ...tinyGguf(), 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.add_eos_token': true }
    const tokenizer = tokenizerFromGguf(new Map(Object.entries(gguf)))
    expect(tokenizer.encode('a').map(tokenizer.tokenOf)).toEqual(['<|im_start|>', 'a', '<|im_end|>'])
    expect(tokenizer.encode('a', { addSpecialTokens: false })).toHaveLength(1)
  })
  it('takes what a user defined whole, but not for special', () => {
    const types = Array.from(tinyGguf()['tokenizer.ggml.token_type'] as Int32Array)
    types[0] = 4
    const tokenizer = tokenizerFromGguf({ ...tinyGguf(), 'tokenizer.ggml.token_type': types })
    expect(tokenizer.encode('a<|endoftext|>')).toHaveLength(2)
    expect([tokenizer.isSpecial(0), tokenizer.isSpecial(1)]).toEqual([false, true])
    expect(tokenizer.decode([0, 1], { skipSpecialTokens: true })).toBe('<|endoftext|>')
  })
  it('cuts as Llama 3 and Qwen 2 do', () => {
    const tokens = (pre: string, text: string): string[] => {
      const tokenizer = tokenizerFromGguf({ ...tinyGguf(), 'tokenizer.ggml.pre': pre })
      return tokenizer.encode(text, { addSpecialTokens: false }).map(tokenizer.tokenOf)
    }
    expect(tokens('llama-bpe', 'x12')).toEqual(['x', '12'])
    expect(tokens('qwen2', 'x12')).toEqual(['x', '1', '2'])
    expect(tokens('gpt-2', 'x12')).toEqual(['x', '12'])
    expect(tokens('qwen2', 'e\u0301')).toEqual(tokens('qwen2', 'é'))
  })
  it.each([
    [{ 'tokenizer.ggml.model': 'llama' }, /tokenizer.ggml.model: given "llama"; expected "gpt2"/],
    [{ 'tokenizer.ggml.pre': 'mystery' }, /tokenizer.ggml.pre: given "mystery"; expected gpt-2, smollm/],
    [{ 'tokenizer.ggml.tokens': undefined }, /tokenizer.ggml.tokens: given undefined; expected a list of strings/],
    [{ 'tokenizer.ggml.tokens': ['a', 'a'], 'tokenizer.ggml.token_type': [1, 1] }, /"a" more than once/],
    [{ 'tokenizer.ggml.token_type': [1, 2] }, /token_type: given 2 entries; expected 267/],
    [{ 'tokenizer.ggml.eos_token_id': 900 }, /eos_token_id: given 900; expected an id below 267/],
    [{ 'tokenizer.ggml.merges': ['h e', 'zz y'] }, /merges\[1\]: given "zz y"; expected two tokens of the vocabulary/],
  ])('refuses %j', (change, message) => {
    expect(() => tokenizerFromGguf({ ...tinyGguf(), ...change })).toThrow(message)
  })
})

describe('tokenizerFromJson', () => {
  const changed = (change: object): object => ({ ...json, ...change })
  const model = (change: object): object => changed({ model: { ...json.model, ...change } })
  let nested: object = { type: 'Lowercase' }
  for (let i = 0; i < 20; i++) nested = { type: 'Sequence', normalizers: [nested] }
  it.each([
    ['{"model":', /tokenizer.json: given .*; expected JSON/],
    [[], /given no model/],
    [model({ vocab: 7 }), /model.vocab: given 7/],
    [changed({ model: { type: 'BPE', vocab: {}, merges: [] }, added_tokens: [] }), /vocabulary: given 0 tokens/],
    [model({ vocab: { ...json.model.vocab, big: 2 ** 31 } }), /the id 2147483648; expected whole numbers below/],
    [model({ vocab: { ...json.model.vocab, half: 0.5 } }), /the id 0.5/],
    [model({ merges: [['h', 'nope']] }), /merges\[0\]: given \["h","nope"\]/],
    [model({ type: 'Unigram', vocab: [['a', 'x']], merges: undefined }), /vocab\[0\]: given \["a","x"\]/],
    [changed({ added_tokens: [{ content: 'x' }] }), /the id undefined/],
    [changed({ normalizer: nested }), /deeper nesting; expected at most 16/],
    [
      changed({ normalizer: { type: 'Replace', pattern: { Regex: '^(a+)+$' }, content: '' } }),
      /repeat inside a repeat/,
    ],
    [
      changed({ pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithNext' } }),
      /MergedWithNext/,
    ],
    [changed({ pre_tokenizer: { type: 'Mystery' } }), /tokenizer.json: given .*Mystery/],
  ])('refuses a broken file (%#)', (file, message) => {
    expect(() => tokenizerFromJson(file, config)).toThrow(message)
    expect(() => tokenizerFromJson(file, config)).toThrow(expect.objectContaining({ name: 'GraftError' }))
  })
  it('refuses a special token that is not in the vocabulary', () => {
    expect(() => tokenizerFromJson(json, { ...config, eos_token: '</s>' })).toThrow(/no entry for "<\/s>"/)
  })
  it('has no trouble with tokens named like members of an object', () => {
    const odd = '{"__proto__":267,"constructor":268}'
    const vocab = JSON.parse(`${JSON.stringify(json.model.vocab).slice(0, -1)},${odd.slice(1)}`)
    const tokenizer = tokenizerFromJson(model({ vocab }), config)
    expect([tokenizer.idOf('__proto__'), tokenizer.idOf('constructor'), tokenizer.idOf('toString')]).toEqual([
      267,
      268,
      undefined,
    ])
    expect(tokenizer.decode(tokenizer.encode('__proto__ constructor toString'))).toBe('__proto__ constructor toString')
  })
  it("gives a template a message's thinking under any of its names, as transformers does", () => {
    const template = '{% for m in messages %}{{ m.thinking }}/{{ m.reasoning_content }};{% endfor %}'
    const tokenizer = tokenizerFromJson(json, config, template)
    const said = (more: object) => tokenizer.applyChat([{ role: 'assistant', content: '', ...more }])
    expect([
      said({ thinking: 'a' }),
      said({ reasoning: 'b' }),
      said({ reasoning_content: 'c', thinking: 'd' }),
      said({}),
    ]).toEqual(['a/a;', 'b/b;', 'd/c;', '/;'])
  })
  it('takes a template from its own file, and a named one for tools', () => {
    const named = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: '{{ tools|length }} tools' },
    ]
    const tokenizer = tokenizerFromJson(JSON.stringify(json), { ...config, chat_template: named })
    expect(tokenizer.applyChat([])).toBe('plain')
    expect(tokenizer.applyChat([], { tools: [{}, {}] })).toBe('2 tools')
    expect(tokenizerFromJson(json, config, 'own {{ eos_token }}').applyChat([])).toBe('own <|im_end|>')
    expect(() => tokenizerFromJson(json, {}).applyChat([])).toThrow(/without a chat template/)
  })
})
