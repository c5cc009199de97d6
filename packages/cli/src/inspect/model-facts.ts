import { readFile } from 'node:fs/promises'
import { isJsonObject, type JsonObject, strictJson } from '@graftjs/files'
import { ggufRole, tasksOf } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { type Facts, type TensorFact, totals } from './facts.ts'
import { ggufFacts, safetensorsFacts } from './read-headers.ts'

/** A folder as transformers writes it. */
export const folderFacts = async (dir: string, path: string): Promise<Facts> => {
  const config = await jsonOf(`${dir}/config.json`)
  const { tensors } = await safetensorsFacts(`${dir}/model.safetensors`)
  const tokenizer = await readFile(`${dir}/tokenizer_config.json`, 'utf8').catch(() => '{}')
  const template = await readFile(`${dir}/chat_template.jinja`, 'utf8').catch(() => undefined)
  return {
    kind: 'model',
    path,
    layout: 'transformers folder',
    architecture: config.model_type ?? null,
    ...tasksIn(config),
    ...totals(tensors),
    layers: config.num_hidden_layers ?? config.n_layer ?? config.num_layers ?? null,
    hiddenSize: config.hidden_size ?? config.n_embd ?? config.d_model ?? null,
    vocabulary: config.vocab_size ?? null,
    context: config.max_position_embeddings ?? config.n_positions ?? null,
    // Families differ in what they mean where config.json is silent; the file does not.
    tiedEmbeddings: (config.tie_word_embeddings ?? !tensors.some(({ name }) => name === 'lm_head.weight')) === true,
    chatTemplate: template !== undefined || hasTemplate(tokenizer),
    allLinear: rolesOf(tensors),
    tensors,
  }
}

/** What its own head is for, and what it can be trained for with a new one. */
const tasksIn = (config: JsonObject): { task: string | null; otherTasks?: string[] } => {
  const served = tasksOf(config)
  const others = served.filter(({ isStored }) => !isStored).map(({ task }) => task)
  return {
    task: served.find(({ isStored }) => isStored)?.task ?? null,
    ...(others.length > 0 && { otherTasks: others }),
  }
}

export const ggufModelFacts = async (path: string): Promise<Facts> => {
  const { tensors: stored, metadata } = await ggufFacts(path)
  const architecture = metadata.get('general.architecture')
  const of = (key: string): unknown => metadata.get(`${String(architecture)}.${key}`) ?? null
  const names = new Set(stored.map(({ name }) => name))
  return {
    kind: 'model',
    path,
    layout: 'GGUF',
    architecture: architecture ?? null,
    name: metadata.get('general.name') ?? null,
    ...totals(stored),
    layers: of('block_count'),
    hiddenSize: of('embedding_length'),
    vocabulary: stored.find(({ name }) => name === 'token_embd.weight')?.shape[0] ?? null,
    context: of('context_length'),
    tiedEmbeddings: !names.has('output.weight'),
    chatTemplate: metadata.has('tokenizer.chat_template'),
    allLinear: [
      ...new Set(stored.map(({ name }) => ggufRole(name, String(architecture))).filter((role) => role !== undefined)),
    ],
    tensors: stored,
  }
}

const hasTemplate = (text: string): boolean => {
  try {
    return (JSON.parse(text) as { chat_template?: unknown }).chat_template !== undefined
  } catch {
    return false
  }
}

export const jsonOf = async (path: string): Promise<JsonObject> => {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new GraftError({
      code: 'no-file',
      culprit: path,
      message: `${path}: cannot be read (${cause.message})`,
      cause,
    })
  })
  const json = strictJson(text, path)
  if (isJsonObject(json)) return json
  throw new GraftError({ code: 'bad-file', culprit: path, given: 'no object', expected: 'a JSON object' })
}

/** What 'all-linear' means: the matrices inside the layers, by the last part of their paths. */
const rolesOf = (tensors: readonly TensorFact[]): string[] => [
  ...new Set(
    tensors
      .filter(({ shape }) => shape.length === 2)
      .map(({ name }) => /\.\d+\.(?:.*\.)?([^.]+)\.weight$/.exec(name)?.[1])
      .filter((role) => role !== undefined)
      // T5's table of distances stands in its first layer.
      .filter((role) => role !== 'relative_attention_bias'),
  ),
]
