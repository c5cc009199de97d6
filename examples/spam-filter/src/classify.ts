import { forward, type Tuned } from '@graftjs/core'
import { padRows } from '@graftjs/models'
import { gather, scope, tensor } from '@graftjs/tensor'
import type { Label, Mail } from './mails.ts'

/** What of a mail the model reads: enough to tell, and short enough for a laptop. */
const MAIL_TOKENS = 80

interface Coder {
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[]
  decode(ids: readonly number[]): string
}

/** The question put to the model about each mail; its answer is one word. */
export const question = (tokenizer: Coder, mail: Mail): { prompt: string; completion: string } => {
  const start = tokenizer
    .decode(tokenizer.encode(mail.text, { addSpecialTokens: false }).slice(0, MAIL_TOKENS))
    .replace(/\uFFFD+$/, '')
  return { prompt: `Mail:\n${start}\n\nQuestion: Is this mail spam or ham?\nAnswer:`, completion: ` ${mail.label}` }
}

/** The likelier of the two words after each prompt. */
export const classify = (
  tuned: Tuned,
  tokenizer: Coder,
  mails: readonly Mail[],
  onProgress: (done: number) => void = () => {},
  batchSize = 16,
): Label[] => {
  const [spam, ham] = [' spam', ' ham'].map((word) => tokenizer.encode(word, { addSpecialTokens: false })[0]!)
  const answers: Label[] = []
  for (let at = 0; at < mails.length; at += batchSize) {
    const prompts = mails
      .slice(at, at + batchSize)
      .map((mail) => tokenizer.encode(question(tokenizer, mail).prompt, { addSpecialTokens: false }))
    const scores = scope(() => {
      const last = forward(tuned, padRows(prompts, 0, 'left')).logits(-1) // [B, 1, V]
      return gather(last, tensor([spam!, ham!], [2], 'int32'), 2).dataSync()
    })
    prompts.forEach((_, i) => answers.push(scores[2 * i]! > scores[2 * i + 1]! ? 'spam' : 'ham'))
    onProgress(answers.length)
  }
  return answers
}

/** Share of right answers with its standard error. */
export const accuracy = (
  answers: readonly Label[],
  mails: readonly Mail[],
): { mean: number; standardError: number } => {
  const mean = answers.filter((a, i) => a === mails[i]!.label).length / mails.length
  return { mean, standardError: Math.sqrt((mean * (1 - mean)) / Math.max(1, mails.length - 1)) }
}
