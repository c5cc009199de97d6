import { random } from '@graftjs/tensor'
import { describe, expect, it } from 'vitest'
import { collate, countTargets } from './collate.ts'
import { type EncodeOptions, encodeExamples, IGNORED, type Sample } from './encode-examples.ts'
import type { PromptCompletion } from './prompt-completion.ts'
import { tinyTokenizer, turns } from './tiny-tokenizer.test-util.ts'

const tokenizer = tinyTokenizer()
const row = { prompt: 'Spam? Answer:', completion: ' yes' }
const encode = (rows: PromptCompletion[], options: Partial<EncodeOptions> = {}, by = tokenizer) =>
  encodeExamples(by, rows, { maxLength: 500, ...options })
const one = (given: PromptCompletion, options: Partial<EncodeOptions> = {}, by = tokenizer): Sample =>
  encode([given], options, by).samples[0]!
const text = (ids: readonly number[]): string => tokenizer.decode(ids)
const learnt = ({ labels }: Sample): string => text(labels.filter((label) => label !== IGNORED))
const shown = ({ ids }: Sample): string => text(ids)

/** Rows of words that merge over seams, special tokens and characters of several bytes. */
const oddRows = (n: number): PromptCompletion[] => {
  const draw = random(11, 'rows')
  const parts = [' yes', ' no', ' ', 'yes', 'no', 'a', '12', '🙂', 'é', '\n', '<|im_end|>', '<|im_', '  ']
  const words = (least: number): string =>
    Array.from({ length: least + draw.int(6) }, () => parts[draw.int(parts.length)]).join('')
  return Array.from({ length: n }, () => ({ prompt: words(0), completion: words(1) }))
}

