import type { Model } from '@graftjs/core'
import { fileSource, openGguf, strictJson } from '@graftjs/files'
import { decode, type StoredWeight, simdInfo, useSimd } from '@graftjs/kernels'
import { backendName } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type Tokenizer, tokenizerFromGguf, tokenizerFromJson } from '@graftjs/text'
import { familyOf, ggufFamilyOf } from './families.ts'
import type { Family, ModelConfig } from './family.ts'
import { fetchModel, isHubId } from './fetch-model.ts'
import { type HeadConfig, type HeadRequest, readHead } from './heads/head-config.ts'
import { readSentence, type SentenceConfig } from './heads/read-sentence.ts'
import type { Task } from './heads/tasks.ts'
import { openWeights } from './open-weights.ts'
import { readGguf } from './read-gguf.ts'
import { readSafetensors, storedAs } from './read-safetensors.ts'
import { storedSource, type Weights } from './stored-source.ts'
import { decoderTasks } from './tasks-of.ts'
import type { VectorWeight } from './vector-weight.ts'

/** Which head is wanted, where it is not the one of config.json: `{ task: 'seq-cls', labels: ['ham', 'spam'] }`. */
export type LoadOptions = HeadRequest

/** A model with what came beside it. */
export interface LoadedModel extends Model {
  readonly config: ModelConfig
  readonly task: Task
  /** Names of the classes, by their numbers; none where the task has no classes. */
  readonly labels: readonly string[]
  /** Weights that the file lacks, such as those of a new head: they start at random and want training. */
  readonly fresh: readonly string[]
  /** How a folder of sentence-transformers makes vectors; `embedRows` goes by it. */
  readonly sentence?: SentenceConfig
  /** What it was loaded from. */
  readonly name: string
  /** The folder of config.json and safetensors on this machine; absent where it came from a .gguf file. */
  readonly folder?: string
  /** Undefined where the folder holds none: then work with ids. */
  readonly tokenizer: Tokenizer | undefined
  withWeights(replace: Parameters<Model['withWeights']>[0]): LoadedModel
}

/**
 * Loads a hub id (`HuggingFaceTB/SmolLM2-135M-Instruct`, or with `@revision`), a folder with config.json and safetensors, or a
 * .gguf file. Packed weights stay packed in memory. Starts the `simd` backend if none was chosen. With `task` another head than
 * the folder's, which starts from random weights and wants training.
 */
export const loadModel = async (where: string, options: LoadOptions = {}): Promise<LoadedModel> => {
  if (!simdInfo() && backendName() !== 'cpu') await useSimd()
  if (where.endsWith('.gguf')) return loadGguf(where, options)
  const { stat } = await import('node:fs/promises')
  const found = await stat(where).catch(() => undefined)
  if (found?.isDirectory()) return loadFolder(where, where, options)
  if (found)
    throw new GraftError({
      code: 'bad-model',
      culprit: where,
      given: 'a file that is no .gguf',
      expected: 'a hub id, a folder with config.json and safetensors, or a .gguf file',
    })
  if (!isHubId(where))
    throw new GraftError({
      code: 'no-file',
      culprit: where,
      given: 'no such file or folder',
      expected: 'a hub id (owner/name), a folder with config.json and safetensors, or a .gguf file',
    })
  return loadFolder(await fetchModel(where), where, options)
}

const loadFolder = async (dir: string, name: string, options: LoadOptions): Promise<LoadedModel> => {
  const { readFile } = await import('node:fs/promises')
  const text = (file: string): Promise<string | undefined> => readFile(`${dir}/${file}`, 'utf8').catch(() => undefined)
  const json = await text('config.json')
  if (json === undefined)
    throw new GraftError({
      code: 'no-file',
      culprit: `${dir}/config.json`,
      given: 'no such file',
      expected: 'a model folder as transformers writes it',
    })
  const { family, json: parsed } = familyOf(strictJson(json, `${dir}/config.json`), `${dir}/config.json`)
  const head = readHead(parsed, `${dir}/config.json`, family.tasks ?? decoderTasks, options)
  const config = family.fromJson(parsed, `${dir}/config.json`, head)
  const file = await openWeights(dir)
  const weights = await readSafetensors(file, storedAs(family, config)).finally(() => file.close())
  const sentence = head.task === 'feature-extraction' ? await readSentence(dir, text) : undefined
  const tokenizerJson = await text('tokenizer.json')
  const tokenizer =
    tokenizerJson === undefined
      ? undefined
      : tokenizerFromJson(tokenizerJson, (await text('tokenizer_config.json')) ?? {}, await text('chat_template.jinja'))
  return finish(family, weights, file.path, {
    config,
    ...headFacts(head),
    ...(sentence && { sentence }),
    name,
    folder: dir,
    tokenizer,
  })
}

const headFacts = ({ task, labels }: HeadConfig): Pick<LoadedModel, 'task' | 'labels'> => ({ task, labels })

const loadGguf = async (file: string, options: LoadOptions): Promise<LoadedModel> => {
  const head = readHead({}, file, decoderTasks, options)
  const source = await fileSource(file)
  try {
    const opened = await openGguf(source)
    const { metadata, tensors } = opened
    const { family, gguf } = ggufFamilyOf(metadata, file)
    const embedding = tensors.get('token_embd.weight')
    if (!embedding)
      throw new GraftError({
        code: 'bad-file',
        culprit: file,
        given: 'no token_embd.weight',
        expected: 'a language model',
      })
    const factors = tensors.get('rope_freqs.weight')
    const facts = {
      vocabRows: embedding.shape[0]!,
      tied: !tensors.has('output.weight'),
      has: (name: string) => tensors.has(name),
      ...(factors && { ropeFactors: decode('f32', await opened.read(factors.name), factors.shape[0]!) }),
    }
    const config = gguf.fromMetadata(metadata, facts, file)
    const weights = await readGguf(opened, config, gguf)
    return finish(family, weights, file, {
      config,
      ...headFacts(head),
      name: file,
      tokenizer: metadata.has('tokenizer.ggml.model') ? tokenizerFromGguf(metadata) : undefined,
    })
  } finally {
    await source.close()
  }
}

type Beside = Pick<LoadedModel, 'config' | 'task' | 'labels' | 'sentence' | 'name' | 'folder' | 'tokenizer'>

const finish = (family: Family, weights: Weights, file: string, beside: Beside): LoadedModel => {
  const made: (StoredWeight | VectorWeight)[] = []
  const fresh: string[] = []
  const freshOne = (name: string, shape: readonly number[]): Float32Array | undefined => {
    const values = family.fresh?.(beside.config, name, shape)
    if (values) fresh.push(name)
    return values
  }
  try {
    return loaded(family.build(beside.config, storedSource(weights, file, made, freshOne)), { ...beside, fresh })
  } catch (error) {
    for (const weight of made) weight.dispose()
    throw error
  }
}

const loaded = (model: Model, beside: Beside & Pick<LoadedModel, 'fresh'>): LoadedModel => ({
  ...model,
  ...beside,
  withWeights: (replace) => loaded(model.withWeights(replace), beside),
})
