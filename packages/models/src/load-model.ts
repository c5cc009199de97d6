import type { Model } from '@graftjs/core'
import { type ByteSource, fileSource, openGguf, strictJson } from '@graftjs/files'
import { type StoredWeight, simdInfo, useSimd } from '@graftjs/kernels'
import { backendName } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type Tokenizer, tokenizerFromGguf, tokenizerFromJson } from '@graftjs/text'
import { familyOf, ggufFamilyOf } from './families.ts'
import type { Family, ModelConfig } from './family.ts'
import { fetchModel } from './fetch-model.ts'
import { readGguf } from './read-gguf.ts'
import { readSafetensors } from './read-safetensors.ts'
import { storedSource, type Weights } from './stored-source.ts'
import type { VectorWeight } from './vector-weight.ts'

/** A model with what came beside it. */
export interface LoadedModel extends Model {
  readonly config: ModelConfig
  /** What it was loaded from. */
  readonly name: string
  /** The folder of config.json and safetensors on this machine; absent where it came from a .gguf file. */
  readonly folder?: string
  /** Undefined where the folder holds none: then work with ids. */
  readonly tokenizer: Tokenizer | undefined
  withWeights(replace: Parameters<Model['withWeights']>[0]): LoadedModel
}

/**
 * Loads a hub id (`HuggingFaceTB/SmolLM2-135M-Instruct`), a folder with config.json and safetensors, or a .gguf file. Packed
 * weights stay packed in memory. Starts the `simd` backend if none was chosen.
 */
export const loadModel = async (where: string): Promise<LoadedModel> => {
  if (!simdInfo() && backendName() !== 'cpu') await useSimd()
  if (where.endsWith('.gguf')) return loadGguf(where)
  const { stat } = await import('node:fs/promises')
  const found = await stat(where).catch(() => undefined)
  if (found?.isDirectory()) return loadFolder(where, where)
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
  return loadFolder(await fetchModel(where), where)
}

/** Whether it has the form of a hub id: owner/name. */
export const isHubId = (where: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(where) && !where.startsWith('.')

const loadFolder = async (dir: string, name: string): Promise<LoadedModel> => {
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
  const config = family.fromJson(parsed, `${dir}/config.json`)
  const weights = await collect(await fileSource(`${dir}/model.safetensors`), readSafetensors)
  const tokenizerJson = await text('tokenizer.json')
  const tokenizer =
    tokenizerJson === undefined
      ? undefined
      : tokenizerFromJson(tokenizerJson, (await text('tokenizer_config.json')) ?? {}, await text('chat_template.jinja'))
  return finish(family, weights, `${dir}/model.safetensors`, { config, name, folder: dir, tokenizer })
}

const loadGguf = async (file: string): Promise<LoadedModel> => {
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
    const facts = { vocabRows: embedding.shape[0]!, tied: !tensors.has('output.weight') }
    const config = gguf.fromMetadata(metadata, facts, file)
    const weights = await readGguf(opened, config, gguf)
    return finish(family, weights, file, {
      config,
      name: file,
      tokenizer: metadata.has('tokenizer.ggml.model') ? tokenizerFromGguf(metadata) : undefined,
    })
  } finally {
    await source.close()
  }
}

const collect = async (source: ByteSource, read: (source: ByteSource) => Promise<Weights>): Promise<Weights> => {
  try {
    return await read(source)
  } finally {
    await source.close()
  }
}

type Beside = Pick<LoadedModel, 'config' | 'name' | 'folder' | 'tokenizer'>

const finish = (family: Family, weights: Weights, file: string, beside: Beside): LoadedModel => {
  const made: (StoredWeight | VectorWeight)[] = []
  try {
    return loaded(family.build(beside.config, storedSource(weights, file, made)), beside)
  } catch (error) {
    for (const weight of made) weight.dispose()
    throw error
  }
}

const loaded = (model: Model, beside: Beside): LoadedModel => ({
  ...model,
  ...beside,
  withWeights: (replace) => loaded(model.withWeights(replace), beside),
})
