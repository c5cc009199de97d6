import type { Model } from '@graftjs/core'
import { near } from '@graftjs/core'
import {
  type ByteSource,
  fileSource,
  type Gguf,
  type Json,
  openGguf,
  openSafetensors,
  strictJson,
  toFloat32,
} from '@graftjs/files'
import { decode, type Format, rowBytes, type StoredWeight, simdInfo, storedWeight, useSimd } from '@graftjs/kernels'
import { backendName } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type Tokenizer, tokenizerFromGguf, tokenizerFromJson } from '@graftjs/text'
import { llamaFromGguf, llamaFromJson } from './config.ts'
import { fetchModel } from './fetch-model.ts'
import { type LlamaConfig, llama } from './llama.ts'
import { type VectorWeight, vectorWeight } from './vector-weight.ts'
import type { WeightSource } from './weight-source.ts'

/** A model with what came beside it. */
export interface LoadedModel extends Model {
  readonly config: LlamaConfig
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
  const config = llamaFromJson(strictJson(json, `${dir}/config.json`) as { [key: string]: Json }, `${dir}/config.json`)
  const weights = await collect(await fileSource(`${dir}/model.safetensors`), readSafetensors)
  const tokenizerJson = await text('tokenizer.json')
  const tokenizer =
    tokenizerJson === undefined
      ? undefined
      : tokenizerFromJson(tokenizerJson, (await text('tokenizer_config.json')) ?? {}, await text('chat_template.jinja'))
  return finish(weights, `${dir}/model.safetensors`, { config, name, folder: dir, tokenizer })
}

const loadGguf = async (file: string): Promise<LoadedModel> => {
  const source = await fileSource(file)
  try {
    const gguf = await openGguf(source)
    const embedding = gguf.tensors.get('token_embd.weight')
    if (!embedding)
      throw new GraftError({
        code: 'bad-file',
        culprit: file,
        given: 'no token_embd.weight',
        expected: 'a language model',
      })
    const config = llamaFromGguf(gguf.metadata, !gguf.tensors.has('output.weight'), embedding.shape[0]!, file)
    const weights = await readGguf(gguf, config)
    return finish(weights, file, {
      config,
      name: file,
      tokenizer: gguf.metadata.has('tokenizer.ggml.model') ? tokenizerFromGguf(gguf.metadata) : undefined,
    })
  } finally {
    await source.close()
  }
}

/** A matrix or vector as stored, under its name in transformers. */
interface Stored {
  readonly format: Format
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}
type Weights = Map<string, Stored>

const collect = async (source: ByteSource, read: (source: ByteSource) => Promise<Weights>): Promise<Weights> => {
  try {
    return await read(source)
  } finally {
    await source.close()
  }
}

const safetensorsFormats: Partial<Record<string, Format>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

const readSafetensors = async (source: ByteSource): Promise<Weights> => {
  const file = await openSafetensors(source)
  const weights: Weights = new Map()
  for (const [name, { dtype }] of file.tensors) {
    const format = safetensorsFormats[dtype]
    const tensor = await file.read(name)
    weights.set(
      name,
      format
        ? { format, shape: tensor.shape, bytes: tensor.bytes }
        : { format: 'f32', shape: tensor.shape, bytes: bytesOf(toFloat32(tensor)) },
    )
  }
  return weights
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

const ggufFormats: Partial<Record<string, Format>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  Q4_1: 'q4_1',
}
const ggufParts: Record<string, string> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}
/** The last part of the path that a linear layer of a GGUF file has in transformers: `q_proj` for `blk.0.attn_q.weight`. */
export const ggufRole = (name: string): string | undefined => {
  const part = /^blk\.\d+\.(\w+)\.weight$/.exec(name)?.[1]
  return part === undefined || part.endsWith('_norm') ? undefined : ggufParts[part]?.split('.').at(-1)
}
const ggufWhole: Record<string, string> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

const readGguf = async (gguf: Gguf, config: LlamaConfig): Promise<Weights> => {
  const weights: Weights = new Map()
  for (const [name, { type, shape }] of gguf.tensors) {
    const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
    const to = ggufWhole[name] ?? (part && ggufParts[part] ? `model.layers.${layer}.${ggufParts[part]}.weight` : name)
    const stored = await gguf.read(name)
    const format = ggufFormats[type]!
    const heads = part === 'attn_q' ? config.numAttentionHeads : part === 'attn_k' ? config.numKeyValueHeads : 0
    weights.set(to, {
      format,
      shape,
      bytes: heads ? unpermuteRows(stored, rowBytes(format, shape[1]!), config.headDim, heads) : stored,
    })
  }
  return weights
}

/** GGUF interleaves the two halves of each head's rows; transformers keeps them apart. Whole rows move, so packed ones stay packed. */
const unpermuteRows = (bytes: Uint8Array, rowSize: number, headDim: number, heads: number): Uint8Array => {
  const out = new Uint8Array(bytes.byteLength)
  const half = headDim / 2
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < half; i++)
      for (let j = 0; j < 2; j++) {
        const from = (h * headDim + 2 * i + j) * rowSize
        out.set(bytes.subarray(from, from + rowSize), (h * headDim + j * half + i) * rowSize)
      }
  return out
}

type Beside = Pick<LoadedModel, 'config' | 'name' | 'folder' | 'tokenizer'>

const finish = (weights: Weights, file: string, beside: Beside): LoadedModel => {
  const made: (StoredWeight | VectorWeight)[] = []
  try {
    return loaded(llama(beside.config, sourceOf(weights, file, made)), beside)
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

/** Hands weights out once each: what was taken is dropped, so that no second copy stays. */
const sourceOf = (weights: Weights, file: string, made: (StoredWeight | VectorWeight)[]): WeightSource => {
  const names = [...weights.keys()]
  const take = (name: string, shape: readonly number[]): Stored => {
    const found = weights.get(name)
    if (!found) {
      const close = near(name, names)
      throw new GraftError({
        code: 'bad-file',
        culprit: file,
        given: `no tensor ${name}`,
        expected: close.length ? `it; near names: ${close.join(', ')}` : 'it, by the config',
      })
    }
    if (found.shape.join() !== shape.join())
      throw new GraftError({
        code: 'bad-file',
        culprit: `${file}: ${name}`,
        given: `shape [${found.shape}]`,
        expected: `[${shape}], by the config`,
      })
    weights.delete(name)
    return found
  }
  const record = <W extends StoredWeight | VectorWeight>(weight: W): W => {
    made.push(weight)
    return weight
  }
  return {
    matrix: (name, shape) => {
      const { format, bytes } = take(name, shape)
      return record(storedWeight(name, format, bytes, shape))
    },
    vector: (name, size) => {
      const { format, bytes } = take(name, [size])
      return record(vectorWeight(name, decode(format, bytes, size)))
    },
  }
}
