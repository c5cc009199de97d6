import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from './run-cli.ts'
import { writeTinyModel } from './tiny-model.ts'

const fixtures = fileURLToPath(new URL('../../testing/fixtures', import.meta.url))
const adapters = `${fixtures}/peft-lora`
const { ids, decoderIds, cases } = JSON.parse(readFileSync(`${adapters}/expected.json`, 'utf8')) as {
  ids: Record<string, number[][]>
  decoderIds: number[][]
  cases: Record<string, string[]>
}
const scratch = mkdtempSync(join(tmpdir(), 'graft-cli-peft-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const modelOf = (name: string): string =>
  [`${name}/model`, `families/${name}`, `encoders/${name}`].map((at) => `${fixtures}/${at}`).find(existsSync)!

describe('adapters that PEFT wrote, on the command line', () => {
  const all = Object.entries(cases).flatMap(([name, keys]) => keys.map((key) => [name, key] as const))

  it.each(all)('graft logits --adapter: %s, %s', async (name, key) => {
    const file = await openSafetensors(bytesSource(readFileSync(`${adapters}/expected.safetensors`)))
    const expected = toFloat32(await file.read(`${name}/${key}`))
    const { code, out, err } = await runCli(
      ...['logits', '--model', modelOf(name), '--adapter', `${adapters}/${name}/${key}`],
      ...['--ids', JSON.stringify(ids[name]), '--json'],
      ...(name.includes('t5') ? ['--decoder-ids', JSON.stringify(decoderIds)] : []),
    )
    expect([code, err]).toEqual([0, ''])
    const { data } = JSON.parse(out) as { data: number[] }
    expect(data.length).toBe(expected.length)
    expect(Math.max(...data.map((v, i) => Math.abs(v - expected[i]!)))).toBeLessThan(1e-4)
  })

  it('graft merge of whole modules and of tied embeddings; it says where it cannot', async () => {
    const merge = (name: string, key: string): ReturnType<typeof runCli> =>
      runCli(
        ...['merge', '--model', modelOf(name), '--adapter', `${adapters}/${name}/${key}`],
        ...['--out', `${scratch}/${key}`, '--dtype', 'f32'],
      )
    expect((await merge('odd-llama', 'saved')).code).toBe(0)
    const { code, err } = await merge('qwen2', 'embedding')
    expect([code, err]).toEqual([0, expect.stringMatching(/largest change of a logit: \d\.\d\de-[67]/)])
    const refused = await merge('odd-llama', 'lora-bias')
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/q_proj has no bias in this architecture/)])
  })

  it('graft inspect says what is rare', async () => {
    const of = async (path: string): Promise<string> => (await runCli('inspect', `${adapters}/${path}`)).out
    expect(await of('odd-llama/rslora-patterns')).toMatch(/^rank pattern +layers\.1\.mlp\.down_proj 4, q_proj 2$/m)
    const saved = await of('odd-llama/saved')
    expect(saved).toMatch(/^whole modules +lm_head, norm, layers\.1\.self_attn\.k_proj$/m)
    expect(saved).not.toMatch(/pattern|rslora|trained tokens/)
    expect(await of('qwen2/tokens')).toMatch(/^trained tokens +embed_tokens 5, 0, 60$/m)
  })

  it('graft train with whole modules, tokens and a rank pattern; graft logits reads what it wrote', async () => {
    const model = join(scratch, 'model')
    writeTinyModel(model)
    writeFileSync(join(scratch, 'rows.jsonl'), '{"prompt": "hello", "completion": " world"}')
    const recipe = (method: object): string => {
      const file = join(scratch, 'recipe.json')
      const data = { train: join(scratch, 'rows.jsonl') }
      const training = { steps: 6, learningRate: 0.05 }
      const head = { format: 'graft-recipe', version: 1, model, method: { name: 'lora', r: 2, ...method } }
      writeFileSync(file, JSON.stringify({ ...head, data, training, out: join(scratch, 'out') }))
      return file
    }
    const method = {
      targetModules: ['q_proj', 'up_proj'],
      rankPattern: { up_proj: 3 },
      layersToTransform: null,
      modulesToSave: ['model.norm'],
      trainableTokenIndices: [5, 9],
    }
    const { code, err } = await runCli('train', recipe(method))
    expect([code, err]).toEqual([0, expect.stringContaining('trainable')])
    const steps = readFileSync(join(scratch, 'out/log.jsonl'), 'utf8').trim().split('\n')
    const losses = steps.map((line) => JSON.parse(line)).filter(({ type }) => type === 'step')
    expect(losses.at(-1).loss).toBeLessThan(0.8 * losses[0].loss)
    const { out } = await runCli('inspect', join(scratch, 'out'), '--tensors')
    expect(out).toMatch(/^base_model\.model\.model\.norm\.weight +F32 +\[24\]/m)
    expect(out).toMatch(/embed_tokens\.token_adapter\.trainable_tokens_delta +F32 +\[2, 24\]/)
    expect(out).toMatch(/layers\.1\.mlp\.up_proj\.lora_A\.weight +F32 +\[3, 24\]/)
    const read = await runCli(
      'logits',
      '--model',
      model,
      '--adapter',
      join(scratch, 'out'),
      '--ids',
      '[[5,9,1]]',
      '--json',
    )
    expect([read.code, read.err]).toEqual([0, ''])
    const refused = await runCli('train', recipe({ rankPatern: { up_proj: 3 } }))
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('did you mean rankPattern')])
  })
})
