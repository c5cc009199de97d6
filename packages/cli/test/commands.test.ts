import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { linears } from '@graftjs/core'
import { fileSource, openSafetensors } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { loadModel } from '@graftjs/models'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { commands } from '../src/commands.ts'
import { readRecipe } from '../src/recipe.ts'
import { flatFields } from '../src/recipe-fields.ts'
import { runCli } from './run-cli.ts'
import { writeTinyAdapter } from './tiny-adapter.ts'
import { writeTinyModel } from './tiny-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-commands-'))
const at = (name: string): string => join(dir, name)
const [model, adapter] = [at('model'), at('adapter')]
const json = async (...args: string[]) => JSON.parse((await runCli(...args, '--json')).out) as Record<string, unknown>
/** The one line that a refusal is. */
const refusal = async (...args: string[]): Promise<string> => {
  const { code, out, err } = await runCli(...args)
  expect([code, out, err.trimEnd().split('\n').length]).toEqual([1, '', 1])
  return err.trimEnd()
}

beforeAll(async () => {
  await useSimd({ threads: 2 })
  writeTinyModel(model)
  await writeTinyAdapter(adapter, model)
})
afterAll(() => rmSync(dir, { recursive: true }))

describe('graft', () => {
  it('lists every command, and each says what it takes', async () => {
    const { out } = await runCli('--help')
    for (const [name, { options, summary }] of Object.entries(commands)) {
      expect(out).toContain(`graft ${name}`)
      expect(out).toContain(summary)
      const help = (await runCli(name, '--help')).out
      expect(help).toMatch(new RegExp(`^graft ${name}`))
      for (const option of Object.keys(options)) expect(help, name).toContain(`  --${option}`)
    }
  })
  it('helps by name, too', async () => {
    expect((await runCli('help', 'merge')).out).toBe((await runCli('merge', '--help')).out)
    expect((await runCli('help')).out).toBe((await runCli('--help')).out)
  })
  it('offers near names for commands and options, and says what is missing', async () => {
    const { code, err } = await runCli('geneate')
    expect([code, err.split('\n')[0]]).toEqual([2, 'graft: no command geneate; did you mean generate?'])
    expect(await refusal('generate', '--max-new-token', '3')).toBe(
      'graft generate: no option --max-new-token; did you mean --max-new-tokens?',
    )
    expect(await refusal('chat', '--prompt=x')).toMatch(/^graft chat: no option --prompt; /)
    expect(await refusal('devices', '--zzzzzzzzzz')).toMatch(/no option --zzzzzzzzzz; there are --json$/)
    expect(await refusal('inspect')).toBe(
      'graft inspect: arguments: given nothing; expected PATH; --help shows the command',
    )
    expect(await refusal('inspect', 'a', 'b')).toMatch(/given "a" "b"; expected PATH alone$/)
    expect(await refusal('devices', 'x')).toMatch(/given "x"; expected options alone/)
    expect(await refusal('train')).toMatch(/expected a recipe: graft train RECIPE; `graft new` writes one$/)
    expect(await refusal('generate', '--prompt', 'x')).toBe(
      'graft generate: --model: given nothing; expected a value; --help shows the command',
    )
    expect(await refusal('completion', 'tcsh')).toMatch(/SHELL: given "tcsh"; expected bash, zsh, fish/)
  })
})

