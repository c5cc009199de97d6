import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward, type Model, merge } from '@graftjs/core'
import {
  dequantize,
  fileSource,
  fromFloat32,
  type GgufOutput,
  type GgufType,
  ggufChunks,
  openGguf,
  openSafetensors,
  quantize,
  toFloat32,
  writeGguf,
  writeSafetensors,
} from '@graftjs/files'
import { type Format, useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadAdapter, loadModel, saveGguf } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tinyTemplate } from '../../text/src/tiny-tokenizer.test-util.ts'
import { fixtureDir } from './fixture.ts'
import { withTokenizer } from './support/with-tokenizer.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-save-gguf-'))
const at = (name: string): string => join(scratch, name)
beforeAll(() => useSimd({ threads: 2 }))
afterAll(() => rmSync(scratch, { recursive: true }))

const ids = [
  [5, 6, 7, 8],
  [1, 9, 2, 3],
]
const logits = (model: Model): Float32Array =>
  scope(() => Float32Array.from(forward(model, { ids }).logits().dataSync()))
const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0)
const opened = async <T>(path: string, read: (file: Awaited<ReturnType<typeof openGguf>>) => T | Promise<T>) => {
  const source = await fileSource(path)
  return openGguf(source)
    .then(read)
    .finally(() => source.close())
}
const logitsOf = async (path: string): Promise<Float32Array> => {
  const model = await loadModel(path)
  const found = logits(model)
  model.dispose()
  return found
}

describe.each(['tiny-llama', 'odd-llama'])('saveGguf of %s', (name) => {
  let model: LoadedModel
  beforeAll(async () => {
    model = await loadModel(`${fixtureDir(name)}/model`)
  })
  afterAll(() => model.dispose())

  it('f32: it loads to the same logits, with its queries and keys in the order of llama.cpp', async () => {
    const path = at(`${name}.gguf`)
    await saveGguf(model, path, { type: 'f32' })
    expect(furthest(await logitsOf(path), logits(model))).toBe(0)
    const source = await fileSource(`${fixtureDir(name)}/model/model.safetensors`)
    const q = toFloat32(await (await openSafetensors(source)).read('model.layers.0.self_attn.q_proj.weight'))
    await source.close()
    const [columns, half] = [q.length / (model.sites.find((s) => s.role === 'q_proj')?.outDim ?? 0), 4]
    await opened(path, async (file) => {
      const rows = dequantize('F32', await file.read('blk.0.attn_q.weight'), q.length)
      const row = (values: Float32Array, i: number) => [...values.subarray(i * columns, (i + 1) * columns)]
      // The second row is the first of the second half of the head.
      expect(row(rows, 0)).toEqual(row(q, 0))
      expect(row(rows, 1)).toEqual(row(q, half))
      expect(row(rows, 2)).toEqual(row(q, 1))
    })
  })

  it('a merged adapter is in it', async () => {
    const merged = merge(await loadAdapter(model, `${fixtureDir(name)}/adapter-all`, [lora]))
    const path = at(`${name}-merged.gguf`)
    await saveGguf(merged, path, { type: 'f32' })
    expect(furthest(await logitsOf(path), logits(merged))).toBe(0)
    expect(furthest(logits(merged), logits(model))).toBeGreaterThan(1e-3)
    merged.dispose()
  })

  it.each<[Format, number]>([
    ['f16', 1e-2],
    ['bf16', 8e-2],
    ['q8_0', 5e-2],
  ])('%s: near logits, and written from a GGUF again the same bytes', async (type, bound) => {
    const [path, again] = [at(`${name}-${type}.gguf`), at(`${name}-${type}-2.gguf`)]
    await saveGguf(model, path, { type })
    const off = furthest(await logitsOf(path), logits(model))
    expect(off).toBeGreaterThan(0)
    expect(off).toBeLessThan(bound)
    const loaded = await loadModel(path)
    await saveGguf(loaded, again, { type })
    loaded.dispose()
    const [first, second] = [readFileSync(path), readFileSync(again)]
    if (type !== 'q8_0') expect(second.equals(first)).toBe(true)
    expect(second.length).toBe(first.length)
  })
})

const tokenized = (change?: (json: Record<string, unknown>) => void): Promise<string> =>
  withTokenizer(`${fixtureDir('tiny-llama')}/model`, mkdtempSync(join(scratch, 'model-')), change)

