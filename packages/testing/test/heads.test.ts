import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attach, type Batch, forward, type Model, merge, type Tuned } from '@graftjs/core'
import { bytesSource, openSafetensors, readAdapter } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { generate, type LoadedModel, loadAdapter, loadModel, saveAdapter, saveModel } from '@graftjs/models'
import { adamw } from '@graftjs/optim'
import { scope } from '@graftjs/tensor'
import { train } from '@graftjs/trainer'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-heads-'))
const bertDir = fixtureDir('encoders/bert')
afterAll(() => rmSync(scratch, { recursive: true }))
beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const logitsOf = (model: Tuned | Model, batch: Batch): number[] =>
  scope(() => [...forward(model, batch).logits().dataSync()])
const batch = { ids: [[5, 9, 2, 14, 8, 21, 3]] }

/** The weight of the site that ends with this path. */
const weightOf = (model: LoadedModel, path: string): number[] =>
  scope(() => {
    const site = model.sites.find((s) => s.path === path)!
    return 'weight' in site ? [...site.weight.dense().dataSync()] : []
  })

describe('the head of a folder', () => {
  it('is the one that architectures names', async () => {
    for (const [name, task, labels] of [
      ['bert', 'feature-extraction', []],
      ['bert-masked-lm', 'masked-lm', []],
      ['bert-seq-cls', 'seq-cls', ['low', 'middle', 'high']],
      ['roberta-seq-cls', 'seq-cls', ['low', 'middle', 'high']],
      ['bert-token-cls', 'token-cls', ['low', 'middle', 'high']],
      ['bert-question-answering', 'question-answering', []],
      ['t5', 'seq2seq', []],
    ] as const) {
      const model = await loadModel(fixtureDir(`encoders/${name}`))
      expect([name, model.task, model.labels, model.fresh]).toEqual([name, task, labels, []])
      model.dispose()
    }
  })

  it('has no head for features: logits and text are refused by name', async () => {
    const model = await loadModel(bertDir)
    expect(() => logitsOf(model, batch)).toThrow('feature-extraction')
    await expect(generate(model, [[5, 9]])).rejects.toThrow('writes text')
    model.dispose()
  })
})

describe('training by samples', () => {
  it('of an encoder-decoder, whose labels have lengths of their own', async () => {
    const model = await loadModel(fixtureDir('encoders/flan-t5'))
    const tuned = attach(model, lora({ r: 4, targetModules: 'all-linear' }))
    const rows = Array.from({ length: 8 }, (_, i) => ({
      ids: Array.from({ length: 2 + (i % 3) }, (_, t) => 5 + i + t),
      labels: [30 + (i % 4), ...(i % 2 ? [7] : []), 1],
      source: i,
    }))
    const { losses } = await train(tuned, rows, { optimizer: adamw({ learningRate: 0.02 }), epochs: 15, batchSize: 4 })
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 3)
    const [made] = await generate(tuned, [rows[1]!.ids], { maxNewTokens: 4, stopIds: [1] })
    expect(made).toEqual(rows[1]!.labels)
    model.dispose()
  })

  it('of pairs of texts, for question answering', async () => {
    const model = await loadModel(bertDir, { task: 'question-answering' })
    const tuned = attach(model, lora({ r: 4, modulesToSave: ['qa_outputs'] }))
    // The answer is the two tokens behind token 40, in the second text.
    const rows = Array.from({ length: 12 }, (_, i) => {
      const at = 3 + (i % 4)
      const ids = Array.from({ length: 9 + (i % 2) }, (_, t) => (t === at ? 40 : 10 + ((i * 7 + t * 3) % 25)))
      return { ids, tokenTypes: ids.map((_, t) => (t < 3 ? 0 : 1)), labels: [at + 1, at + 2], source: i }
    })
    const { losses } = await train(tuned, rows, { optimizer: adamw({ learningRate: 0.02 }), epochs: 20, batchSize: 6 })
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 3)
    model.dispose()
  })
})

