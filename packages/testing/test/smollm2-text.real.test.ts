import { readFileSync } from 'node:fs'
import { fileSource, openGguf } from '@graftjs/files'
import { type ChatMessage, streamDecoder, type Tokenizer, tokenizerFromGguf } from '@graftjs/text'
import { beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

interface Text {
  readonly text: string
  readonly ids: number[]
}
interface Facts {
  readonly texts: Text[]
  readonly prompts: Text[]
  readonly chats: (Text & { readonly messages: ChatMessage[]; readonly addGenerationPrompt: boolean })[]
}

/** What tooling/oracle/smollm2_gguf.py recorded from transformers reading the same file. */
const facts = JSON.parse(readFileSync(`${fixtureDir('smollm2-135m-q4_1')}/expected.json`, 'utf8')) as Facts

// transformers drops `tokenizer.ggml.pre` when it reads a GGUF file, and with it SmolLM2's cut before each digit. That
// shows in digits beyond ASCII alone (no merge has an ASCII one); there the model's own tokenizer.json gives these ids.
const cutBeforeDigits: Readonly<Record<string, number[]>> = { '½ ¾ ²': [16738, 216, 43124, 216, 19133] }

describe('the tokenizer of SmolLM2-135M-Instruct out of its GGUF file', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    const source = await fileSource(process.env.GRAFT_MODEL ?? '')
    tokenizer = tokenizerFromGguf((await openGguf(source)).metadata)
    await source.close()
  })
  it('gives the ids of transformers and decodes them back', () => {
    for (const { text, ids } of [...facts.texts, ...facts.prompts]) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(cutBeforeDigits[text] ?? ids)
      expect(tokenizer.decode(ids)).toBe(text)
      const stream = streamDecoder(tokenizer, { skipSpecialTokens: false })
      expect(ids.map(stream.push).join('') + stream.flush()).toBe(text)
    }
    expect(facts.texts.length).toBeGreaterThan(50)
  })
  it('renders and encodes chats as transformers does', () => {
    for (const { messages, addGenerationPrompt, text, ids } of facts.chats) {
      expect(tokenizer.applyChat(messages, { addGenerationPrompt })).toBe(text)
      expect(tokenizer.encodeChat(messages, { addGenerationPrompt })).toEqual(ids)
    }
    expect(facts.chats.length).toBeGreaterThan(3)
  })
})
