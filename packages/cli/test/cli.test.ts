import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSimd } from '@graftjs/kernels'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli as capture } from './run-cli.ts'
import { writeTinyModel } from './tiny-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-cli-'))
const model = join(dir, 'model')
const at = (name: string): string => join(dir, name)
const rows = (...list: object[]): string => list.map((row) => JSON.stringify(row)).join('\n')
const runCli = (...args: string[]) => capture(...args)

const recipe = (name: string, change: object = {}): string => {
  const whole = {
    format: 'graft-recipe',
    version: 1,
    model,
    method: { name: 'lora', r: 2, loraAlpha: 6, targetModules: 'all-linear' },
    data: { train: at('rows.jsonl') },
    training: { steps: 6, batchSize: 2, learningRate: 0.02 },
    out: at(`out-${name}`),
    ...change,
  }
  writeFileSync(at(`${name}.json`), JSON.stringify(whole))
  return at(`${name}.json`)
}

beforeAll(async () => {
  await useSimd({ threads: 2 })
  writeTinyModel(model)
  writeFileSync(
    at('rows.jsonl'),
    rows(
      { prompt: 'hello', completion: ' world' },
      { prompt: 'hell', completion: ' no' },
      { prompt: 'he', completion: ' w' },
    ),
  )
})
afterAll(() => rmSync(dir, { recursive: true }))

describe('graft', () => {
  it('trains by a recipe, and the adapter it writes changes the logits', async () => {
    const { code, out, err } = await runCli(
      'train',
      recipe('good', { data: { train: at('rows.jsonl'), eval: at('rows.jsonl') } }),
      '--json',
    )
    expect(err).toContain('trainable params: ')
    expect(code).toBe(0)
    const result = JSON.parse(out) as { losses: number[]; evalBefore: number; evalAfter: number }
    expect(result.losses).toHaveLength(6)
    expect(result.evalAfter).toBeLessThan(result.evalBefore)
    expect(readdirSync(at('out-good')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'log.jsonl',
      'report.html',
    ])
    const log = readFileSync(at('out-good/log.jsonl'), 'utf8').trim().split('\n')
    expect(log.map((line) => JSON.parse(line).type)).toEqual([
      'evaluation',
      ...Array(6).fill('step'),
      'evaluation',
      'end',
    ])
    const logits = async (...more: string[]) =>
      JSON.parse(
        (
          await runCli(
            'logits',
            '--model',
            model,
            '--ids',
            '[[5,6,7],[8,9,1]]',
            '--mask',
            '[[1,1,1],[1,1,0]]',
            '--json',
            ...more,
          )
        ).out,
      ) as { shape: number[]; data: number[] }
    const [base, tuned] = [await logits(), await logits('--adapter', at('out-good'))]
    expect(base.shape).toEqual([2, 3, 320])
    expect(base.data).toHaveLength(2 * 3 * 320)
    expect(tuned.data).not.toEqual(base.data)
  })

  it('gives the same adapter for the same seed, byte for byte', async () => {
    const method = { name: 'lora', r: 2, targetModules: ['q_proj'], loraDropout: 0.3 }
    for (const name of ['once', 'twice'])
      expect(
        (await runCli('train', recipe(name, { method, training: { steps: 3, batchSize: 2, accumulate: 2, seed: 7 } })))
          .code,
      ).toBe(0)
    const bytes = (name: string) => readFileSync(at(`out-${name}/adapter_model.safetensors`))
    expect(bytes('once').equals(bytes('twice'))).toBe(true)
  })

  it('generates: the same text for the same seed, another for another', async () => {
    const text = async (...more: string[]) =>
      JSON.parse(
        (await runCli('generate', '--model', model, '--prompt', 'hello', '--max-new-tokens', '12', '--json', ...more))
          .out,
      ) as { text: string; tokens: number[]; tokensPerSecond: number }
    const warm = await text('--temperature', '2', '--seed', '3')
    expect(warm.tokens.length).toBeGreaterThan(0)
    expect(warm.tokensPerSecond).toBeGreaterThan(0)
    expect(await text('--temperature', '2', '--seed', '3')).toMatchObject({ tokens: warm.tokens })
    expect((await text('--temperature', '2', '--seed', '4')).tokens).not.toEqual(warm.tokens)
    expect((await runCli('generate', '--model', model, '--chat', 'hello', '--max-new-tokens', '3')).code).toBe(0)
    const whole = await text()
    const stop = whole.text.slice(2, 4)
    const stopped = await text('--stop', stop)
    expect(whole.tokens.slice(0, stopped.tokens.length)).toEqual(stopped.tokens)
    expect(stopped.tokens.length).toBeLessThan(whole.tokens.length)
    expect(stopped.text).toContain(stop)
    expect((await text('--beams', '1')).tokens).toEqual(whole.tokens)
    expect(await text('--beams', '3')).toMatchObject({ score: expect.any(Number) })
  })

  it('says what the machine offers, and helps', async () => {
    expect(JSON.parse((await runCli('devices', '--json')).out)).toMatchObject({ backend: 'simd' })
    for (const command of ['train', 'generate', 'logits', 'devices'])
      expect((await runCli(command, '--help')).out).toContain(`graft ${command}`)
  })
})

