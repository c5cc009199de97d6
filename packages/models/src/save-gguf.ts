import type { Model } from '@graftjs/core'
import {
  fileSource,
  type Gguf,
  type GgufEntry,
  type GgufNames,
  type GgufOutput,
  type GgufType,
  ggufNames,
  interleaveRows,
  isJsonObject,
  type JsonObject,
  openGguf,
  type PackedType,
  quantize,
  strictJson,
  type WriteFs,
  writeGguf,
} from '@graftjs/files'
import type { Format } from '@graftjs/kernels'
import { GraftError } from '@graftjs/tensor/error'
import { type GgufArchitecture, ggufMetadata } from './gguf-metadata.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import type { LoadedModel } from './load-model.ts'
import { type Read, valuesOf } from './save-model.ts'

export interface SaveGgufOptions {
  /**
   * Of the matrices. Default `f16`. Vectors (norms, biases) are always float32. A matrix whose rows no block divides is
   * written as float16, and with `q4_0` and `q4_1` the embedding and the output matrix as q8_0: they suffer most.
   */
  readonly type?: Format
  /** Jinja. Default: the one that the model came with. */
  readonly chatTemplate?: string
  /** More metadata, or other values of it: `general.name`, `general.license`, … */
  readonly metadata?: ReadonlyMap<string, GgufEntry>
  readonly fs?: WriteFs
}

/**
 * Writes a model, such as `merge` makes it, as one GGUF file that llama.cpp, Ollama and `loadModel` read: the weights under
 * GGUF's names, the architecture, the tokenizer and the chat template. Tensor by tensor, atomic. A model from a folder takes
 * its tokenizer from tokenizer.json (without one the file has none, and other engines will want one); a model from a GGUF
 * file takes over all that the file says.
 * Errors: `not-saveable` for an architecture or a tokenizer that has no name in GGUF, `bad-tensor` for a weight that the type
 * cannot hold.
 */
export const saveGguf = async (model: Model, path: string, options: SaveGgufOptions = {}): Promise<void> => {
  const { folder, name } = model as Partial<LoadedModel>
  if (folder !== undefined) return write(model, path, options, await fromFolder(model as LoadedModel, folder))
  if (!name?.endsWith('.gguf'))
    throw new GraftError({
      code: 'not-saveable',
      culprit: name ?? 'model',
      given: 'a model that came from no file',
      expected: 'one from a hub id, a folder with config.json and safetensors, or a .gguf file',
    })
  const source = await fileSource(name)
  try {
    const file = await openGguf(source)
    await write(model, path, options, { metadata: new Map(file.entries), file })
  } finally {
    await source.close()
  }
}

interface Origin extends GgufArchitecture {
  /** The file that the model came from, for what no site holds. */
  readonly file?: Gguf
}

const fromFolder = async (model: LoadedModel, folder: string): Promise<Origin> => {
  const rows = embeddingRows(model)
  const architecture = ggufMetadata(model.config, rows, folder)
  const { metadata } = architecture
  metadata.set('general.name', { type: 'string', value: model.name.split(/[/\\]/).at(-1)! })
  const tokenizer = model.tokenizer && (await readJson(`${folder}/tokenizer.json`))
  if (tokenizer) for (const entry of ggufTokenizer(tokenizer, model.tokenizer!, rows)) metadata.set(...entry)
  return architecture
}

const readJson = async (path: string): Promise<JsonObject | undefined> => {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const json = strictJson(text, path)
  if (isJsonObject(json)) return json
  throw new GraftError({ code: 'bad-file', culprit: path, given: 'no object', expected: 'one' })
}

const embeddingRows = ({ sites }: Model): number => sites.find(({ kind }) => kind === 'embedding')!.inDim

const write = async (model: Model, path: string, options: SaveGgufOptions, origin: Origin): Promise<void> => {
  const { type = 'f16', chatTemplate, metadata: more = [], fs } = options
  const { metadata } = origin
  const architecture = String(metadata.get('general.architecture')?.value)
  const names = ggufNames(architecture)
  if (!names)
    throw new GraftError({
      code: 'not-saveable',
      culprit: path,
      given: architecture,
      expected: 'llama, qwen2 or qwen3',
    })
  metadata.set('general.file_type', { type: 'u32', value: fileTypes[type] })
  metadata.set('general.quantization_version', { type: 'u32', value: 2 })
  if (chatTemplate !== undefined) metadata.set('tokenizer.chat_template', { type: 'string', value: chatTemplate })
  for (const [key, entry] of more) metadata.set(key, entry)
  await writeGguf(path, { metadata, tensors: tensorsOf(model, names, origin, type) }, { ...(fs && { fs }) })
}

/** llama.cpp's numbers for what most matrices of a file are. */
const fileTypes: Readonly<Record<Format, number>> = { f32: 0, f16: 1, q4_0: 2, q4_1: 3, q8_0: 7, bf16: 32 }

/** The model's weights, and what of the file it came from no site holds (rope_freqs.weight), as it is. */
const tensorsOf = (model: Model, names: GgufNames, origin: Origin, type: Format): GgufOutput[] => {
  const { metadata, file, ropeFactors } = origin
  const values = [...valuesOf(model)].map(([name, read]) => output(name, read, names, metadata, type))
  const written = new Set(values.map(({ name }) => name))
  const others = [...(file?.tensors.values() ?? [])].filter(({ name }) => !names.toHf(name) && !written.has(name))
  const factors = ropeFactors && {
    name: 'rope_freqs.weight',
    type: 'F32' as const,
    shape: [ropeFactors.length],
    bytes: () => quantize('F32', ropeFactors),
  }
  return [
    ...values,
    ...(factors ? [factors] : []),
    ...others.map((t): GgufOutput => ({ ...t, type: t.type as GgufType, bytes: () => file!.read(t.name) })),
  ]
}

const output = (
  name: string,
  read: Read,
  names: GgufNames,
  metadata: ReadonlyMap<string, GgufEntry>,
  type: Format,
): GgufOutput => {
  const gguf = names.toGguf(name)
  if (gguf === undefined)
    throw new GraftError({
      code: 'not-saveable',
      culprit: name,
      given: 'a weight without a name in GGUF',
      expected: 'the weights of the architecture',
    })
  const { shape } = read
  const packed = typeOf(gguf, shape, type)
  const rowSize = shape.length > 1 ? shape[1]! : 1
  const which = names.interleaved(name)
  return {
    name: gguf,
    type: packed,
    shape,
    bytes: async () => {
      const values = await read()
      const heads = which && headsOf(metadata, which)
      return quantize(
        packed,
        heads ? interleaveRows(values, { heads, headDim: shape[0]! / heads, rowSize }) : values,
        name,
      )
    },
  }
}

const headsOf = (metadata: ReadonlyMap<string, GgufEntry>, which: 'q' | 'k'): number => {
  const arch = String(metadata.get('general.architecture')?.value)
  const all = metadata.get(`${arch}.attention.head_count`)?.value
  return Number((which === 'k' && metadata.get(`${arch}.attention.head_count_kv`)?.value) || all)
}

const typeOf = (name: string, shape: readonly number[], type: Format): PackedType => {
  if (shape.length < 2) return 'F32'
  const ends = name === 'token_embd.weight' || name === 'output.weight'
  const wanted = ends && type.startsWith('q4') ? 'q8_0' : type
  return wanted.startsWith('q') && shape.at(-1)! % 32 !== 0 ? 'F16' : (wanted.toUpperCase() as PackedType)
}
