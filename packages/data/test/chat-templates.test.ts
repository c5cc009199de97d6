import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { random } from '@graftjs/tensor'
import { type ChatMessage, renderChat, type Span, type Tokenizer } from '@graftjs/text'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeExamples, IGNORED } from '../src/index.ts'
import { templateTokenizer } from './template-tokenizer.test-util.ts'
import { templateSource, trlWheel } from './trl-templates.test-util.ts'

interface Case {
  readonly refused?: string
  readonly sha256: string
  readonly length: number
  readonly spans?: readonly Span[]
}
interface Template {
  readonly sha256: string
  readonly bos: string
  readonly eos: string
  readonly cases: Readonly<Record<string, Case>>
}
interface Chat {
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly object[]
}
/** What transformers renders: made by tooling/oracle/chat_templates.py. */
const fixture: {
  readonly wheel: { readonly name: string; readonly sha256: string }
  readonly now: string
  readonly conversations: Readonly<Record<string, Chat>>
  readonly templates: Readonly<Record<string, Template>>
} = JSON.parse(readFileSync(new URL('../fixtures/chat-templates.json', import.meta.url), 'utf8'))
const names = Object.keys(fixture.templates)
const now = new Date(fixture.now)

const wheel = await trlWheel(fixture.wheel).catch((cause: Error) => cause)
if (wheel instanceof Error && (process.env.GRAFT_CI || process.env.CI)) throw wheel
const sources = new Map<string, string>()
if (!(wheel instanceof Error)) for (const name of names) sources.set(name, await templateSource(wheel, name))

beforeEach((context) =>
  context.skip(wheel instanceof Error, 'the chat templates in the PyPI wheel trl 1.16.0 are out of reach'),
)

const tokenizerOf = (name: string): Tokenizer => {
  const { bos, eos } = fixture.templates[name]!
  return templateTokenizer(sources.get(name)!, bos, eos)
}
const options = ({ tools }: Chat) => ({ now, ...(tools && { tools }) })

/** What is learnt of a chat, a text for each run of learnt tokens. */
const learnt = (tokenizer: Tokenizer, chat: Chat): string[] => {
  const [sample] = encodeExamples(tokenizer, [chat], { maxLength: 1e6, now }).samples
  const runs: number[][] = []
  sample!.labels.forEach((label, t) => {
    if (label === IGNORED) return
    if (t === 0 || sample!.labels[t - 1] === IGNORED) runs.push([])
    runs.at(-1)!.push(label)
  })
  return runs.map((run) => tokenizer.decode(run))
}

describe.each(names)('the chat template %s', (name) => {
  const { cases, sha256 } = fixture.templates[name]!
  it('is the one that Python rendered', () =>
    expect(createHash('sha256').update(sources.get(name)!).digest('hex')).toBe(sha256))
  it('works within a hundredth of the budget', () => {
    const { bos, eos } = fixture.templates[name]!
    for (const title of Object.keys(cases).filter((key) => !cases[key]!.refused)) {
      const { messages, tools = null } = fixture.conversations[title]!
      const variables = { messages, tools, add_generation_prompt: true, bos_token: bos, eos_token: eos }
      expect(renderChat(sources.get(name)!, variables, { now, steps: 10_000 }).length, title).toBeGreaterThan(0)
    }
  })
  it.each(Object.keys(cases))('renders as in Python: %s', (title) => {
    const [chat, wanted] = [fixture.conversations[title]!, cases[title]!]
    const tokenizer = tokenizerOf(name)
    if (wanted.refused) {
      expect(() => tokenizer.applyChatSpans(chat.messages, options(chat))).toThrow(
        expect.objectContaining({ name: 'GraftError' }),
      )
      return
    }
    const { text, generated } = tokenizer.applyChatSpans(chat.messages, options(chat))
    expect([text.length, createHash('sha256').update(text).digest('hex')]).toEqual([wanted.length, wanted.sha256])
    expect(generated).toEqual(wanted.spans)
  })
  if (Object.values(cases).some(({ spans }) => spans))
    it.each(Object.keys(cases).filter((title) => cases[title]!.spans))(
      'learns what transformers marks: %s',
      (title) => {
        const chat = fixture.conversations[title]!
        const tokenizer = tokenizerOf(name)
        const { text } = tokenizer.applyChatSpans(chat.messages, options(chat))
        const marked = cases[title]!.spans!.map(([start, end]) => endedAt(tokenizer, text.slice(start, end)))
        // EOS is put where the conversation ends without a special token.
        const said = learnt(tokenizer, chat).join('')
        expect([marked.join(''), marked.join('') + fixture.templates[name]!.eos]).toContain(said)
      },
    )
})

