import type { Instruction } from './example.ts'

/** The layout of Stanford Alpaca (Taori et al. 2023): what stands before the output, which follows without a space. */
export const alpacaPrompt = ({ instruction, input = '' }: Instruction): string =>
  input === ''
    ? `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`