describe('the tokenizer', () => {
  it('comes along: vocabulary, types, merges, pre-tokenizer, special tokens, template', async () => {
    const model = await loadModel(await tokenized())
    const path = at('tokens.gguf')
    await saveGguf(model, path, { type: 'q4_0' })
    const loaded = await loadModel(path)
    const text = 'hello wo  12 <|im_start|>x é'
    expect(loaded.tokenizer!.encode(text)).toEqual(model.tokenizer!.encode(text))
    expect(loaded.tokenizer!.eosId).toBe(model.tokenizer!.eosId)
    expect(loaded.tokenizer!.chat!.source).toBe(tinyTemplate)
    await opened(path, ({ metadata, tensors }) => {
      expect(metadata.get('tokenizer.ggml.pre')).toBe('smollm')
      expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(false)
      expect((metadata.get('tokenizer.ggml.token_type') as number[]).slice(0, 4)).toEqual([3, 3, 3, 1])
      expect((metadata.get('tokenizer.ggml.tokens') as string[]).at(-1)).toBe('[PAD287]')
      expect((metadata.get('tokenizer.ggml.token_type') as number[]).at(-1)).toBe(5)
      expect(metadata.get('general.file_type')).toBe(2)
      // 48 columns are no multiple of 32.
      expect(tensors.get('blk.0.attn_q.weight')!.type).toBe('F16')
      expect(tensors.get('blk.0.attn_norm.weight')!.type).toBe('F32')
    })
    loaded.dispose()
    model.dispose()
  })

  it.each<[string, (json: Record<string, unknown>) => void, RegExp]>([
    [
      'another pre-tokenizer',
      (json) => {
        json.pre_tokenizer = { type: 'Whitespace' }
      },
      /^tokenizer\.json: pre_tokenizer: given \{"type":"Whitespace"\}; expected that of gpt-2, smollm, llama-bpe, qwen2/,
    ],
    [
      'another normalizer',
      (json) => {
        json.normalizer = { type: 'Lowercase' }
      },
      /pre_tokenizer/,
    ],
    [
      'what is put around a text',
      (json) => {
        const special = { SpecialToken: { id: '<|endoftext|>', type_id: 0 } }
        const text = { Sequence: { id: 'A', type_id: 0 } }
        const tokens = { '<|endoftext|>': { id: '<|endoftext|>', ids: [0], tokens: ['<|endoftext|>'] } }
        json.post_processor = {
          type: 'TemplateProcessing',
          single: [special, text],
          pair: [text],
          special_tokens: tokens,
        }
      },
      /^tokenizer\.json: post_processor: given one that makes \[0,/,
    ],
  ])('%s is refused by name, and nothing is written', async (_, change, message) => {
    const model = await loadModel(await tokenized(change))
    const path = at('refused.gguf')
    await expect(saveGguf(model, path)).rejects.toThrow(message)
    expect(existsSync(path)).toBe(false)
    model.dispose()
  })
})

const family = (name: string): string => `${fixtureDir('families')}/${name}`

describe('other families', () => {
  it.each(['llama-linear', 'llama3', 'mistral', 'qwen2', 'qwen3'])('%s: it loads to the same logits', async (name) => {
    const model = await loadModel(family(name))
    const path = at(`${name}.gguf`)
    await saveGguf(model, path, { type: 'f32' })
    expect(furthest(await logitsOf(path), logits(model))).toBeLessThan(1e-5)
    const again = at(`${name}-again.gguf`)
    const loaded = await loadModel(path)
    await saveGguf(loaded, again, { type: 'f32' })
    expect(readFileSync(again).equals(readFileSync(path))).toBe(true)
    loaded.dispose()
    model.dispose()
  })

  it.each([
    ['llama-yarn', /rope_type: given "yarn"; expected default, linear or llama3, to be written as GGUF$/],
    ['qwen2-sliding', /layer_types: given a sliding window in some layers alone/],
    ['gemma2', /model_type: given "gemma2"; expected llama, mistral, qwen2, qwen3, to be written as GGUF$/],
    ['gpt2', /model_type: given/],
  ])('%s is refused by name', async (name, message) => {
    const model = await loadModel(family(name))
    await expect(saveGguf(model, at('refused.gguf'))).rejects.toThrow(message)
    expect(existsSync(at('refused.gguf'))).toBe(false)
    model.dispose()
  })
})

describe('saveGguf', () => {
  it('another template and metadata of yours', async () => {
    const model = await loadModel(await tokenized())
    const path = at('yours.gguf')
    const metadata = new Map([['general.license', { type: 'string', value: 'apache-2.0' }] as const])
    await saveGguf(model, path, { chatTemplate: '{{ messages }}', metadata })
    await opened(path, ({ metadata: found }) => {
      expect(found.get('tokenizer.chat_template')).toBe('{{ messages }}')
      expect(found.get('general.license')).toBe('apache-2.0')
    })
    model.dispose()
  })

  it('a weight that float16 cannot hold: the old file stays', async () => {
    const dir = at('big')
    cpSync(`${fixtureDir('odd-llama')}/model`, dir, { recursive: true })
    const source = await fileSource(`${dir}/model.safetensors`)
    const file = await openSafetensors(source)
    const tensors = await Promise.all([...file.tensors.keys()].map((key) => file.read(key)))
    await source.close()
    const big = tensors.map((t) => {
      if (!t.name.endsWith('down_proj.weight')) return t
      return fromFloat32(
        t.name,
        t.shape,
        toFloat32(t).map((v, i) => (i === 3 ? 1e6 : v)),
      )
    })
    writeFileSync(`${dir}/model.safetensors`, writeSafetensors(big))
    const model = await loadModel(dir)
    const path = at('old.gguf')
    writeFileSync(path, 'old')
    await expect(saveGguf(model, path, { type: 'f16' })).rejects.toThrow(
      /down_proj\.weight: given the weight 1000000; expected at most 65504 in F16: write F32$/,
    )
    expect(readFileSync(path, 'utf8')).toBe('old')
    expect(readdirSync(scratch).filter((file) => file.includes('.tmp-'))).toEqual([])
    model.dispose()
  })
})

describe('a model of K-quants', () => {
  const types: GgufType[] = ['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'Q5_0', 'Q5_1']
  const bytesPerBlock: Record<string, number> = {
    Q2_K: 84,
    Q3_K: 110,
    Q4_K: 144,
    Q5_K: 176,
    Q6_K: 210,
    Q5_0: 22,
    Q5_1: 24,
  }
  const scalesAt: Record<string, number[]> = {
    Q2_K: [80, 82],
    Q3_K: [108],
    Q4_K: [0, 2],
    Q5_K: [0, 2],
    Q6_K: [208],
    Q5_0: [0],
    Q5_1: [0, 2],
  }
  const [d, vocab] = [256, 32]

  /** Random bytes with scales of about 2^-14. */
  const blocks = (type: GgufType, numbers: number, seed: number): Uint8Array => {
    const size = bytesPerBlock[type]!
    const count = numbers / (type.endsWith('K') ? 256 : 32)
    const bytes = Uint8Array.from({ length: count * size }, (_, i) => ((i + seed) * 2654435761) >>> 23)
    for (let b = 0; b < count; b++) for (const place of scalesAt[type]!) bytes.set([b & 255, 0x04], b * size + place)
    return bytes
  }
  const shapes: Record<string, number[]> = {
    'token_embd.weight': [vocab, d],
    'output.weight': [vocab, d],
    'blk.0.attn_q.weight': [d, d],
    'blk.0.attn_k.weight': [d / 2, d],
    'blk.0.attn_v.weight': [d / 2, d],
    'blk.0.attn_output.weight': [d, d],
    'blk.0.ffn_gate.weight': [512, d],
    'blk.0.ffn_up.weight': [512, d],
    'blk.0.ffn_down.weight': [d, 512],
  }

  it('loads and gives the logits of the same numbers in float32', async () => {
    const metadata = new Map(
      Object.entries({
        'general.architecture': { type: 'string', value: 'llama' },
        'llama.attention.head_count': { type: 'u32', value: 4 },
        'llama.attention.head_count_kv': { type: 'u32', value: 2 },
        'llama.embedding_length': { type: 'u32', value: d },
        'llama.feed_forward_length': { type: 'u32', value: 512 },
        'llama.block_count': { type: 'u32', value: 1 },
        'llama.context_length': { type: 'u32', value: 32 },
        'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
      } as const),
    )
    const norms = ['output_norm.weight', 'blk.0.attn_norm.weight', 'blk.0.ffn_norm.weight'].map(
      (name): GgufOutput => ({
        name,
        type: 'F32',
        shape: [d],
        bytes: () => quantize('F32', new Float32Array(d).fill(1)),
      }),
    )
    const packed = Object.entries(shapes).map(([name, shape], i): GgufOutput => {
      const type = types[i % types.length]!
      return { name, type, shape, bytes: () => blocks(type, shape[0]! * shape[1]!, i) }
    })
    const plain = packed.map((t): GgufOutput => {
      const count = t.shape[0]! * t.shape[1]!
      return { ...t, type: 'F32', bytes: async () => quantize('F32', dequantize(t.type, await t.bytes(), count)) }
    })
    await writeGguf(at('k.gguf'), { metadata, tensors: [...norms, ...packed] })
    await writeGguf(at('plain.gguf'), { metadata, tensors: [...norms, ...plain] })
    const [ours, exact] = [await logitsOf(at('k.gguf')), await logitsOf(at('plain.gguf'))]
    const largest = exact.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
    expect(largest).toBeGreaterThan(0)
    expect(furthest(ours, exact) / largest).toBeLessThan(2e-3)
    // A stream of chunks is the same file.
    const chunks: Uint8Array[] = []
    for await (const chunk of ggufChunks({ metadata, tensors: [...norms, ...packed] })) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(readFileSync(at('k.gguf')))).toBe(true)
  })
})