describe('merged and saved', () => {
  it.each([
    ['t5', ['q', 'v'], true, []],
    ['t5', ['shared', 'wo'], true, ['lm_head.weight']],
    ['flan-t5', ['lm_head', 'wi_1'], false, []],
    ['bert-masked-lm', ['query', 'decoder'], false, ['cls.predictions.decoder.bias', 'cls.predictions.decoder.weight']],
    ['roberta-masked-lm', ['word_embeddings'], false, ['lm_head.decoder.bias', 'lm_head.decoder.weight']],
    ['llama-seq-cls', ['q_proj'], false, []],
  ] as const)('%s with LoRA at %j gives the same logits again', async (name, targetModules, tied, added) => {
    const dir = fixtureDir(`encoders/${name}`)
    const model = await loadModel(dir)
    const tuned = attach(model, lora({ r: 2, targetModules, initLoraWeights: false }))
    const given = { ...batch, ...(name.endsWith('t5') && { decoderIds: [[0, 4, 7]] }) }
    const wanted = logitsOf(tuned, given)
    const merged = merge(tuned) as LoadedModel
    const folder = join(scratch, `${name}-${targetModules[0]}`)
    await saveModel(merged, folder, { dtype: 'f32' })
    const again = await loadModel(folder)
    logitsOf(again, given).forEach((logit, i) => expect(Math.abs(logit - wanted[i]!)).toBeLessThan(1e-4))
    const tensors = async (at: string) =>
      (await openSafetensors(bytesSource(readFileSync(`${at}/model.safetensors`)))).tensors
    const before = await tensors(dir)
    expect([...(await tensors(folder)).keys()].filter((key) => !before.has(key)).sort()).toEqual(added)
    // transformers ties every T5 whose file has one matrix, and scales its states where it is said to be tied.
    const { tie_word_embeddings } = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8'))
    expect(tie_word_embeddings).toBe(tied)
    for (const made of [again, merged, model]) made.dispose()
  })
})

