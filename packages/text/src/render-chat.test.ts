import { describe, expect, it } from 'vitest'
import { renderChat, renderChatSpans } from './render-chat.ts'

const messages = [
  { role: 'user', content: 'What?' },
  { role: 'assistant', content: 'That.' },
]

describe('renderChat', () => {
  it('trims blocks as transformers does', () => {
    const template = '{% for m in messages %}\n  {% if loop.first %}\nfirst\n  {% endif %}\n{{ m.role }}\n{% endfor %}'
    expect(renderChat(template, { messages })).toBe('first\nuser\nassistant\n')
  })
  it('has range, namespace, tojson and the date', () => {
    expect(renderChat('{{ range(3)|list }} {{ range(5, 1, -2)|list }} {{ range(2, 0)|list }}', {})).toBe(
      '[0, 1, 2] [5, 3] []',
    )
    expect(
      renderChat('{% set n = namespace(i=0) %}{% for m in messages %}{% set n.i = n.i + 1 %}{% endfor %}{{ n.i }}', {
        messages,
      }),
    ).toBe('2')
    expect(renderChat('{{ tools|tojson }}', { tools: [{ a: 'ü' }] })).toBe('[{"a": "ü"}]')
    const now = new Date(2026, 2, 4, 15, 6, 7)
    expect(renderChat("{{ strftime_now('%d %B %Y %b %A %a %H %I %M %S %p %y %m %% %q') }}", {}, { now })).toBe(
      '04 March 2026 Mar Wednesday Wed 15 03 06 07 PM 26 03 % %q',
    )
  })
  it('hands on what the template refuses', () => {
    expect(() => renderChat("{{ raise_exception('roles must alternate') }}", {})).toThrow(
      expect.objectContaining({ code: 'chat-template', message: expect.stringContaining('roles must alternate') }),
    )
  })
  it.each(['{% if %}', '{{ 1|nosuch }}', '{{ nothing.at.all() }}', '{% for x in 3 %}{% endfor %}'])(
    'names a broken template: %s',
    (template) => expect(() => renderChat(template, {})).toThrow(expect.objectContaining({ code: 'bad-template' })),
  )
  it('gives a template plain data and no functions of ours', () => {
    const call = () => {
      throw new Error('called')
    }
    expect(renderChat('{{ f is defined }} {{ o.g is defined }}', { f: call, o: { g: call } })).toBe('false false')
    const loop: Record<string, unknown> = {}
    loop.self = loop
    expect(() => renderChat('x', { loop })).toThrow(/messages: given .*circular.*; expected plain data/is)
  })
})

describe('renderChatSpans', () => {
  const spans = (template: string): string[] | undefined => {
    const { text, generated } = renderChatSpans(template, { messages })
    expect(text).toBe(renderChat(template, { messages }))
    return generated?.map(([start, end]) => text.slice(start, end))
  }
  const each = (body: string): string => `{% for m in messages %}${body}{% endfor %}`
  it('tells what generation blocks rendered', () => {
    expect(
      spans(
        each(
          '<{{ m.role }}>{% if m.role == "assistant" %}{% generation %}{{ m.content }}<end>{% endgeneration %}{% endif %}',
        ),
      ),
    ).toEqual(['That.<end>'])
    expect(spans('{% generation %}é🙂{% endgeneration %}-{% generation %}b{% endgeneration %}')).toEqual(['é🙂', 'b'])
    expect(spans('{% generation %}{% endgeneration %}a')).toEqual([''])
    expect(spans(each('{{ m.content }}'))).toBeUndefined()
    expect(spans('{# {% generation %} is only spoken of #}a')).toEqual([])
  })
  it('treats white space round the tags as round any other', () => {
    expect(renderChatSpans('a\n  {%- generation -%}\n b \n{%- endgeneration -%}\n c', {})).toEqual({
      text: 'abc',
      generated: [[1, 2]],
    })
    expect(renderChatSpans('a\n  {% generation %}\n b\n  {% endgeneration %}\nc', {})).toEqual({
      text: 'a\n b\nc',
      generated: [[2, 5]],
    })
  })
  it('gives a block a scope of its own, as transformers does', () =>
    expect(renderChat('{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}', {})).toBe(
      '21',
    ))
  it('takes texts that hold private-use characters', () =>
    expect(renderChatSpans('{% generation %}{{ a }}{% endgeneration %}\uE000', { a: '\uE000\uE001' })).toEqual({
      text: '\uE000\uE001\uE000',
      generated: [[0, 2]],
    }))
  it.each([
    ['inside each other', '{% generation %}a{% generation %}b{% endgeneration %}{% endgeneration %}'],
    ['measured', '{% set x %}{% generation %}ab{% endgeneration %}{% endset %}{{ x|length }}{{ x }}'],
    ['thrown away', '{% set x %}{% generation %}ab{% endgeneration %}{% endset %}c'],
    ['cut', '{% set x %}{% generation %}ab{% endgeneration %}{% endset %}{{ x[1:] }}'],
    ['written twice', '{% set x %}{% generation %}ab{% endgeneration %}{% endset %}{{ x }}{{ x }}'],
  ])('refuses blocks that are %s', (_, template) =>
    expect(() => renderChatSpans(template, {})).toThrow(expect.objectContaining({ code: 'bad-template' })),
  )
})

