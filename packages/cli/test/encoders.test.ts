import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { generate, loadModel } from '@graftjs/models'
import { afterAll, describe, expect, it } from 'vitest'
import { withTokenizer } from '../../testing/test/support/with-tokenizer.ts'
import { runCli } from './run-cli.ts'

const encoders = fileURLToPath(new URL('../../testing/fixtures/encoders', import.meta.url))

interface Facts {
  readonly rows: number[][]
  readonly types?: number[][]
  readonly labels?: number[][]
}

/** On one width, padding on the right. */
const padded = (rows: readonly number[][], fill: number): number[][] => {
  const width = Math.max(...rows.map((row) => row.length))
  return rows.map((row) => [...row, ...new Array<number>(width - row.length).fill(fill)])
}

const ones = (rows: readonly number[][]): number[][] => rows.map((row) => row.map(() => 1))

/** What is asked, and at which places of the answer the recorded numbers stand. */
const questionOf = ({ rows, types, labels }: Facts, isT5: boolean): { asked: string[]; counted: number[][] } => {
  const asked = (name: string, value: number[][]): string[] => [`--${name}`, JSON.stringify(value)]
  const base = [...asked('ids', padded(rows, 9)), ...asked('mask', padded(ones(rows), 0))]
  if (!isT5)
    return {
      asked: [...base, ...(types ? asked('token-types', padded(types, 0)) : [])],
      counted: padded(ones(rows), 0),
    }
  const decoderIds = labels!.map((row) => [0, ...row.slice(0, -1).map((id) => Math.max(id, 0))])
  return {
    asked: [...base, ...asked('decoder-ids', decoderIds)],
    counted: labels!.map((row) => row.map((label) => (label === -100 ? 0 : 1))),
  }
}

describe('graft inspect says which tasks a folder serves', () => {
  it.each([
    ['bert-seq-cls', 'seq-cls', ['feature-extraction', 'masked-lm', 'token-cls', 'question-answering']],
    ['t5', 'seq2seq', undefined],
  ])('%s', async (name, task, otherTasks) => {
    const { out } = await runCli('inspect', `${encoders}/${name}`, '--json')
    const facts = JSON.parse(out) as { task: string; otherTasks?: string[]; allLinear: string[] }
    expect([facts.task, facts.otherTasks]).toEqual([task, otherTasks])
    expect(facts.allLinear).not.toContain('relative_attention_bias')
  })
})

describe('with a tokenizer', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'graft-cli-encoders-'))
  const spoken = (name: string): Promise<string> => {
    mkdirSync(join(scratch, name))
    return withTokenizer(`${encoders}/${name}`, join(scratch, name))
  }
  afterAll(() => rmSync(scratch, { recursive: true }))

  it('graft generate: the encoder reads the prompt, and what the decoder writes comes out', async () => {
    const model = await spoken('t5')
    const asked = ['generate', '--model', model, '--prompt', 'hello world', '--max-new-tokens', '5', '--json']
    const { code, out, err } = await runCli(...asked)
    expect([code, err]).toEqual([0, ''])
    const loaded = await loadModel(model)
    const prompt = loaded.tokenizer!.encode('hello world')
    const [ids] = await generate(loaded, [prompt], { maxNewTokens: 5 })
    loaded.dispose()
    expect(out).toContain(JSON.stringify(loaded.tokenizer!.decode(ids!)).slice(1, -1))
  })

  it('graft generate and graft train refuse a model that writes no text, by its task', async () => {
    const model = await spoken('bert-seq-cls')
    const written = await runCli('generate', '--model', model, '--prompt', 'hello')
    expect([written.code, written.err]).toEqual([1, expect.stringContaining('a bert that tells labels')])
    writeFileSync(join(scratch, 'rows.jsonl'), JSON.stringify({ prompt: 'hello', completion: ' world' }))
    const recipe = {
      format: 'graft-recipe',
      version: 1,
      model,
      method: { name: 'lora' },
      data: { train: join(scratch, 'rows.jsonl') },
    }
    writeFileSync(join(scratch, 'recipe.json'), JSON.stringify({ ...recipe, out: join(scratch, 'out') }))
    const trained = await runCli('train', join(scratch, 'recipe.json'))
    expect([trained.code, trained.err]).toEqual([1, expect.stringContaining('of the task seq-cls')])
  })
})

describe('graft logits of tiny encoders and encoder-decoders, against transformers', () => {
  it.each(readdirSync(encoders))('%s', async (name) => {
    const dir = `${encoders}/${name}`
    const { asked, counted } = questionOf(
      JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as Facts,
      name.endsWith('t5'),
    )
    const file = await openSafetensors(bytesSource(readFileSync(`${dir}/expected.safetensors`)))
    const expected = toFloat32(await file.read(name === 'bert' ? 'hidden' : 'logits'))
    const { code, out, err } = await runCli('logits', '--model', dir, ...asked, '--json')
    expect([code, err]).toEqual([0, ''])
    const { shape, data } = JSON.parse(out) as { shape: number[]; data: number[] }
    // A classifier of rows has one place a row.
    const places = name.endsWith('seq-cls') ? counted.map(() => [1]) : counted
    expect(shape.slice(0, 2)).toEqual([places.length, places[0]!.length])
    const own = data.filter((_, i) => places.flat()[Math.floor(i / shape[2]!)])
    expect(own.length).toBe(expected.length)
    own.forEach((logit, i) => expect(Math.abs(logit - expected[i]!)).toBeLessThan(1e-4))
  })
})
