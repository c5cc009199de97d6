import { appendFile, readFile } from 'node:fs/promises'
import { atomicWrite } from '@graftjs/files'
import type { StepReport } from '@graftjs/trainer'

/** log.jsonl: a line a step. A run that is taken up after `step` writes the lines behind it again. */
export const trainingLog = (path: string) => ({
  start: async (step = 0): Promise<void> => {
    const before = step === 0 ? '' : await readFile(path, 'utf8').catch(() => '')
    const kept = before.split('\n').filter((line) => stepOf(line) <= step)
    await atomicWrite(path, new TextEncoder().encode(kept.map((line) => `${line}\n`).join('')))
  },
  add: (report: StepReport): Promise<void> => appendFile(path, `${JSON.stringify(report)}\n`),
})

/** No step for a line that a kill cut off. */
const stepOf = (line: string): number => {
  try {
    return (JSON.parse(line) as StepReport).step
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
