import { tokenizerFromJson } from '@graftjs/text'
import { describe, expect, it } from 'vitest'
import { tinyJson } from '../../text/src/tiny-tokenizer.test-util.ts'
import { type ModelfileOptions, modelfile } from './modelfile.ts'

const { tokenizer: json, config } = tinyJson()
const withTemplate = (template: string, change: object = {}) =>
  tokenizerFromJson({ ...json, ...change }, config, template)

/** What Go's text/template makes of the templates that are written here: literals, contents, branches by role. */
const ollama = (template: string, messages: readonly { role: string; content: string }[]): string => {
  const [, begin, body, end] = /^(.*?)\{\{ range \.Messages \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)$/s.exec(template)!
  const literals = (text: string) =>
    text.replace(/\{\{ ("(?:[^"\\]|\\.)*") \}\}/g, (_, literal: string) => JSON.parse(literal) as string)
  const branches = new Map(
    [...body!.matchAll(/\{\{ (?:else )?if eq \.Role "(\w+)" \}\}(.*?)(?=\{\{ else if|$)/gs)].map(([, role, text]) => [
      role,
      text!,
    ]),
  )
  const parts = messages.map(({ role, content }) => {
    const [before, after] = branches.get(role)!.split('{{ .Content }}')
    return literals(before!) + content + literals(after!)
  })
  return literals(begin!) + parts.join('') + literals(end!)
}
const templateOf = (text: string): string => /TEMPLATE """(.*?)"""/s.exec(text)![1]!
const talk = [
  { role: 'system', content: 'S "x"' },
  { role: 'user', content: 'a\nb' },
  { role: 'assistant', content: 'c' },
  { role: 'user', content: 'd' },
]

const chatml =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
const smol = `{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}${chatml}`
const zephyr =
  "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '</s>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
const gemma =
  "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"

describe('modelfile', () => {
  it('FROM, ADAPTER, TEMPLATE, SYSTEM, PARAMETER, LICENSE', () => {
    const text = modelfile({
      from: './a.gguf',
      adapter: './lora.gguf',
      tokenizer: withTemplate(smol),
      stop: ['###'],
      parameters: { temperature: 0.7, num_ctx: 4096, stop: ['Q:'] },
      license: 'Apache-2.0',
    })
    expect(text).toBe(`FROM ./a.gguf
ADAPTER ./lora.gguf
TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}{{ "<|im_start|>system\\n" }}{{ .Content }}{{ "<|im_end|>\\n" }}{{ else if eq .Role "user" }}{{ "<|im_start|>user\\n" }}{{ .Content }}{{ "<|im_end|>\\n" }}{{ else if eq .Role "assistant" }}{{ "<|im_start|>assistant\\n" }}{{ .Content }}{{ "<|im_end|>\\n" }}{{ end }}{{ end }}{{ "<|im_start|>assistant\\n" }}"""
SYSTEM """You help."""
PARAMETER stop "<|im_end|>"
PARAMETER stop "###"
PARAMETER temperature 0.7
PARAMETER num_ctx 4096
PARAMETER stop "Q:"
LICENSE """Apache-2.0"""
`)
  })

  it.each([
    ['ChatML', chatml],
    ['ChatML with a system of its own', smol],
    ['Zephyr', zephyr],
  ])('%s: the same text as the chat template', (_, jinja) => {
    const tokenizer = withTemplate(jinja)
    const template = templateOf(modelfile({ from: 'm', tokenizer }))
    expect(ollama(template, talk)).toBe(tokenizer.applyChat(talk, { addGenerationPrompt: true }))
  })

  it('a template without a system, and a BOS that it writes where nobody adds one', () => {
    const tokenizer = withTemplate(gemma)
    const text = modelfile({ from: 'm', tokenizer })
    expect(text).not.toContain('"system"')
    expect(text).toContain('PARAMETER stop "<end_of_turn>"')
    expect(ollama(templateOf(text), talk.slice(1))).toBe(
      tokenizer.applyChat(talk.slice(1), { addGenerationPrompt: true }),
    )
    expect(templateOf(text)).toMatch(/^\{\{ "<\|im_start\|>" \}\}\{\{ range/)
  })

  it('a BOS that the tokenizer adds is left to Ollama', () => {
    const special = { SpecialToken: { id: '<|im_start|>', type_id: 0 } }
    const post_processor = {
      type: 'TemplateProcessing',
      single: [special, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [special, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<|im_start|>': { id: '<|im_start|>', ids: [1], tokens: ['<|im_start|>'] } },
    }
    expect(templateOf(modelfile({ from: 'm', tokenizer: withTemplate(gemma, { post_processor }) }))).toMatch(
      /^\{\{ range/,
    )
  })

  it('without a chat template, or with yours', () => {
    const { chat_template: _, ...plain } = config
    expect(modelfile({ from: 'm', tokenizer: tokenizerFromJson(json, plain) })).toBe('FROM m\n')
    expect(modelfile({ from: 'm', tokenizer: withTemplate(chatml), template: '{{ .Prompt }}' })).toBe(
      'FROM m\nTEMPLATE """{{ .Prompt }}"""\nPARAMETER stop "<|im_end|>"\n',
    )
  })

  it.each<[string, ModelfileOptions, RegExp]>([
    [
      'a template that says the date',
      { from: 'm', tokenizer: withTemplate(`{{ strftime_now('%Y') }}${chatml}`) },
      /says the date/,
    ],
    [
      'a template that leaves old answers out',
      { from: 'm', tokenizer: withTemplate('{{ messages[-1].content }}{% if add_generation_prompt %}A:{% endif %}') },
      /leaves messages out|chat template: given/,
    ],
    [
      'a template that writes the first question in another way',
      {
        from: 'm',
        tokenizer: withTemplate(
          "{% for m in messages %}{{ ('Q0 ' if loop.first else 'Q ') + m.content + ' ' }}{% endfor %}",
        ),
      },
      /chat template: given one that/,
    ],
    [
      'a template that refuses all',
      { from: 'm', tokenizer: withTemplate("{{ raise_exception('no') }}") },
      /refuses a conversation/,
    ],
    ['two lines in FROM', { from: 'a\nb' }, /^Modelfile: FROM: given "a\\nb"; expected a name or path of one line/],
    ['quotes in a text', { from: 'm', system: 'a """ b' }, /SYSTEM: given a text with """/],
    ['quotes in a stop', { from: 'm', stop: ['"'] }, /PARAMETER stop/],
    ['a name that is none', { from: 'm', parameters: { 'top p': 1 } }, /PARAMETER: given "top p"/],
  ])('%s is refused', (_, options, message) => {
    expect(() => modelfile(options)).toThrow(message)
  })
})
