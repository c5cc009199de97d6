import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { useSimd } from '@graftjs/kernels'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { onSignals } from '../src/on-signals.ts'
import { runCli } from './run-cli.ts'
import { writeTinyModel } from './tiny-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-cli-resume-'))
const at = (name: string): string => join(dir, name)
const bin = fileURLToPath(new URL('../bin/graft.mjs', import.meta.url))

const recipe = (name: string, training: object = {}, more: object = {}): string => {
  const whole = {
    format: 'graft-recipe',
    version: 1,
    model: at('model'),
    method: { name: 'lora', r: 2, targetModules: ['q_proj'], loraDropout: 0.3 },
    data: { train: at('rows.jsonl') },
    training: { steps: 40, batchSize: 1, accumulate: 2, learningRate: 0.02, seed: 7, ...training },
    out: at(`out-${name}`),
    ...more,
  }
  writeFileSync(at(`${name}.json`), JSON.stringify(whole))
  return at(`${name}.json`)
}
const adapter = (name: string): string => readFileSync(at(`out-${name}/adapter_model.safetensors`), 'hex')
const stepsLogged = (name: string): number[] =>
  readFileSync(at(`out-${name}/log.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; step: number })
    .filter(({ type }) => type === 'step')
    .map(({ step }) => step)

/** The command as its users start it; gets `signal` as soon as its first step is reported. */
const runBin = (
  args: readonly string[],
  { signal, env = {} }: { signal?: NodeJS.Signals; env?: NodeJS.ProcessEnv } = {},
): Promise<{ code: number | null; err: string; out: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...args], { env: { ...process.env, ...env } })
    let [out, err, sent] = ['', '', false]
    child.stdout.on('data', (data: Buffer) => {
      out += data
    })
    child.stderr.on('data', (data: Buffer) => {
      err += data
      if (!signal || sent || !err.includes('step 1/')) return
      sent = true
      child.kill(signal)
    })
    child.on('close', (code) => resolve({ code, err, out }))
  })

beforeAll(async () => {
  await useSimd({ threads: 2 })
  writeTinyModel(at('model'))
  const rows = ['hello world', 'hell no', 'he w', 'hello he', 'no world'].map((text) => text.split(' '))
  const lines = rows.map(([prompt, completion]) => JSON.stringify({ prompt, completion: ` ${completion}` }))
  writeFileSync(at('rows.jsonl'), lines.join('\n'))
  expect((await runCli('train', recipe('straight'))).code).toBe(0)
})
afterAll(() => rmSync(dir, { recursive: true }))

describe('graft train', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s leaves a checkpoint and exit code %d; --resume ends with the same adapter', async (signal, exit) => {
    const file = recipe(signal)
    const { code, err, out } = await runBin(['train', file, '--json'], { signal })
    expect(err).toMatch(
      new RegExp(`stopped by ${signal} after step \\d+; go on with: graft train .*${signal}\\.json --resume\n$`),
    )
    expect([code, out]).toEqual([exit, ''])
    expect(readdirSync(at(`out-${signal}`)).sort()).toEqual(['checkpoints', 'log.jsonl', 'report.html'])

    // Nobody throws an interrupted run away by forgetting an option.
    const again = await runCli('train', file)
    expect(again.code).toBe(1)
    expect(again.err).toMatch(
      /checkpoints: given a run that was interrupted after step \d+ of 40; expected --resume to go on/,
    )

    const resumed = await runCli('train', file, '--resume', '--json')
    expect(resumed.err).toMatch(/going on after step \d+, from .*step-000/)
    expect(resumed.code).toBe(0)
    expect((JSON.parse(resumed.out) as { losses: number[] }).losses).toHaveLength(40)
    expect(adapter(signal)).toBe(adapter('straight'))
    expect(stepsLogged(signal)).toEqual(stepsLogged('straight'))
  })

  it('goes on after kill -9 from the last checkpoint, and keeps as many as it is told', async () => {
    const file = recipe('killed', { checkpointEvery: 3, keepCheckpoints: 1 })
    // bin passes on what it can; this cannot be passed on, so the process itself is started.
    const program = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
    await new Promise((resolve) => {
      const child = spawn(process.execPath, ['--conditions=@graftjs/source', program, 'train', file])
      const watch = setInterval(() => {
        if (existsSync(at('out-killed/checkpoints/step-00000006/checkpoint.json'))) child.kill('SIGKILL')
      }, 1)
      child.on('close', resolve).on('close', () => clearInterval(watch))
    })
    writeFileSync(at('out-killed/log.jsonl'), '{"step": 7, "lo', { flag: 'a' })
    const { code, err } = await runCli('train', file, '--resume')
    expect(err).toContain('going on after step ')
    expect(code).toBe(0)
    expect(adapter('killed')).toBe(adapter('straight'))
    expect(stepsLogged('killed')).toEqual(stepsLogged('straight'))
    expect(readdirSync(at('out-killed/checkpoints'))).toEqual(['step-00000040'])

    // Finished: it may be made anew, and going on with it does nothing.
    expect((await runCli('train', file, '--resume')).code).toBe(0)
    expect((await runCli('train', file)).code).toBe(0)
    expect(adapter('killed')).toBe(adapter('straight'))
  })

  it('--resume runs the kernels that the checkpoint records, unless others are asked for', async () => {
    const plain = { env: { GRAFT_KERNEL: 'plain' } }
    expect((await runBin(['train', recipe('plain')], plain)).code).toBe(0)
    const file = recipe('interrupted')
    expect((await runBin(['train', file], { ...plain, signal: 'SIGINT' })).code).toBe(130)
    const refused = await runCli('train', file, '--resume')
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(/kernel variant relaxed; expected .*kernel variant plain; GRAFT_KERNEL=plain picks/)
    expect((await runBin(['train', file, '--resume'], { env: { GRAFT_KERNEL: undefined } })).code).toBe(0)
    expect(adapter('interrupted')).toBe(adapter('plain'))
  })

  it('--resume without a checkpoint, or with another recipe, is refused by name', async () => {
    const none = await runCli('train', recipe('none'), '--resume')
    expect([none.code, none.err]).toEqual([
      1,
      `graft train: ${at('out-none')}/checkpoints: given no checkpoint; expected one for --resume to go on from; without --resume the run starts anew\n`,
    ])
    expect(existsSync(at('out-none'))).toBe(false)

    await runBin(['train', recipe('changed')], { signal: 'SIGINT' })
    const changed = await runCli('train', recipe('changed', { seed: 8, learningRate: 0.01 }), '--resume')
    expect(changed.code).toBe(1)
    expect(changed.err).toMatch(/seed 8, optimizer\.learningRate 0\.01; expected that of the checkpoint: seed 7, /)
  })
})

describe('onSignals', () => {
  afterEach(() => vi.restoreAllMocks())
  it('stops at the first signal, takes what follows at once for the same, and ends at the next', () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never)
    const now = vi.spyOn(performance, 'now')
    const heard: unknown[] = []
    const forget = onSignals((...given) => void heard.push(given))
    now.mockReturnValue(1000)
    process.emit('SIGTERM')
    now.mockReturnValue(1100)
    process.emit('SIGTERM')
    expect(exit).not.toHaveBeenCalled()
    now.mockReturnValue(2000)
    process.emit('SIGINT')
    expect(exit).toHaveBeenCalledExactlyOnceWith(130)
    expect(heard).toEqual([['SIGTERM', 143]])
    const listeners = process.listenerCount('SIGINT')
    forget()
    expect(process.listenerCount('SIGINT')).toBe(listeners - 1)
  })
})