/** Without the white space behind an end token: nobody has to generate it. */
const endedAt = (tokenizer: Tokenizer, text: string): string => {
  const trimmed = text.trimEnd()
  const last = tokenizer.encode(trimmed, { addSpecialTokens: false }).at(-1)
  return last !== undefined && tokenizer.isSpecial(last) ? trimmed : text
}

interface Family {
  /** What ends a turn, and the last one where it is another. */
  readonly end: string
  readonly lastEnd?: string
  /** What stands before the words of a turn, and of the last one where it is other. */
  readonly opening?: string
  readonly lastOpening?: string
  /** The template strips white space off what is said. */
  readonly trims?: true
  /** Conversations said otherwise than the above has it: each turn in full. */
  readonly exactly?: Readonly<Record<string, readonly string[]>>
}
const qwenCall = '<tool_call>\n{"name": "find_mill", "arguments": {"place": "Ulm", "count": 2}}\n</tool_call><|im_end|>'
const llamaCall = '{"name": "find_mill", "parameters": {"place": "Ulm", "count": 2}}<|eot_id|>'
const none = '<think>\n\n</think>\n\n'

/** What templates without marks make of a turn, written down by hand. */
const families: Readonly<Record<string, Family>> = {
  cohere: { end: '<|END_OF_TURN_TOKEN|>', trims: true },
  cohere2: { end: '<|END_RESPONSE|><|END_OF_TURN_TOKEN|>' },
  deepseekv3: {
    end: '<｜end▁of▁sentence｜>',
    exactly: { 'thinking in the text': ['\n\n4<｜end▁of▁sentence｜>', '\n\n6<｜end▁of▁sentence｜>'] },
  },
  gemma: { end: '<end_of_turn>', trims: true },
  gemma3: { end: '<end_of_turn>', trims: true },
  glm4moe: {
    end: '',
    lastEnd: '<|endoftext|>',
    opening: '\n<think></think>\n',
    trims: true,
    exactly: {
      thinking: ['\n<think></think>\n4', '\n<think>Three and three.</think>\n6<|endoftext|>'],
      'thinking in the text': ['\n<think></think>\n4', '\n<think>Three and three.</think>\n6<|endoftext|>'],
    },
  },
  gptoss: {
    end: '<|end|>',
    lastEnd: '<|return|>',
    opening: '<|channel|>final<|message|>',
    exactly: {
      'ends with the user': ['<|channel|>final<|message|>One.<|end|>'],
      thinking: [
        '<|channel|>final<|message|>4<|end|>',
        '<|channel|>analysis<|message|>Three and three.<|end|><|start|>assistant<|channel|>final<|message|>6<|return|>',
      ],
      'tool call': [
        ' to=functions.find_mill<|channel|>commentary json<|message|>{"place": "Ulm", "count": 2}<|call|>',
        '<|channel|>final<|message|>The Söflinger Mühle.<|end|>',
        '<|channel|>final<|message|>You are welcome.<|return|>',
      ],
    },
  },
  lfm2: { end: '<|im_end|>' },
  lfm2_v2: {
    end: '<|im_end|>',
    exactly: {
      'tool call': [
        "<|tool_call_start|>[find_mill(place='Ulm', count=2)]<|tool_call_end|><|im_end|>",
        'The Söflinger Mühle.<|im_end|>',
        'You are welcome.<|im_end|>',
      ],
    },
  },
  llama3: { end: '<|eot_id|>', trims: true },
  llama3_1: {
    end: '<|eot_id|>',
    trims: true,
    exactly: { 'tool call': [llamaCall, 'The Söflinger Mühle.<|eot_id|>', 'You are welcome.<|eot_id|>'] },
  },
  llama3_2: {
    end: '<|eot_id|>',
    trims: true,
    exactly: { 'tool call': [llamaCall, 'The Söflinger Mühle.<|eot_id|>', 'You are welcome.<|eot_id|>'] },
  },
  // The tokenizer's EOS, which Phi-3 writes after all, is no part of the turn.
  phi3: { end: '<|end|>' },
  phi3_5: { end: '<|end|>' },
  qwen2_5: {
    end: '<|im_end|>',
    exactly: { 'tool call': [qwenCall, 'The Söflinger Mühle.<|im_end|>', 'You are welcome.<|im_end|>'] },
  },
  qwen3_instruct_2507: {
    end: '<|im_end|>',
    exactly: { 'tool call': [qwenCall, 'The Söflinger Mühle.<|im_end|>', 'You are welcome.<|im_end|>'] },
  },
  qwen3: {
    end: '<|im_end|>',
    lastOpening: none,
    exactly: {
      'ends with the user': ['One.<|im_end|>'],
      'white space': ['\n  leading and trailing \n\n<|im_end|>', `${none} x <|im_end|>`],
      'tool call': [qwenCall, 'The Söflinger Mühle.<|im_end|>', `${none}You are welcome.<|im_end|>`],
      thinking: ['4<|im_end|>', '<think>\nThree and three.\n</think>\n\n6<|im_end|>'],
      'thinking in the text': ['4<|im_end|>', '<think>\nThree and three.\n</think>\n\n6<|im_end|>'],
    },
  },
  // Its generation prompt ends with `<think>\n`, which the last turn then closes; earlier turns open without it.
  qwen3_5_think: {
    end: '<|im_end|>',
    lastOpening: '\n</think>\n\n',
    trims: true,
    exactly: {
      'ends with the user': ['One.<|im_end|>'],
      'tool call': [
        '<tool_call>\n<function=find_mill>\n<parameter=place>\nUlm\n</parameter>\n<parameter=count>\n2\n</parameter>\n</function>\n</tool_call><|im_end|>',
        'The Söflinger Mühle.<|im_end|>',
        '\n</think>\n\nYou are welcome.<|im_end|>',
      ],
      thinking: ['4<|im_end|>', 'Three and three.\n</think>\n\n6<|im_end|>'],
      'thinking in the text': ['4<|im_end|>', 'Three and three.\n</think>\n\n6<|im_end|>'],
    },
  },
  smolvlm: { end: '<end_of_utterance>', opening: ' ' },
}

