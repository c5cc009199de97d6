import type { Model, Site, Weight, Weighted } from '@graftjs/core'
import {
  atomicWriteFolder,
  type Dtype,
  fromFloat32,
  isJsonObject,
  type JsonObject,
  type NamedTensor,
  rounded,
  strictJson,
  toFloat32,
  type WriteFs,
  writeSafetensors,
} from '@graftjs/files'
import { dispose, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { changeJson } from './change-json.ts'
import { familyOf } from './families.ts'
import { tasks } from './heads/tasks.ts'
import type { LoadedModel } from './load-model.ts'
import { openWeights } from './open-weights.ts'
import { type StoredAs, storedAs } from './read-safetensors.ts'
import { turn } from './turn.ts'

export type SaveDtype = 'f32' | 'f16' | 'bf16'

export interface SaveModelOptions {
  /** Of all weights. Default: each as the folder that the model came from has it. */
  readonly dtype?: SaveDtype
  readonly fs?: WriteFs
}

/** What lies beside the weights and says how text becomes ids and ids text. */
const BESIDE = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'chat_template.jinja',
  'generation_config.json',
]
const CONFIG = 'config.json'
const WEIGHTS = 'model.safetensors'

/**
 * Writes a model, such as `merge` makes it, as a folder that transformers and `loadModel` read: config.json,
 * model.safetensors with the tensors of the folder it came from, and that folder's tokenizer. Atomic: what was there stays
 * whole if it fails. Where a merge has parted tied embeddings, lm_head.weight is written too and the config says so.
 * Errors: `not-saveable` for a model that came from no such folder, or for a weight that float16 cannot hold.
 */
export const saveModel = async (model: Model, dir: string, options: SaveModelOptions = {}): Promise<void> => {
  const { folder, name } = model as Partial<LoadedModel>
  if (folder === undefined)
    throw new GraftError({
      code: 'not-saveable',
      culprit: name ?? 'model',
      given: 'a model that came from no folder of transformers',
      expected: 'one from a hub id or a folder with config.json and safetensors',
    })
  const { readFile } = await import('node:fs/promises')
  const beside = await Promise.all(
    BESIDE.map(async (file) => [file, await readFile(`${folder}/${file}`).catch(() => undefined)] as const),
  )
  await atomicWriteFolder(
    dir,
    [
      [WEIGHTS, writeSafetensors(await tensorsOf(model as LoadedModel, folder, options.dtype), { format: 'pt' })],
      ...beside.filter((entry): entry is [string, Buffer<ArrayBuffer>] => entry[1] !== undefined),
      [CONFIG, await configOf(model as LoadedModel, folder, options.dtype)],
    ],
    options.fs,
  )
}

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const satisfies Record<SaveDtype, Dtype>
const floats: readonly Dtype[] = ['F32', 'F16', 'BF16', 'F64']

/** The tensors of the folder's file, with the model's values; after them those that only the model has. */
const tensorsOf = async (model: LoadedModel, folder: string, dtype: SaveDtype | undefined): Promise<NamedTensor[]> => {
  const values = valuesOf(model)
  const { nameOf, turned, savedAs } = await layoutOf(model, folder)
  const file = await openWeights(folder)
  try {
    const made: NamedTensor[] = []
    const written = new Set<string>()
    for (const [tensor, { dtype: stored, shape }] of file.tensors) {
      const [weight, wanted] = [nameOf(tensor), savedAs(tensor)]
      const name = file.tensors.has(wanted) ? tensor : wanted
      const read = values.get(weight)
      written.add(weight)
      const to = dtype ? dtypes[dtype] : stored
      // What no site holds (a buffer, a copy of a tied matrix) is handed on.
      if (read) made.push(encode(name, shape, turned(weight) ? turn(await read(), read.shape) : await read(), to))
      else if (dtype && floats.includes(stored)) made.push(encode(name, shape, toFloat32(await file.read(tensor)), to))
      else made.push({ ...(await file.read(tensor)), name })
    }
    const common = made.find(({ shape }) => shape.length > 1)?.dtype ?? 'F32'
    for (const [name, read] of values) if (!written.has(name)) made.push(encode(name, read.shape, await read(), common))
    return made
  } finally {
    await file.close()
  }
}