describe('as Python does it', () => {
  it('strips the characters that are given, and white space as Python knows it', () => {
    const strips = "{{ a.strip('\\n') }}|{{ a.lstrip('\\n') }}|{{ a.rstrip('\\n ') }}|{{ a.strip() }}|{{ a|trim }}"
    expect(renderChat(strips, { a: '\n  x \n' })).toBe('  x |  x \n|\n  x|x|x')
    expect(renderChat('[{{ a|trim }}]', { a: '\x1c\x85\u3000\uFEFFx\uFEFF\u2003' })).toBe('[\uFEFFx\uFEFF]')
    expect(renderChat("{{ a.strip('🌾') }}", { a: '🌾x🌾🌾' })).toBe('x')
  })
  it('adds no text to anything else', () => {
    expect(renderChat("{{ 'a' + 'b' }}{{ 1 + 2 }}{{ [1] + [2] }}", {})).toBe('ab3[1, 2]')
    for (const sum of ["'a' + 1", "1 + 'a'", "'a' + {}", "'a' + none", "'a' + nothing"])
      expect(() => renderChat(`{{ ${sum} }}`, {}), sum).toThrow(expect.objectContaining({ code: 'bad-template' }))
  })
  it('reads a template with CR LF as one with LF', () =>
    expect(renderChat('{% if true %}\r\n  a\r\n{% endif %}\r\nb', {})).toBe('  a\nb'))
})

describe('a hostile template', () => {
  const doubled = "{% set n = namespace(s='aaaaaaaaaa') %}{% for i in range(16) %}{% set n.s = n.s + n.s %}{% endfor %}"
  const hostile: [string, string][] = [
    ['a long range', '{{ range(10000000)|length }}'],
    ['an endless range', '{{ range(0, 1, 0)|length }}'],
    ['nested loops', '{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}'],
    ['doubling text', `${doubled}{% for i in range(9) %}{% set n.s = n.s + n.s %}{% endfor %}`],
    ['doubling lists', '{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}'],
    ['indent', "{{ 'a\nb'|indent(20000000) }}"],
    ['replacing', `${doubled}{{ n.s|replace('a', n.s) }}`],
    ['joining', `${doubled}{{ range(100000)|join(n.s) }}`],
    ['much output', `${doubled}{% for i in range(100000) %}{{ n.s }}{% endfor %}`],
    ['sorting', '{% set x = range(100000) %}{% for i in range(1000) %}{{ (x|sort)|length }}{% endfor %}'],
    ['looking up', '{% set x = range(100000) %}{% for i in range(1000) %}{{ 5 in x }}{% endfor %}'],
    ['slicing', '{% set x = range(100000) %}{% for i in range(1000) %}{{ x[1:]|length }}{% endfor %}'],
    ['methods', `${doubled}{% for i in range(100000) %}{{ n.s.upper()|length }}{% endfor %}`],
    ['parentheses', `{{ ${'('.repeat(5000)}1${')'.repeat(5000)} }}`],
    ['depth', `{{ ${'1+'.repeat(300)}1 }}`],
    ['endless recursion', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
    ['a long source', 'x'.repeat(1_000_001)],
    ['white space', `a${' '.repeat(900_000)}b`],
    ['white space in pieces', `a${' '.repeat(1000)}b`.repeat(900)],
    [
      'macros defined in a loop',
      `{% for i in range(100000) %}{% macro f() %}${'{{ a }}'.repeat(2000)}{% endmacro %}{% endfor %}`,
    ],
    ['splitting', `${doubled}{% for i in range(100000) %}{{ n.s.split('a')|length }}{% endfor %}`],
    ['stripping', `${doubled}{% for i in range(100000) %}{{ n.s.strip('a')|length }}{% endfor %}`],
    ['many tags', '{% if a %}'.repeat(90_000)],
    ['a way out', "{{ ''.constructor.constructor('return process')().exit() }}"],
  ]
  it.each(hostile)('is stopped: %s', (_, template) => {
    const start = performance.now()
    expect(() => renderChat(template, { messages })).toThrow(expect.objectContaining({ name: 'GraftError' }))
    // The aim is 200 ms; a busy machine gets some room.
    expect(performance.now() - start).toBeLessThan(1500)
  })
  it.each(hostile)('is stopped inside a generation block: %s', (_, template) => {
    const start = performance.now()
    const inside = `{% generation %}${template}{% endgeneration %}`
    expect(() => renderChatSpans(inside, { messages })).toThrow(expect.objectContaining({ name: 'GraftError' }))
    expect(performance.now() - start).toBeLessThan(1500)
  })
  it('is stopped where generation blocks are what it has many of', () => {
    for (const template of [
      '{% for i in range(100000) %}{% generation %}{% for j in range(100) %}{% endfor %}{% endgeneration %}{% endfor %}',
      '{% generation %}'.repeat(300) + '{% endgeneration %}'.repeat(300),
      '{% generation %}',
      '{% endgeneration %}',
    ])
      expect(() => renderChatSpans(template, {})).toThrow(expect.objectContaining({ name: 'GraftError' }))
  })
  it('leaves an honest long chat far below the budget', () => {
    const long = Array.from({ length: 200 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: 'word '.repeat(200),
    }))
    const template = "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}"
    expect(renderChat(template, { messages: long }, { steps: 10_000 })).toHaveLength(200 * 1000 + 100 * 6 + 100 * 11)
  })
})
