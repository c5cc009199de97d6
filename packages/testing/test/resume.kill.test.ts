import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newestCheckpoint } from '@graftjs/files'
import { random } from '@graftjs/tensor'
import { afterAll, expect, it } from 'vitest'

const program = fileURLToPath(new URL('./support/resume-child.ts', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'graft-kill-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const whole = process.env.GRAFT_MATRIX === 'whole'
const kills = whole ? 200 : 20
/** So many that the kills end before they do: a round of up to 120 ms makes about two. */
const steps = 10 + 2 * kills

/** When to kill: so many milliseconds after the first step is under way, or as the nth file of a checkpoint is opened. */
type When = { readonly ms: number } | { readonly file: number }

/** Lets a process train, kills it, and returns all that it said. */
const trainUntil = (checkpoints: string, out: string, when?: When): Promise<string[]> =>
  new Promise((resolve) => {
    const args = ['--conditions=@graftjs/source', '--disable-warning=ExperimentalWarning', program]
    const child = spawn(process.execPath, [...args, checkpoints, out, String(steps)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    let armed = false
    child.stdout.on('data', (data: Buffer) => {
      text += data
      const lines = text.split('\n')
      if (when && 'file' in when && lines.filter((line) => line === 'writing').length >= when.file)
        child.kill('SIGKILL')
      if (when && 'ms' in when && !armed && lines.length > 1) {
        armed = true
        setTimeout(() => child.kill('SIGKILL'), when.ms)
      }
    })
    child.on('close', () => resolve(text.trim().split('\n')))
  })

const numbersAfter = (word: string, lines: readonly string[]): number[] =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.slice(word.length)))

it(`killed ${kills} times, no checkpoint is lost and the adapter is the same byte for byte`, {
  timeout: kills * 10_000,
}, async () => {
  const [checkpoints, out] = [join(dir, 'checkpoints'), join(dir, 'out')]
  await trainUntil(join(dir, 'straight-checkpoints'), join(dir, 'straight'))
  const draw = random(7, 'kills')
  let [last, insideWrites, done] = [0, 0, 0]
  for (; done < kills; done++) {
    const when = done % 2 ? { file: 1 + draw.int(12) } : { ms: draw.int(120) }
    const lines = await trainUntil(checkpoints, out, when)
    const [from = 0] = numbersAfter('resumed', lines)
    expect(from).toBeGreaterThanOrEqual(last)
    const newest = await newestCheckpoint(checkpoints, () => insideWrites++)
    // What it said to be saved is there; what it had no time to say may be, too.
    last = Math.max(from, ...numbersAfter('saved', lines))
    expect(newest?.step ?? 0).toBeGreaterThanOrEqual(last)
    last = newest?.step ?? 0
    if (lines.includes('finished')) break
  }
  expect(done).toBeGreaterThanOrEqual(kills * 0.8)
  expect(insideWrites).toBeGreaterThan(kills / 10)
  const lines = await trainUntil(checkpoints, out)
  expect(lines.at(-1)).toBe('finished')
  if (whole)
    console.info(`${done} kills, ${insideWrites} of them inside a checkpoint, ${last} of ${steps} steps behind`)
  for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
    expect(readFileSync(join(out, file)).equals(readFileSync(join(dir, 'straight', file))), file).toBe(true)
  expect(readdirSync(checkpoints)).toHaveLength(2)
})
