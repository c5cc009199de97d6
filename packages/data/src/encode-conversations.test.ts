import { describe, expect, it } from 'vitest'
import { collate } from './collate.ts'
import { type EncodeOptions, encodeExamples, IGNORED, type Sample } from './encode-examples.ts'
import type { Example } from './example.ts'
import { tinyTokenizer, turns } from './tiny-tokenizer.test-util.ts'

const chatty = (template: string, changes: Record<string, unknown> = {}) =>
  tinyTokenizer({ 'tokenizer.chat_template': template, ...changes })
const tokenizer = tinyTokenizer()
const encode = (rows: Example[], options: Partial<EncodeOptions> = {}, by = tokenizer) =>
  encodeExamples(by, rows, { maxLength: 500, ...options })
const text = (ids: readonly number[]): string => tokenizer.decode(ids)
const learnt = ({ labels }: Sample): string =>
  text(labels.map((label) => (label === IGNORED ? 0 : label))).replace(/(<\|endoftext\|>)+/g, '…')
const one = (row: Example, options: Partial<EncodeOptions> = {}, by = tokenizer): string =>
  learnt(encode([row], options, by).samples[0]!)

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const chat = { messages: [user('a'), assistant('b'), user('c'), assistant(' yes')] }

/** The same text, marked. */
const marked =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

describe.each([
  ['without marks', turns],
  ['with generation marks', marked],
])('a conversation by a template %s', (_, template) => {
  const by = chatty(template)
  it('learns what the assistant says and its end token', () => {
    const [sample] = encode([chat], {}, by).samples
    expect(learnt(sample!)).toBe('…b<|im_end|>… yes<|im_end|>')
    expect(text(sample!.ids)).toBe(by.applyChat(chat.messages).trimEnd())
    expect(sample!.ids).toEqual(by.encodeChat(chat.messages).slice(0, sample!.ids.length))
  })
  it('learns the last turn, or everything', () => {
    expect(one(chat, { learn: 'last' }, by)).toBe('… yes<|im_end|>')
    expect(one({ messages: chat.messages.slice(0, 2) }, { learn: 'last' }, by)).toBe('…b<|im_end|>')
    // The first token is told from nothing.
    expect(one(chat, { learn: 'all' }, by)).toBe(`…${by.applyChat(chat.messages).replace('<|im_start|>', '')}`)
  })
  it('encodes apart where a token would span the seam, and counts it', () => {
    // The opening ends with a space, which would make one token with the word behind it.
    const spaced = template.replaceAll("m['role'] + '\n'", "m['role'] + ': '").replace('assistant\n', 'assistant: ')
    const row = (answer: string) => ({ messages: [user('yes'), assistant(answer), user('yes'), assistant(answer)] })
    const [joint, apart] = ['no way', 'yes'].map((answer) => encode([row(answer)], {}, chatty(spaced)))
    for (const [made, answer] of [
      [joint!, 'no way'],
      [apart!, 'yes'],
    ] as const) {
      expect(learnt(made.samples[0]!)).toBe(`…${answer}<|im_end|>…${answer}<|im_end|>`)
      expect(text(made.samples[0]!.ids)).toBe(chatty(spaced).applyChat(row(answer).messages).trimEnd())
    }
    expect(apart!.apart).toBe(1)
  })
  it('leaves out what comes after the last word of the assistant', () => {
    const sample = encode([{ messages: [...chat.messages, user('d')] }], {}, by).samples[0]!
    expect(text(sample.ids)).toBe(by.applyChat(chat.messages).trimEnd())
  })
  it('learns no end token without eos', () => expect(one(chat, { eos: false }, by)).toBe('…b… yes'))
  it('puts a system message first where there is none', () => {
    const opened = encode(
      [chat, { messages: [{ role: 'system', content: 'own' }, ...chat.messages] }],
      { system: 's' },
      by,
    )
    expect(opened.samples.map(({ ids }) => text(ids).slice(0, 24))).toEqual([
      '<|im_start|>system\ns<|im',
      '<|im_start|>system\nown<|',
    ])
  })
  it('wants the assistant to say something', () => {
    expect(() => encode([chat, { messages: [user('a')] }], { name: 'x.jsonl' }, by)).toThrow(
      'x.jsonl[1]: given no turn of the assistant; expected at least one, or learn: all',
    )
    expect(one({ messages: [user('a')] }, { learn: 'all' }, by)).toBe('…user\na<|im_end|>\n')
  })
})