describe('encodeExamples', () => {
  it('learns the completion and EOS, not the prompt', () => {
    const sample = one(row)
    expect(shown(sample)).toBe('Spam? Answer: yes<|im_end|>')
    expect(sample.labels.filter((label) => label !== IGNORED)).toEqual([tokenizer.idOf('Ġyes'), 2])
    expect(sample.labels).toHaveLength(sample.ids.length)
    sample.labels.forEach((label, t) => expect([IGNORED, sample.ids[t]]).toContain(label))
    expect(learnt(one(row, { eos: false }))).toBe(' yes')
  })
  it.each([false, true])('for any row, what is learnt is the completion and EOS (chat: %s)', (chat) => {
    // An empty prompt leaves the first token with nothing to be told from.
    const rows = oddRows(300).filter(({ prompt }) => chat || prompt !== '')
    const { samples, apart } = encode(rows, { chat })
    rows.forEach(({ prompt, completion }, i) => {
      expect(learnt(samples[i]!)).toBe(`${completion}<|im_end|>`)
      const opening = chat ? `<|im_start|>user\n${prompt}<|im_end|>\n<|im_start|>assistant\n` : prompt
      expect(shown(samples[i]!)).toBe(`${opening}${completion}<|im_end|>`)
      expect(samples[i]).toMatchObject({ source: i })
    })
    // These rows are made so that some seams are spanned; a chat opens with a special token and a line break.
    if (chat) expect(apart).toBe(0)
    else expect(apart).toBeGreaterThan(0)
  })
  it('encodes apart where prompt and completion share a token, and counts it', () => {
    const { samples, apart } = encode([{ prompt: 'Answer: ', completion: 'yes' }, row])
    expect(apart).toBe(1)
    expect(learnt(samples[0]!)).toBe('yes<|im_end|>')
    expect(samples[0]!.ids.slice(0, 8)).toEqual(tokenizer.encode('Answer: '))
  })
  it('never learns the first token', () => {
    expect(learnt(one({ prompt: '', completion: 'abc' }))).toBe('bc<|im_end|>')
    const opened = tinyTokenizer({ 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.add_eos_token': true })
    const sample = one({ prompt: '', completion: 'abc' }, {}, opened)
    expect([shown(sample), learnt(sample)]).toEqual(['<|im_start|>abc<|im_end|>', 'abc<|im_end|>'])
  })

  describe('in a chat', () => {
    it('ends with what the template ends the turn with', () => {
      const other = tinyTokenizer({
        'tokenizer.ggml.eos_token_id': 0,
        'tokenizer.chat_template': turns,
      })
      expect(learnt(one(row, { chat: true }, other))).toBe(' yes<|im_end|>')
      expect(learnt(one(row, { chat: true, eos: false }, other))).toBe(' yes')
      const open = tinyTokenizer({
        'tokenizer.chat_template': "{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
      })
      expect(learnt(one(row, { chat: true }, open))).toBe(' yes\n<|im_end|>')
    })
    it('starts from what generating starts from, even if the template rewrites it later', () => {
      const thinking =
        "{% for m in messages %}{{ m['content'] }}|{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"
      const sample = one(row, { chat: true }, tinyTokenizer({ 'tokenizer.chat_template': thinking }))
      expect([shown(sample), learnt(sample)]).toEqual(['Spam? Answer:|<think> yes<|im_end|>', ' yes<|im_end|>'])
    })
    it('wants a template', () =>
      expect(() => one(row, { chat: true }, tinyTokenizer({ 'tokenizer.chat_template': undefined }))).toThrow(
        /without a chat template/,
      ))
  })

  describe('lengths', () => {
    const length = one(row).ids.length
    it('names the row, its length and the limit', () => {
      expect(encode([row], { maxLength: length }).truncated).toBe(0)
      expect(() => encode([row, row], { maxLength: length - 1, name: 'train.jsonl' })).toThrow(
        `train.jsonl[0]: given ${length} tokens, ${length - 2} of them the prompt's; expected at most ${length - 1}`,
      )
    })
    it('cuts the start or the end off when told to, and counts it', () => {
      const long = { prompt: 'abcdef', completion: ' yesxyz' }
      const cut = (truncate: 'keep-start' | 'keep-end') => encode([long, row], { maxLength: 9, truncate })
      expect(() => cut('keep-start')).toThrow(/rows\[1\]: given no token of the completion in the 9 that are kept/)
      const end = cut('keep-end')
      expect(end.samples.map(shown)).toEqual(['cdef yesxyz<|im_end|>', 'Answer: yes<|im_end|>'])
      expect(end.samples.map(learnt)).toEqual([' yesxyz<|im_end|>', ' yes<|im_end|>'])
      expect(end.truncated).toBe(2)
      const start = encode([long], { maxLength: 9, truncate: 'keep-start' })
      expect([shown(start.samples[0]!), learnt(start.samples[0]!)]).toEqual(['abcdef yesxy', ' yesxy'])
      expect(learnt(one({ prompt: 'a', completion: 'bcdef' }, { maxLength: 2, truncate: 'keep-end' }))).toBe(
        '<|im_end|>',
      )
    })
  })

  it.each([
    [{ prompt: 'a', completion: '' }, {}, /rows\[0\]: given an empty completion; expected at least one token to learn/],
    [{ prompt: '', completion: 'a' }, { eos: false }, /no token/],
    [{ prompt: 'a' }, {}, /rows\[0\]: completion: given undefined; expected a text/],
    [{ prompt: 7, completion: '' }, {}, /rows\[0\]: prompt: given number/],
    [null, {}, /rows\[0\]: given null; expected an object with prompt and completion/],
    [row, { maxLength: 1 }, /maxLength: given 1/],
  ])('refuses %j with %j', (given, options, message) => {
    expect(() => encode([given as PromptCompletion], options)).toThrow(message)
  })
  it('refuses to end with an EOS that is not there', () => {
    const endless = tinyTokenizer({ 'tokenizer.ggml.eos_token_id': undefined })
    expect(() => one(row, {}, endless)).toThrow(/eos: given a tokenizer without an EOS token/)
    expect(learnt(one(row, { eos: false }, endless))).toBe(' yes')
  })
})

describe('collate', () => {
  const { samples } = encode(oddRows(5).map(({ prompt, completion }) => ({ prompt: `x${prompt}`, completion })))
  it.each(['right', 'left'] as const)('pads on the %s and changes nothing else', (side) => {
    const batch = collate(samples, { padId: 9, side })
    const width = Math.max(...samples.map(({ ids }) => ids.length))
    samples.forEach((sample, b) => {
      const own = <T>(line: readonly T[]): T[] => line.filter((_, t) => batch.mask[b]![t] === 1)
      expect(batch.ids[b]).toHaveLength(width)
      expect(own(batch.ids[b]!)).toEqual(sample.ids)
      expect(own(batch.labels[b]!)).toEqual(sample.labels)
      const gap = batch.ids[b]!.map((id, t) => [id, batch.labels[b]![t], batch.mask[b]![t]]).filter(
        ([, , m]) => m === 0,
      )
      expect(gap).toEqual(new Array(width - sample.ids.length).fill([9, IGNORED, 0]))
      expect(batch.mask[b]!.indexOf(1)).toBe(side === 'right' ? 0 : width - sample.ids.length)
    })
  })
  it('loses no target, on either side', () => {
    const targets = samples.flatMap(({ labels }) => labels).filter((label) => label !== IGNORED).length
    for (const side of ['right', 'left'] as const)
      expect(countTargets(collate(samples, { padId: 0, side }))).toBe(targets)
    expect(countTargets({ ids: [[1, 2]] })).toBe(0)
    expect(countTargets({ ids: [[1, 2, 3]], labels: [[1, IGNORED, 3]] })).toBe(1)
  })
  it('refuses nothing at all', () => expect(() => collate([], { padId: 0 })).toThrow(/samples: given none/))
})