describe('graft new', () => {
  const written = (file: string) => readFileSync(file, 'utf8')

  it('writes a recipe with every key and what the schema says of it', async () => {
    const { code, err, out } = await runCli('new', at('plain.yaml'))
    expect([code, out]).toEqual([0, ''])
    expect(err).toContain(`graft data show ${at('plain.yaml')}`)
    expect(err).toContain(`graft train ${at('plain.yaml')}`)
    const text = written(at('plain.yaml'))
    expect(readRecipe(text, 'plain.yaml')).toMatchObject({ method: { name: 'lora' }, data: { train: 'rows.jsonl' } })
    const flat = text.replaceAll(/\n *# /g, ' ')
    for (const { key, path, description } of flatFields()) {
      if (key === '$schema') continue
      expect(text, path).toMatch(new RegExp(`^ *#? *${key}:`, 'm'))
      if (!/mixing|earlyStopping/.test(path)) expect(flat, path).toContain(description)
    }
  })

  it('is still a recipe when every # before a key is taken away', async () => {
    await runCli('new', at('all.yaml'))
    // A key stands right behind its #, or further in where it belongs to one that does; prose stands one space behind.
    const text = written(at('all.yaml')).replaceAll(/^( *)#(?! \S)/gm, '$1')
    const recipe = readRecipe(text, 'all.yaml')
    expect(recipe).toMatchObject({
      data: { maxLength: 512, mixing: { strategy: 'temperature', temperature: 2 } },
      training: { steps: 1000, nonFinite: 'skip' },
      evaluation: { earlyStopping: { patience: 3, minDelta: 0 }, prompts: ['Once upon a time'] },
      logging: { report: true, tensorboard: false },
    })
    expect(Object.keys(recipe.training!)).toHaveLength(
      flatFields().filter(({ path }) => path.startsWith('training.')).length,
    )
  })

  it.each([
    ['a.csv', 'Question,"Answer",note\n1,2,3\n', { columns: { prompt: 'Question', completion: 'Answer' } }],
    ['b.tsv', 'prompt\tcompletion\na\tb\n', { format: 'prompt-completion' }],
    ['c.jsonl', '{"messages": []}\n{"messages": []}', { format: 'messages' }],
    ['d.json', '[{"instruction": "a", "input": "", "output": "b"}]', { format: 'alpaca' }],
    ['e.jsonl', '{"text": "a"}', { format: 'text' }],
    ['f.jsonl', '{"conversations": []}', { format: 'sharegpt' }],
  ])('fills in how the rows of %s are read', async (name, text, wanted) => {
    writeFileSync(at(name), text)
    const { code } = await runCli(
      'new',
      at(`${name}.yaml`),
      '--data',
      at(name),
      '--model',
      model,
      '--method',
      'lora',
      '--chat',
    )
    expect(code).toBe(0)
    const recipe = readRecipe(written(at(`${name}.yaml`)), `${name}.yaml`)
    expect(recipe.data).toEqual({ train: at(name), chat: true, ...wanted })
    expect(recipe.model).toBe(model)
  })

  it('says which columns there are where none are known', async () => {
    writeFileSync(at('odd.csv'), 'x,y,z\n1,2,3\n')
    expect((await runCli('new', at('odd.yaml'), '--data', at('odd.csv'))).err).toContain(
      'has the columns x, y, z; say which',
    )
    writeFileSync(at('bad.jsonl'), 'no json')
    expect((await runCli('new', at('bad.yaml'), '--data', at('bad.jsonl'))).err).toMatch(/bad\.jsonl, line 1: given /)
  })

  it('loses no file, and refuses what would not do', async () => {
    writeFileSync(at('mine.yaml'), 'mine')
    expect(await refusal('new', at('mine.yaml'))).toMatch(
      /mine\.yaml: given a file that is there already; expected another name, or --force/,
    )
    expect(written(at('mine.yaml'))).toBe('mine')
    expect((await runCli('new', at('mine.yaml'), '--force')).code).toBe(0)
    expect(written(at('mine.yaml'))).toContain('format: graft-recipe')
    expect(await refusal('new', at('r.json'))).toMatch(/expected a name that ends with \.yaml/)
    expect(await refusal('new', at('x.yaml'), '--method', 'lorra')).toMatch(/did you mean lora\?/)
    expect(await refusal('new', at('x.yaml'), '--data', at('none.csv'))).toMatch(/none\.csv/)
    expect(existsSync(at('x.yaml'))).toBe(false)
  })
})

describe('graft inspect', () => {
  it('says what a model folder is, without its weights, by file and by name', async () => {
    const facts = await json('inspect', model)
    expect(facts).toMatchObject({
      kind: 'model',
      architecture: 'llama',
      parameters: 16632,
      bytes: 4 * 16632,
      dtypes: { F32: 16632 },
      layers: 2,
      vocabulary: 320,
      context: 128,
      tiedEmbeddings: true,
      chatTemplate: true,
      tensorCount: 20,
    })
    const loaded = await loadModel(model)
    const roles = new Set(linears(loaded, 'all-linear').map(({ role }) => role))
    expect(new Set(facts.allLinear as string[])).toEqual(roles)
    loaded.dispose()
    const { out } = await runCli('inspect', model, '--tensors')
    expect(out).toMatch(/^parameters +16,632$/m)
    expect(out).toMatch(/^model\.layers\.1\.mlp\.down_proj\.weight +F32 +\[24, 40\] {2}3\.84 kB$/m)
  })
  it('says what an adapter is', async () => {
    expect(await json('inspect', adapter, '--tensors')).toMatchObject({
      kind: 'adapter',
      method: 'LORA',
      baseModel: model,
      rank: 2,
      alpha: 4,
      targetModules: ['q_proj', 'v_proj'],
      parameters: 2 * (2 * 48 + 48 + 16),
      tensorCount: 8,
    })
    expect((await runCli('inspect', adapter)).out).toMatch(/^target modules +q_proj, v_proj$/m)
    expect(await json('inspect', join(adapter, 'adapter_model.safetensors'))).toMatchObject({
      kind: 'safetensors',
      tensorCount: 8,
      metadata: { format: 'pt' },
    })
  })
  it('says what a checkpoint is, and which a run has', async () => {
    writeFileSync(at('rows.jsonl'), '{"prompt": "hello", "completion": " world"}')
    const recipe = {
      format: 'graft-recipe',
      version: 1,
      model,
      method: { name: 'lora', r: 2 },
      data: { train: at('rows.jsonl') },
      training: { steps: 4, checkpointEvery: 2 },
      out: at('run'),
    }
    writeFileSync(at('run.json'), JSON.stringify(recipe))
    expect((await runCli('train', at('run.json'))).code).toBe(0)
    expect(await json('inspect', at('run/checkpoints'))).toMatchObject({ kind: 'checkpoints', steps: [4, 2] })
    const { out } = await runCli('inspect', at('run/checkpoints/step-00000002'))
    expect(out).toMatch(/^kind +checkpoint$/m)
    expect(out).toMatch(/^step +2$/m)
    expect(out).toMatch(/^parameters +320$/m)
    // Beside an adapter the folder is that adapter.
    expect(await json('inspect', at('run'))).toMatchObject({ kind: 'adapter', rank: 2, parameters: 320 })
    rmSync(at('run/adapter_config.json'))
    expect(await json('inspect', at('run'))).toMatchObject({ kind: 'checkpoints', steps: [4, 2] })
  })
  it('knows a hub id that is in the cache', async () => {
    const cached = at('cache/hub/models--owner--name')
    const commit = 'c'.repeat(40)
    vi.stubEnv('HF_HOME', at('cache'))
    cpSync(model, `${cached}/snapshots/${commit}`, { recursive: true })
    mkdirSync(`${cached}/refs`)
    writeFileSync(`${cached}/refs/main`, commit)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect(await json('inspect', 'owner/name')).toMatchObject({ kind: 'model', path: 'owner/name', parameters: 16632 })
    expect(await refusal('inspect', 'out/adapter')).toMatch(
      /^graft inspect: out\/adapter: there is no folder of that name here, and as a hub id: .*HF_HUB_OFFLINE/,
    )
    vi.unstubAllEnvs()
  })
  it('refuses by name what it does not know', async () => {
    expect(await refusal('inspect', at('nowhere'))).toMatch(
      /nowhere: given no such file or folder; expected a model folder, a \.gguf/,
    )
    expect(await refusal('inspect', dir)).toMatch(
      /given a folder without config\.json, adapter_config\.json or checkpoints/,
    )
    writeFileSync(at('a.txt'), 'x')
    expect(await refusal('inspect', at('a.txt'))).toMatch(/given a file of another kind/)
    writeFileSync(at('a.safetensors'), 'x')
    expect(await refusal('inspect', at('a.safetensors'))).toMatch(/a\.safetensors: given a file of 1 bytes/)
  })
})

describe('graft merge', () => {
  const logits = async (...args: string[]) => (await json('logits', '--ids', '[[5,6,7,8]]', ...args)).data as number[]
  const furthest = (a: number[], b: number[]) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)))
  const names = async (folder: string) => {
    const source = await fileSource(`${folder}/model.safetensors`)
    const { tensors } = await openSafetensors(source)
    await source.close()
    return [...tensors.keys()].sort()
  }

  it('writes a folder that gives the logits of model and adapter, and says how far it is from them', async () => {
    const { code, out, err } = await runCli(
      'merge',
      '--model',
      model,
      '--adapter',
      adapter,
      '--out',
      at('merged'),
      '--json',
    )
    expect(code).toBe(0)
    expect(err).toMatch(/largest change of a logit: .*; the likeliest token is the same in 64 of 64 places/)
    const report = JSON.parse(out) as { largestChange: number; largestLogit: number }
    expect(report).toMatchObject({ out: at('merged'), dtype: 'as stored', sameToken: 64, tokens: 64 })
    expect(report.largestChange).toBeLessThan(1e-4)
    expect(report.largestLogit).toBeGreaterThan(0.1)
    expect(readdirSync(at('merged')).sort()).toEqual(readdirSync(model).sort())
    expect(await names(at('merged'))).toEqual(await names(model))
    const wanted = await logits('--model', model, '--adapter', adapter)
    expect(furthest(await logits('--model', at('merged')), wanted)).toBeLessThan(1e-4)
    expect(furthest(await logits('--model', model), wanted)).toBeGreaterThan(1e-2)
    expect((await runCli('generate', '--model', at('merged'), '--chat', 'hello', '--max-new-tokens', '2')).code).toBe(0)
  })
  it('writes another dtype, and says what that changes', async () => {
    const report = await json('merge', '--model', model, '--adapter', adapter, '--out', at('half'), '--dtype', 'bf16')
    expect(report.dtype).toBe('bf16')
    expect(report.largestChange).toBeGreaterThan(1e-4)
    expect(await json('inspect', at('half'))).toMatchObject({ dtypes: { BF16: 16632 }, bytes: 2 * 16632 })
  })
  it('writes a .gguf file that runs as the model with the adapter does; of one, too, unless it would be packed again', async () => {
    const wanted = await logits('--model', model, '--adapter', adapter)
    const args = ['merge', '--adapter', adapter, '--json']
    const report = await json(...args, '--model', model, '--out', at('merged.gguf'), '--dtype', 'f32')
    expect(report).toMatchObject({ dtype: 'f32', sameToken: 64, tokens: 64 })
    expect(furthest(await logits('--model', at('merged.gguf')), wanted)).toBeLessThan(1e-4)
    expect((await runCli('generate', '--model', at('merged.gguf'), '--prompt', 'hello')).code).toBe(0)
    // Twice the adapter: the file is a base as any other.
    await json(...args, '--model', at('merged.gguf'), '--out', at('twice.gguf'), '--dtype', 'f16')
    expect(furthest(await logits('--model', at('twice.gguf')), wanted)).toBeGreaterThan(1e-3)
    const again = ['merge', '--adapter', adapter, '--model', at('merged.gguf'), '--out', at('packed.gguf')]
    expect(await refusal(...again, '--dtype', 'q8_0')).toMatch(/lost when they are packed again/)
    expect(await refusal(...args, '--model', model, '--out', at('merged.gguf'))).toMatch(/a file that is there already/)
  })

  it('loses no folder, and refuses what cannot be merged before it loads anything', async () => {
    cpSync(model, at('other'), { recursive: true })
    const args = ['merge', '--model', model, '--adapter', adapter]
    expect(await refusal(...args, '--out', at('other'))).toMatch(
      /other: given a folder that has config\.json already; expected another folder, or --force/,
    )
    expect(readFileSync(at('other/model.safetensors')).equals(readFileSync(`${model}/model.safetensors`))).toBe(true)
    expect((await runCli(...args, '--out', at('other'), '--force')).code).toBe(0)
    expect(await refusal(...args, '--out', model, '--force')).toMatch(/given the model itself/)
    expect(await refusal(...args, '--out', adapter)).toMatch(/has adapter_config\.json already/)
    expect(await refusal(...args, '--out', at('x'), '--dtype', 'int8')).toMatch(
      /--dtype: given int8; expected f32, f16, bf16/,
    )
    expect(await refusal('merge', '--model', 'a.gguf', '--adapter', adapter, '--out', at('x'))).toMatch(
      /a\.gguf: given a GGUF file, whose weights may be packed.*expected the folder or hub id that the GGUF was made from/,
    )
    expect(existsSync(at('x'))).toBe(false)
  })
})