describe('templates that make it hard', () => {
  it('finds a turn that is written otherwise once more follow', () => {
    // Thinking is dropped from all turns but the last, and stands in front of each that is the last.
    const drops =
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' and loop.last %}{{ '<think>' + m['thinking'] + '</think>' }}{% endif %}{{ m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    const thinks = chat.messages.map((m) => ({ ...m, thinking: 'b' }))
    expect(one({ messages: thinks }, {}, chatty(drops))).toBe('…b<|im_end|>…<think>b</think> yes<|im_end|>')
    expect(one({ messages: [...thinks, user('b')] }, {}, chatty(drops))).toBe('…b<|im_end|>… yes<|im_end|>')
  })
  it('starts a turn no earlier than its own opening', () => {
    // The history has no opening for the assistant at all: the nearest one is the turn's before.
    const odd =
      "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|im_start|>' + m['content'] }}{% else %}{{ ('[' + messages|length|string + ']') + m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
    expect(() => one({ messages: chat.messages }, {}, chatty(odd))).toThrow(
      expect.objectContaining({ code: 'no-mask', culprit: expect.stringMatching(/^rows\[0\]: messages\[\d\]$/) }),
    )
  })
  it('learns of turns without an end token what they are, and EOS at the end', () => {
    const bare =
      "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    // The last begins with a token that would span the seam.
    const row = { messages: [user('a'), assistant('no'), user('c'), assistant('yes')] }
    const { samples, apart } = encode([row], {}, chatty(bare))
    expect(learnt(samples[0]!)).toBe('…no\n…yes\n<|im_end|>')
    expect(text(samples[0]!.ids)).toBe('user: a\nassistant: no\nuser: c\nassistant: yes\n<|im_end|>')
    expect(apart).toBe(1)
  })
  it('takes nothing that another says, and no turn that is in two places', () => {
    const body = (m: string): string =>
      `{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}${m}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`
    const theirs = "{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"
    // What the assistant says comes after all, where everybody has said it before.
    const late = `${body(theirs)}{% for m in messages if m['role'] == 'assistant' %}{{ m['content'] }}{% endfor %}`
    const same = { messages: [user('b'), assistant('b'), user('b'), assistant('b')] }
    const once = { messages: [user('b'), assistant('b'), user('b')] }
    for (const row of [same, chat, once])
      expect(() => encode([row], {}, chatty(late))).toThrow(expect.objectContaining({ code: 'no-mask' }))
    // In its place and once more at the end.
    const twice = `${body("{{ m['content'] }}")}{% for m in messages if m['role'] == 'assistant' %}{{ m['content'] }}{% endfor %}`
    for (const row of [same, chat])
      expect(() => encode([row], {}, chatty(twice))).toThrow(expect.objectContaining({ code: 'no-mask' }))
    // Written otherwise than it was said, but in its place.
    const loud = body("{{ m['content']|upper }}")
    expect(one(chat, {}, chatty(loud))).toBe('…B<|im_end|>… YES<|im_end|>')
    const hidden = `${body(theirs)}{{ messages[1]['content'] }}`
    expect(() => encode([chat], {}, chatty(hidden))).toThrow(expect.objectContaining({ code: 'no-mask' }))
  })
  it('refuses a turn that is not rendered, naming it', () => {
    const silent = "{% for m in messages %}{{ m['role'] + '<|im_end|>' }}{% endfor %}"
    expect(() => encode([chat], {}, chatty(silent))).toThrow(
      'rows[0]: messages[1]: given a turn that the template does not render; expected a turn that can be found',
    )
    const reversed = "{% for m in messages|reverse %}{{ m['content'] + '<|im_end|>' }}{% endfor %}"
    expect(() => encode([chat], {}, chatty(reversed))).toThrow(expect.objectContaining({ code: 'no-mask' }))
  })
  it('refuses marks that mark nothing', () => {
    const never = marked.replace("m['role'] == 'assistant'", 'false')
    expect(() => encode([chat], {}, chatty(never))).toThrow(
      'rows[0]: given no turn that the chat template marks with {% generation %}',
    )
  })
  it('ends in a typed error where the template is hostile, with marks and without', () => {
    const hostile = '{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}'
    for (const template of [hostile, `{% generation %}${hostile}{% endgeneration %}`, turns + hostile]) {
      const start = performance.now()
      expect(() => encode([chat], {}, chatty(template))).toThrow(expect.objectContaining({ code: 'template-budget' }))
      // The aim is 200 ms; a busy machine gets some room.
      expect(performance.now() - start).toBeLessThan(1500)
    }
    // Hostile to conversations of three messages alone, which only the probes and parts of the row have.
    const sly = `{% if messages|length == 3 %}${hostile}{% endif %}${turns}`
    const start = performance.now()
    expect(() => encode([chat], {}, chatty(sly))).toThrow(expect.objectContaining({ code: 'template-budget' }))
    expect(performance.now() - start).toBeLessThan(3000)
  })
  it('gives a template the arguments of a call parsed where it would quote them twice', () => {
    const call = (body: string) =>
      `{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% for c in m['tool_calls'] or [] %}${body}{% endfor %}{{ (m['content'] or '') + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`
    const calls = [{ function: { name: 'f', arguments: '{"a": 1}' } }]
    const row = { messages: [user('a'), { role: 'assistant', content: null, tool_calls: calls }] }
    const quoting = '{{ c.function.name + (c.function.arguments|tojson) }}'
    expect(one(row, {}, chatty(call(quoting)))).toBe('…f{"a": 1}<|im_end|>')
    expect(one(row, {}, chatty(call('{{ c.function.name + c.function.arguments }}')))).toBe('…f{"a": 1}<|im_end|>')
    const dropped = encode([{ messages: [...row.messages, user('b'), assistant('c')] }, row], {}, chatty(call('')))
    expect(dropped.warnings).toEqual([
      'the chat template does not render tool_calls: they are not learnt (2 rows of rows)',
    ])
  })
})