describe('a new head', () => {
  it("starts by transformers' rule, fixed by its seed", async () => {
    const open = (seed?: number) => loadModel(bertDir, { task: 'seq-cls', labels: ['ham', 'spam'], seed })
    const [first, same, other] = [await open(), await open(0), await open(1)]
    expect(first.fresh).toEqual(['classifier.weight', 'classifier.bias'])
    expect(first.labels).toEqual(['ham', 'spam'])
    const values = weightOf(first, 'classifier')
    const spread = Math.sqrt(values.reduce((s, v) => s + v * v, 0) / values.length)
    expect(Math.abs(spread - 0.02)).toBeLessThan(0.006)
    expect(weightOf(same, 'classifier')).toEqual(values)
    expect(weightOf(other, 'classifier')).not.toEqual(values)
    // What the folder has is its own: the pooler.
    const bare = await loadModel(fixtureDir('encoders/bert-seq-cls'))
    expect(weightOf(first, 'bert.pooler.dense').some((v) => v !== 0)).toBe(true)
    for (const model of [first, same, other, bare]) model.dispose()
  })

  it.each(['masked-lm', 'token-cls', 'question-answering'] as const)('%s on bert and roberta', async (task) => {
    for (const dir of [bertDir, fixtureDir('encoders/roberta-seq-cls')]) {
      const model = await loadModel(dir, { task })
      expect(model.fresh.length).toBeGreaterThan(0)
      expect(logitsOf(model, batch).every(Number.isFinite)).toBe(true)
      model.dispose()
    }
  })

  it.each([
    [{ task: 'causal-lm' }, /task: given causal-lm; expected one of feature-extraction, masked-lm/],
    [{ task: 'nonsense' }, /task: given "nonsense"/],
    [{ task: 'masked-lm', labels: ['a'] }, /labels: .*masked-lm has no classes/],
    [{ task: 'seq-cls', labels: ['a', 'a'] }, /labels: .*no two alike/],
  ] as const)('refuses %j', async (options, message) => {
    await expect(loadModel(bertDir, options as object)).rejects.toThrow(message)
  })

  it('is of as many classes as the folder has, which may get other names', async () => {
    const dir = fixtureDir('encoders/bert-seq-cls')
    await expect(loadModel(dir, { labels: ['a', 'b'] })).rejects.toThrow(
      '3: the folder has a head of the classes low, middle',
    )
    const model = await loadModel(dir, { labels: ['a', 'b', 'c'] })
    expect([model.labels, model.fresh]).toEqual([['a', 'b', 'c'], []])
    model.dispose()
  })

  it('is not made where the folder should have it, and not for what is not built', async () => {
    const changed = async (name: string, change: object): Promise<LoadedModel> => {
      const dir = join(scratch, `broken-${Math.random()}`)
      cpSync(fixtureDir(`encoders/${name}`), dir, { recursive: true })
      const config = JSON.parse(readFileSync(`${dir}/config.json`, 'utf8')) as object
      writeFileSync(`${dir}/config.json`, JSON.stringify({ ...config, ...change }))
      return loadModel(dir)
    }
    const asClassifier = { architectures: ['BertForSequenceClassification'] }
    await expect(changed('bert', asClassifier)).rejects.toThrow('no tensor classifier.weight')
    await expect(changed('bert-seq-cls', { problem_type: 'regression' })).rejects.toThrow('problem_type')
    await expect(changed('bert', { architectures: ['BertForNothing'] })).rejects.toThrow('"BertForNothing"')
    await expect(changed('bert', { position_embedding_type: 'relative_key' })).rejects.toThrow(
      'position_embedding_type',
    )
    await expect(changed('bert', { num_attention_heads: 5 })).rejects.toThrow('a divisor of hidden_size, 24')
    await expect(changed('t5', { feed_forward_proj: 'gated-swish' })).rejects.toThrow('feed_forward_proj')
  })

  it('learns, is saved in the adapter and with the model, and comes back', async () => {
    const model = await loadModel(bertDir, { task: 'seq-cls', labels: ['ham', 'spam'] })
    const tuned = attach(model, lora({ r: 4, modulesToSave: ['classifier'], taskType: 'SEQ_CLS' }))
    // Spam holds the token 50.
    const rows = Array.from({ length: 16 }, (_, i) => ({
      ids: [4, 7 + i, 20 + ((i * 5) % 20), ...(i % 2 ? [50] : [9]), 3 + i].slice(0, 4 + (i % 3 ? 1 : 0)),
      labels: [i % 2],
      source: i,
    }))
    const { losses } = await train(tuned, rows, { optimizer: adamw({ learningRate: 0.02 }), epochs: 12, batchSize: 8 })
    expect(losses[0]).toBeGreaterThan(0.5)
    expect(losses.at(-1)).toBeLessThan(0.1)
    const own = logitsOf(tuned, batch)

    const adapter = join(scratch, 'adapter')
    await saveAdapter(tuned, adapter)
    const { config, tensors } = await readAdapter(adapter)
    expect(config.task_type).toBe('SEQ_CLS')
    expect([...tensors.keys()]).toContain('classifier.weight')
    const again = await loadModel(bertDir, { task: 'seq-cls', labels: ['ham', 'spam'], seed: 5 })
    expect(logitsOf(await loadAdapter(again, adapter, [lora]), batch)).toEqual(own)

    const merged = merge(tuned) as LoadedModel
    const folder = join(scratch, 'merged')
    await saveModel(merged, folder)
    const names = (await openSafetensors(bytesSource(readFileSync(`${folder}/model.safetensors`)))).tensors
    expect([...names.keys()].every((name) => /^(bert\.|classifier\.)/.test(name))).toBe(true)
    const reread = await loadModel(folder)
    expect([reread.task, reread.labels, reread.fresh]).toEqual(['seq-cls', ['ham', 'spam'], []])
    const stored = logitsOf(reread, batch)
    // The folder is of bfloat16.
    stored.forEach((logit, i) => expect(Math.abs(logit - own[i]!)).toBeLessThan(0.1))
    for (const made of [reread, merged, again, model]) made.dispose()
  })
})