describe('graft refuses, in one clear line, with exit code 1 and nothing overwritten', () => {
  const broken = (name: string, change: (folder: string) => void): string => {
    const folder = at(`broken-${name}`)
    cpSync(model, folder, { recursive: true })
    change(folder)
    return folder
  }
  const logits = (folder: string, ...more: string[]): string[] => [
    'logits',
    '--model',
    folder,
    '--ids',
    '[[1,2]]',
    ...more,
  ]
  const weights = (folder: string): string => join(folder, 'model.safetensors')
  const wrong = 'a nonsense file'

  const cases: [string, () => string[], RegExp][] = [
    [
      'a truncated safetensors',
      () => logits(broken('cut', (f) => truncateSync(weights(f), 3000))),
      /model\.safetensors: .*(cut short|within the file)/,
    ],
    [
      'a corrupt safetensors header',
      () =>
        logits(
          broken('corrupt', (f) =>
            writeFileSync(weights(f), Buffer.concat([Buffer.from([9, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"a": 1x}')])),
          ),
        ),
      /model\.safetensors.*JSON/,
    ],
    ['a GGUF that is none', () => (writeFileSync(at('no.gguf'), wrong), logits(at('no.gguf'))), /no\.gguf: .*GGUF/],
    [
      'a truncated GGUF',
      () => (
        writeFileSync(at('cut.gguf'), Buffer.from([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 1, 0, 0, 0])),
        logits(at('cut.gguf'))
      ),
      /cut\.gguf: .*cut short/,
    ],
    [
      'an architecture it does not know',
      () => logits(broken('arch', (f) => writeFileSync(join(f, 'config.json'), '{"model_type":"mamba"}'))),
      /model_type "mamba".*expected one of llama/,
    ],
    ['a model without weights', () => logits(broken('bare', (f) => rmSync(weights(f)))), /model\.safetensors/],
    [
      'an adapter of another rank',
      () => [...logits(model), '--adapter', adapterWith((json) => ({ ...json, r: 3 }))],
      /lora_A\.weight: given shape \[2,24\]; expected \[3,24\]/,
    ],
    [
      'an adapter of another model',
      () => [...logits(model), '--adapter', adapterWith((json) => ({ ...json, target_modules: ['q_proj'] }))],
      /does not fit.*\d+ unexpected keys: model\.layers\.0/,
    ],
    [
      'a target module that matches nothing',
      () => ['train', recipe('targets', { method: { name: 'lora', targetModules: ['q_prj'] } })],
      /"q_prj"; near names: q_proj/,
    ],
    [
      'an unknown method',
      () => ['train', recipe('method', { method: { name: 'lorra' } })],
      /method\.name: given "lorra"; expected one of lora/,
    ],
    [
      'a hybrid, which has no file format yet',
      () => ['train', recipe('hybrid', { method: [{ name: 'lora' }, { name: 'lora' }] })],
      /recipe: method: given lora\+lora; expected a method with a file format/,
    ],
    [
      'an unknown recipe key',
      () => ['train', recipe('key', { trainning: {} })],
      /unknown key trainning; did you mean training/,
    ],
    ['a newer recipe', () => ['train', recipe('newer', { version: 2 })], /version: given 2; expected at most 1/],
    [
      'a row without a completion to learn',
      () => (
        writeFileSync(at('bad.jsonl'), rows({ prompt: 'hello', completion: ' w' }, { prompt: 'hello' })),
        ['train', recipe('row', { data: { train: at('bad.jsonl') } })]
      ),
      /bad\.jsonl.*completion/,
    ],
    [
      'a row longer than the context',
      () => (
        writeFileSync(at('long.jsonl'), rows({ prompt: 'x'.repeat(500), completion: ' w' })),
        ['train', recipe('long', { data: { train: at('long.jsonl') } })]
      ),
      /long\.jsonl\[0\].*128/,
    ],
    [
      'a prompt longer than the context',
      () => ['generate', '--model', model, '--prompt', 'x'.repeat(500)],
      /--prompt: given 500 tokens; expected fewer than 128/,
    ],
    [
      'an id outside the vocabulary',
      () => ['logits', '--model', model, '--ids', '[[1,9999]]'],
      /ids\[0\]\[1\]: given 9999; expected a token id of 0 … 319/,
    ],
    ['ids that are no rows', () => ['logits', '--model', model, '--ids', '5'], /--ids: given 5; expected rows/],
    ['an unknown option', () => ['logits', '--modell', model], /modell/],
  ]
  const adapterWith = (change: (json: object) => object): string => {
    const folder = at(`adapter-${Math.random()}`)
    cpSync(at('out-good'), folder, { recursive: true })
    const file = join(folder, 'adapter_config.json')
    writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')) as object)))
    return folder
  }

  it.each(cases)('%s', async (_, args, message) => {
    const before = existsSync(at('out-good')) ? readFileSync(at('out-good/adapter_model.safetensors')) : undefined
    const { code, out, err } = await runCli(...args())
    expect(err.trim().split('\n').at(-1)).toMatch(message)
    expect(code).toBe(1)
    expect(out).toBe('')
    expect(err).not.toContain('    at ')
    if (before) expect(readFileSync(at('out-good/adapter_model.safetensors')).equals(before)).toBe(true)
  })

  it('a folder that cannot be written, keeping the old adapter', async () => {
    copyFileSync(at('rows.jsonl'), at('occupied'))
    const { code, err } = await runCli('train', recipe('occupied', { out: at('occupied') }))
    expect(code).toBe(1)
    expect(err).toContain('occupied')
    expect(readFileSync(at('occupied'), 'utf8')).toContain('hello')
  })
})