describe('other rows', () => {
  it('learns every token of a text, and EOS', () => {
    expect(one({ text: 'abc' })).toBe('…bc<|im_end|>')
    expect(one({ text: 'abc' }, { eos: false })).toBe('…bc')
    expect(() => encode([{ text: '' }])).toThrow('rows[0]: given an empty text; expected at least one token to learn')
  })
  it('lays an instruction out as Alpaca, or as a chat', () => {
    const row = { instruction: 'Do.', input: 'this', output: ' yes' }
    const shown = (given: Example, options: Partial<EncodeOptions> = {}): string =>
      text(encode([given], options).samples[0]!.ids)
    expect(one(row)).toBe('… yes<|im_end|>')
    expect(shown(row)).toMatch(
      /further context.*\n\n### Instruction:\nDo\.\n\n### Input:\nthis\n\n### Response: yes<\|im_end\|>$/s,
    )
    expect(shown({ instruction: 'Do.', output: ' yes' })).toMatch(
      /a task\. Write.*\n\n### Instruction:\nDo\.\n\n### Response: yes<\|im_end\|>$/s,
    )
    expect(shown(row, { chat: true, system: 's' })).toBe(
      '<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nDo.\n\nthis<|im_end|>\n<|im_start|>assistant\n yes<|im_end|>',
    )
  })
  it('takes rows of every kind at once', () =>
    expect(encode([chat, { text: 'abc' }, { prompt: 'a', completion: 'b' }]).summary.rows).toBe(3))
})

describe('what is said of it', () => {
  const long = { messages: [user('a'), assistant('b'.repeat(60))] }
  it('counts rows and tokens', () => {
    const { samples, summary, warnings } = encode([chat, long])
    const lengths = samples.map(({ ids }) => ids.length)
    expect(summary).toEqual({
      rows: 2,
      tokens: lengths[0]! + lengths[1]!,
      targets: 4 + 61,
      longest: Math.max(...lengths),
    })
    expect(warnings).toEqual([])
  })
  it('says which rows were cut, and what was lost', () => {
    const room = encode([chat]).summary.tokens
    const length = encode([long]).summary.tokens
    const cut = encode([chat, long, chat, long], { maxLength: room, truncate: 'keep-start' })
    expect(cut).toMatchObject({
      truncated: 2,
      cutSources: [1, 3],
      lostTokens: 2 * (length - room),
      lostTargets: 2 * (length - room),
    })
    expect(cut.summary).toMatchObject({ rows: 4, tokens: 4 * room, longest: room })
    expect(() => encode([chat, long], { maxLength: room, name: 'x' })).toThrow(`x[1]: given ${length} tokens`)
    expect(() => encode([long], { maxLength: 10, truncate: 'keep-start', name: 'x' })).toThrow(
      "x[0]: given no token of the assistant's turns in the 10 that are kept; expected at least one token to learn",
    )
    expect(encode([long], { maxLength: 10, truncate: 'keep-end' })).toMatchObject({ lostTargets: 61 - 9 })
  })
  it('warns where EOS alone does not end what is learnt', () => {
    const by = chatty(turns, { 'tokenizer.ggml.eos_token_id': 0 })
    expect(encode([chat, chat], {}, by).warnings).toEqual([
      "the chat template ends a turn with <|im_end|> and the tokenizer's EOS is <|endoftext|>: generating has to stop at <|im_end|> too (2 rows of rows)",
    ])
  })
  it('warns where generating opens an answer otherwise', () => {
    const opens = turns.replace("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'")
    const { samples, warnings } = encode([chat], {}, chatty(opens))
    expect(learnt(samples[0]!)).toBe('…b<|im_end|>… yes<|im_end|>')
    expect(warnings).toEqual([expect.stringContaining('opens an answer otherwise when it is generated')])
  })
  it('keeps EOS in the loss where padding is EOS too', () => {
    const { samples } = encode([chat, long], {}, chatty(turns, { 'tokenizer.ggml.padding_token_id': 2 }))
    const { labels, mask } = collate(samples, { padId: 2 })
    const ends = labels.map((row) => row.filter((label) => label === 2).length)
    expect(ends).toEqual([2, 1])
    expect(labels.flatMap((row, b) => row.filter((label, t) => mask[b]![t] === 0 && label !== IGNORED))).toEqual([])
  })
  it('takes a date for templates that write one', () => {
    const dated = `{{ strftime_now('%Y') }}${turns}`
    const years = [2020, 2030].map((year) =>
      text(encode([chat], { now: new Date(year, 5) }, chatty(dated)).samples[0]!.ids).slice(0, 4),
    )
    expect(years).toEqual(['2020', '2030'])
    expect(encode([chat], { now: new Date() }, chatty(dated)).warnings).toEqual([])
    expect(encode([chat, chat], {}, chatty(dated)).warnings).toEqual([expect.stringContaining("writes today's date")])
  })
})