describe('graft generate', () => {
  it('takes a system message, top k, top p and a penalty', async () => {
    const text = async (...more: string[]) =>
      (await json('generate', '--model', model, '--max-new-tokens', '12', ...more)).tokens
    const plain = await text('--chat', 'hello')
    expect(await text('--chat', 'hello', '--system', 'be brief')).not.toEqual(plain)
    expect(await text('--chat', 'hello', '--temperature', '3', '--top-k', '1')).toEqual(plain)
    expect(await text('--chat', 'hello', '--temperature', '3', '--top-p', '1e-9')).toEqual(plain)
    const ids = (await text('--prompt', 'hello', '--repetition-penalty', '1e6')) as number[]
    expect(new Set(ids).size).toBe(ids.length)
    expect(await refusal('generate', '--model', model, '--prompt', 'a', '--system', 'b')).toMatch(
      /--system with --prompt/,
    )
    expect(await refusal('generate', '--model', model, '--prompt', 'a', '--top-p', '2')).toMatch(/--top-p: given 2/)
    expect(await refusal('generate', '--model', model, '--prompt', 'a', '--top-k', '1.5')).toMatch(
      /--top-k: given 1\.5; expected a whole/,
    )
    expect(await refusal('generate', '--model', model, '--prompt', 'a', '--max-new-tokens', '')).toMatch(
      /--max-new-tokens/,
    )
  })
})