/** How the tensors of the folder's file stand to the model's weights. */
const layoutOf = async (model: LoadedModel, folder: string): Promise<StoredAs> => {
  const { readFile } = await import('node:fs/promises')
  const path = `${folder}/${CONFIG}`
  return storedAs(familyOf(strictJson(await readFile(path, 'utf8'), path), path).family, {
    ...model.config,
    ...(model.config.tieWordEmbeddings && { tieWordEmbeddings: isTied(model) }),
  })
}

export interface Read {
  (): Promise<Float32Array>
  readonly shape: readonly number[]
}

/** Each weight and bias of the model by its name in the file; a tied one once. */
export const valuesOf = (model: Model): Map<string, Read> => {
  const found = new Map<string, Read>()
  for (const site of model.sites.filter((s): s is Site<Weighted> => 'weight' in s)) {
    const weight: Weight = site.weight
    found.set(
      weight.path,
      reading(weight.shape, () => weight.dense(), true),
    )
    const { bias } = site
    if (bias)
      found.set(
        `${site.path}.bias`,
        reading(bias.shape, () => bias, false),
      )
  }
  return found
}

const reading = (shape: readonly number[], tensor: () => Tensor, ours: boolean): Read =>
  Object.assign(
    async () => {
      const t = tensor()
      const values = Float32Array.from((await t.data()) as Float32Array)
      if (ours) dispose(t)
      return values
    },
    { shape },
  )

const encode = (name: string, shape: readonly number[], values: Float32Array, dtype: Dtype): NamedTensor => {
  if (dtype !== 'F16' && dtype !== 'BF16') return fromFloat32(name, shape, values)
  const halves = rounded(values, dtype === 'F16' ? 'f16' : 'bf16')
  const isLost = (v: number, i: number): boolean => Number.isFinite(v) && (halves[i]! & 0x7c00) === 0x7c00
  const lost = dtype === 'F16' ? values.findIndex(isLost) : -1
  if (lost >= 0)
    throw new GraftError({
      code: 'not-saveable',
      culprit: name,
      given: `the weight ${values[lost]}`,
      expected: 'at most 65504 in float16: write bf16 or f32',
    })
  return { name, dtype, shape, bytes: new Uint8Array(halves.buffer) }
}

const torchNames: Record<SaveDtype, string> = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' }

/** The folder's own config, in its own words where nothing in it changes. */
const configOf = async (model: LoadedModel, folder: string, dtype: SaveDtype | undefined): Promise<Uint8Array> => {
  const { readFile } = await import('node:fs/promises')
  const path = `${folder}/${CONFIG}`
  const bytes = await readFile(path)
  const json = strictJson(bytes.toString('utf8'), path)
  if (!isJsonObject(json))
    throw new GraftError({ code: 'bad-file', culprit: path, given: 'no object', expected: 'one' })
  const change: JsonObject = {
    ...(dtype && { ['dtype' in json ? 'dtype' : 'torch_dtype']: torchNames[dtype] }),
    ...(model.config.tieWordEmbeddings && !isTied(model) && { tie_word_embeddings: false }),
    ...newHead(model, json, path),
  }
  if (Object.keys(change).length === 0) return bytes
  return new TextEncoder().encode(changeJson(bytes.toString('utf8'), change))
}

/** What names the head, where it is not that of the folder. */
const newHead = ({ config: { head } }: LoadedModel, json: JsonObject, path: string): JsonObject => {
  const prefix = familyOf(json, path).family.classPrefix
  if (!head?.isNew || prefix === undefined) return {}
  const named = { architectures: [`${prefix}${tasks[head.task].classes[0]}`] }
  // transformers takes the width of a question answerer from them too.
  const labels = head.task === 'question-answering' ? ['LABEL_0', 'LABEL_1'] : head.labels
  if (labels.length === 0) return named
  return {
    ...named,
    id2label: Object.fromEntries(labels.map((label, id) => [String(id), label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  }
}

const isTied = ({ sites }: Model): boolean => {
  const of = (kind: 'embedding' | 'linear'): (string | undefined)[] =>
    sites.filter((s) => s.kind === kind).map((s) => ('weight' in s ? (s.weight as Weight).path : undefined))
  return of('embedding').some((path) => of('linear').includes(path))
}
