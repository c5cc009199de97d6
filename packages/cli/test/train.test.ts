import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSimd } from '@graftjs/kernels'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from './run-cli.ts'
import { writeTinyModel } from './tiny-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-train-'))
const at = (name: string): string => join(dir, name)
const model = at('model')

const chat = (i: number): string =>
  JSON.stringify({
    messages: [
      { role: 'user', content: `hello ${i}` },
      { role: 'assistant', content: 'world' },
      { role: 'user', content: 'no' },
      { role: 'assistant', content: `hello ${'o'.repeat(i % 4)}` },
    ],
  })

beforeAll(async () => {
  await useSimd({ threads: 2, variant: 'relaxed' })
  writeTinyModel(model)
  // A template of our own: the tiny tokenizer comes without one that all roles fit.
  writeFileSync(
    at('model/chat_template.jinja'),
    '{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}',
  )
  writeFileSync(at('chats.jsonl'), Array.from({ length: 12 }, (_, i) => chat(i)).join('\n'))
  writeFileSync(at('held.jsonl'), Array.from({ length: 3 }, (_, i) => chat(i + 20)).join('\n'))
  writeFileSync(at('rows.csv'), 'question,answer\nhow?,so\nwhy?,no\nwho?,me\n')
})
afterAll(() => rmSync(dir, { recursive: true }))

const recipe = (name: string, { data, ...rest }: { data: string; [section: string]: string }): string => {
  const sections = Object.entries(rest).map(([section, text]) => `${section}: ${text}`)
  const head = ['format: graft-recipe', 'version: 1', `model: ${model}`, 'method: { name: lora, r: 2 }']
  writeFileSync(at(`${name}.yaml`), [...head, `data: ${data}`, ...sections, `out: ${at(name)}`].join('\n'))
  return at(`${name}.yaml`)
}
const log = (name: string): { type: string; step: number; [key: string]: unknown }[] =>
  readFileSync(at(`${name}/log.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('graft train', () => {
  it('does all that a recipe can ask for, and says it', async () => {
    const file = recipe('all', {
      data: `{ train: ${at('chats.jsonl')}, eval: ${at('held.jsonl')}, maxLength: 100, packing: true, learn: last }`,
      training:
        '{ steps: 6, batchSize: 1, accumulate: 2, learningRate: 0.02, neftuneNoiseAlpha: 5, keep: all, clip: 1 }',
      evaluation: '{ every: 2, prompts: [hello], maxNewTokens: 3, earlyStopping: { patience: 2 } }',
      logging: '{ tensorboard: true }',
    })
    const { code, out, err } = await runCli('train', file, '--json')
    expect(err).toContain(`${at('chats.jsonl')}: 12 rows`)
    expect(err).toContain(`report written to ${at('all')}/report.html`)
    expect(code).toBe(0)
    const result = JSON.parse(out)
    expect(result.best.step).toBeGreaterThan(0)
    expect(result.evalAfter).toBeLessThan(result.evalBefore)
    expect(readdirSync(at('all')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'checkpoints',
      'log.jsonl',
      'report.html',
      'tensorboard',
    ])
    const lines = log('all')
    const evaluations = lines.filter(({ type }) => type === 'evaluation')
    expect(evaluations.map(({ step }) => step)).toEqual([0, 2, 4, 6])
    expect(evaluations[0]).toMatchObject({ continuations: [{ prompt: 'hello' }] })
    expect(lines.at(-1)).toMatchObject({ type: 'end', reason: 'finished' })
    // Several of the twelve in a row, so fewer rows than two a step.
    const perStep = lines.filter(({ type }) => type === 'step').map(({ tokens }) => tokens as number)
    expect(Math.max(...perStep)).toBeGreaterThan(100)
    const page = readFileSync(at('all/report.html'), 'utf8')
    expect(page).toContain('hello')
    expect(page).toContain('What is learnt')
  })

  it('mixes sets, and says where columns are called otherwise', async () => {
    const columns = 'columns: { prompt: question, completion: answer }'
    const sets = `[{ path: ${at('rows.csv')}, name: a }, { path: ${at('rows.csv')}, name: b }]`
    const file = recipe('mixed', {
      data: `{ train: ${sets}, ${columns}, mixing: { strategy: equal, size: 8 }, bucketing: true }`,
      training: '{ epochs: 2, batchSize: 4 }',
      logging: '{ report: false }',
    })
    const { code, err } = await runCli('train', file)
    expect(err).toContain('a: 3 rows')
    expect(err).toContain('b: 3 rows')
    expect(code).toBe(0)
    expect(log('mixed').filter(({ type }) => type === 'step')).toHaveLength(4)
    expect(readdirSync(at('mixed'))).not.toContain('report.html')
    const wrong = recipe('wrong', { data: `{ train: ${at('rows.csv')} }` })
    expect((await runCli('train', wrong)).err).toMatch(/set columns to \{"prompt":"question","completion":"answer"\}/)
  })

  it('says a row with a fault before it reads the weights', async () => {
    writeFileSync(at('bad.jsonl'), '{"prompt":"a","completion":"b"}\n{"prompt":"a","completion":""}')
    rmSync(at('model/model.safetensors'))
    const { code, err } = await runCli('train', recipe('bad', { data: `{ train: ${at('bad.jsonl')} }` }))
    expect(code).toBe(1)
    expect(err).toContain(`${at('bad.jsonl')}[1]: given an empty completion`)
    writeTinyModel(model)
  })
})