const said = ({ content }: ChatMessage): string =>
  Array.isArray(content) ? (content[0] as { text: string }).text : ((content as string) ?? '')

/** The assistant's turns in full, as a template without marks has them. */
const turnsOf = ({ messages }: Chat, family: Family): string[] => {
  const { end, lastEnd = end, opening = '', lastOpening = opening, trims } = family
  const turns = messages.filter(({ role }) => role === 'assistant').map(said)
  const endsWithIt = messages.at(-1)!.role === 'assistant'
  return turns.map((text, i) => {
    const last = i === turns.length - 1
    return `${last && endsWithIt ? lastOpening : opening}${trims ? text.trim() : text}${last ? lastEnd : end}`
  })
}

describe.each(Object.keys(families))('of a chat by %s, which has no marks,', (name) => {
  const family = families[name]!
  const { cases } = fixture.templates[name]!
  const told = (title: string): boolean =>
    !cases[title]!.refused && (title !== 'tool call' || family.exactly?.['tool call'] !== undefined)
  it.each(Object.keys(cases).filter(told))(
    'what is learnt is what the assistant says and what ends its turn: %s',
    (title) => {
      const chat = fixture.conversations[title]!
      expect(learnt(tokenizerOf(name), chat)).toEqual(family.exactly?.[title] ?? turnsOf(chat, family))
    },
  )
})
/** Words that look like the template's own, that merge over seams, and that say the same again and again. */
const oddChats = (n: number, tokens: readonly string[]): Chat[] => {
  const draw = random(17, 'chats')
  const parts = [' yes', 'yes', 'a', '12', '🙂', 'é', '\n', 'x', 'assistant', 'user\n', '<think>', ...tokens]
  const words = (): string =>
    `.${Array.from({ length: 1 + draw.int(6) }, () => parts[draw.int(parts.length)]).join('')}.`
  return Array.from({ length: n }, () => ({
    messages: Array.from({ length: 2 * (1 + draw.int(3)) }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: words(),
    })),
  }))
}

it.each([
  ['llama3', ['<|eot_id|>', '<|start_header_id|>assistant<|end_header_id|>\n\n']],
  ['qwen3', ['<|im_end|>', '<|im_start|>assistant\n', '<|im_end|>\n<|im_start|>assistant\n']],
  ['qwen2_5', ['<|im_end|>\n', '<|im_start|>assistant\n', '<|im_start|>']],
  ['phi3', ['<|end|>', '<|endoftext|>', '<|assistant|>\n']],
  ['gptoss', ['<|end|>', '<|return|>', '<|start|>assistant']],
  ['gemma3', ['<end_of_turn>\n', '<start_of_turn>model\n']],
] as const)('finds the turns of %s where people write its own tokens', (name, tokens) => {
  const family = families[name]!
  const tokenizer = tokenizerOf(name)
  for (const chat of oddChats(60, tokens)) {
    // A turn whose text has a <think> is split at the end of it, which none of these has.
    const wanted = turnsOf(chat, family)
    expect(learnt(tokenizer, chat)).toEqual(wanted)
  }
})
