import type { Tuned } from '@graftjs/core'
import { generate, type LoadedModel } from '@graftjs/models'
import type { Continuation } from '@graftjs/trainer'
import { endOfTurnIds, eosIds, tooLong } from './answer.ts'
import { tokenizerOf } from './commands/open-model.ts'

export interface ContinuationsOptions {
  readonly prompts: readonly string[]
  /** Puts the prompts through the chat template, as the rows were. */
  readonly chat: boolean
  readonly system?: string | undefined
  readonly maxNewTokens: number
}

/** What the model says to each prompt as it stands, the likeliest token each time. */
export const continuations = (
  model: LoadedModel,
  { prompts, chat, system, maxNewTokens }: ContinuationsOptions,
): ((tuned: Tuned) => Promise<Continuation[]>) => {
  const tokenizer = tokenizerOf(model)
  const context = model.config.maxPositionEmbeddings
  const opening = system === undefined ? [] : [{ role: 'system', content: system }]
  const rows = prompts.map((prompt, i) => {
    const ids = chat
      ? tokenizer.encodeChat([...opening, { role: 'user', content: prompt }], { addGenerationPrompt: true })
      : tokenizer.encode(prompt)
    if (ids.length >= context) throw tooLong(`evaluation.prompts[${i}]`, ids.length, context)
    return ids
  })
  const stopIds = chat ? endOfTurnIds(tokenizer) : eosIds(tokenizer)
  return async (tuned) => {
    const said: Continuation[] = []
    for (const [i, row] of rows.entries()) {
      const room = Math.min(maxNewTokens, context - row.length)
      const [ids] = await generate(tuned, [row], { maxNewTokens: room, stopIds })
      said.push({ prompt: prompts[i]!, text: tokenizer.decode(ids!, { skipSpecialTokens: true }) })
    }
    return said
  }
}
