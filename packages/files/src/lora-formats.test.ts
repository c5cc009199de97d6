import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { faultOf, inFolder } from './files.test-util.ts'
import {
  type AdapterFolder,
  bytesSource,
  fromFloat32,
  type Gguf,
  ggufChunks,
  type JsonObject,
  loraFromGguf,
  loraToGguf,
  openGguf,
  openSafetensors,
  readMlxAdapter,
  toFloat32,
  writeMlxAdapter,
  writeSafetensors,
} from './index.ts'

const q = 'model.layers.0.self_attn.q_proj'
const down = 'model.layers.1.mlp.down_proj'
const tensor = (name: string, shape: [number, number], from: number) =>
  [
    name,
    fromFloat32(
      name,
      shape,
      Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => from + i),
    ),
  ] as const

/** Ranks 2 and 1: q_proj [8, 3] with two heads of four rows, down_proj [3, 5]. */
const adapter = (change: JsonObject = {}): AdapterFolder => ({
  config: {
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 4,
    rank_pattern: { 'mlp.down_proj': 1 },
    alpha_pattern: { down_proj: 6 },
    bias: 'none',
    modules_to_save: null,
    ...change,
  },
  tensors: new Map([
    tensor(`${q}.lora_A.weight`, [2, 3], 1),
    tensor(`${q}.lora_B.weight`, [8, 2], 10),
    tensor(`${down}.lora_A.weight`, [1, 5], 50),
    tensor(`${down}.lora_B.weight`, [3, 1], 70),
  ]),
})
const base = { architecture: 'llama', heads: 2, keyValueHeads: 1 }

/** scale · B A of each layer, which is all that an adapter says. */
const deltas = ({ config, tensors }: AdapterFolder): Record<string, number[]> => {
  const patterns = (key: string, path: string): number | undefined =>
    Object.entries((config[key] ?? {}) as Record<string, number>).find(([end]) => `.${path}`.endsWith(`.${end}`))?.[1]
  const paths = [...tensors.keys()].filter((name) => name.endsWith('lora_A.weight')).map((name) => name.slice(0, -14))
  return Object.fromEntries(
    paths.map((path) => {
      const [a, b] = [tensors.get(`${path}.lora_A.weight`)!, tensors.get(`${path}.lora_B.weight`)!]
      const [rank, inDim, outDim] = [a.shape[0]!, a.shape[1]!, b.shape[0]!]
      const [av, bv] = [toFloat32(a), toFloat32(b)]
      const r = patterns('rank_pattern', path) ?? (config.r as number)
      const scale =
        (patterns('alpha_pattern', path) ?? (config.lora_alpha as number)) / (config.use_rslora ? Math.sqrt(r) : r)
      const sum = (o: number, i: number) =>
        Array.from({ length: rank }, (_, k) => bv[o * rank + k]! * av[k * inDim + i]!).reduce((x, y) => x + y, 0)
      return [path, Array.from({ length: outDim * inDim }, (_, n) => scale * sum(Math.floor(n / inDim), n % inDim))]
    }),
  )
}
const close = (given: Record<string, number[]>, expected: Record<string, number[]>): void => {
  expect(Object.keys(given)).toEqual(Object.keys(expected))
  for (const [path, values] of Object.entries(expected))
    for (const [i, value] of values.entries()) expect(given[path]![i]! / value).toBeCloseTo(1, 5)
}
const opened = async (from: AdapterFolder): Promise<Gguf> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of ggufChunks(loraToGguf(from, base))) chunks.push(chunk)
  return openGguf(bytesSource(Buffer.concat(chunks), 'lora.gguf'))
}

describe('LoRA as GGUF', () => {
  test('names, shapes and scale as llama.cpp has them', async () => {
    const file = await opened(adapter())
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.type': 'adapter',
      'general.architecture': 'llama',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 4,
    })
    expect([...file.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual([
      ['blk.0.attn_q.weight.lora_a', [2, 3]],
      ['blk.0.attn_q.weight.lora_b', [8, 2]],
      ['blk.1.ffn_down.weight.lora_a', [1, 5]],
      ['blk.1.ffn_down.weight.lora_b', [3, 1]],
    ])
    const b = new Float32Array(Uint8Array.from(await file.read('blk.0.attn_q.weight.lora_b')).buffer)
    // Rows 0 … 3 of each head become 0, 2, 1, 3.
    expect([...b].filter((_, i) => i % 2 === 0)).toEqual([10, 14, 12, 16, 18, 22, 20, 24])
    // 4 / 1 is added for down_proj; PEFT's scale is 6.
    const d = new Float32Array(Uint8Array.from(await file.read('blk.1.ffn_down.weight.lora_b')).buffer)
    expect([...d]).toEqual([105, 106.5, 108])
  })

  test.each([{}, { use_rslora: true }, { alpha_pattern: {}, rank_pattern: null, lora_alpha: 0.5, r: 3 }])(
    'there and back with %j',
    async (change) => {
      close(deltas(await loraFromGguf(await opened(adapter(change)), base)), deltas(adapter(change)))
    },
  )

  test('a scale of zero stays one', async () => {
    const back = await loraFromGguf(await opened(adapter({ lora_alpha: 0, alpha_pattern: null })), base)
    for (const values of Object.values(deltas(back))) expect(values.every((v) => v === 0)).toBe(true)
  })

  test.each<[string, AdapterFolder, RegExp]>([
    ['DoRA', adapter({ use_dora: true }), /adapter: use_dora: given true; expected false, .*merge the adapter/],
    ['another method', adapter({ peft_type: 'IA3' }), /peft_type: given "IA3"; expected "LORA"/],
    ['biases', adapter({ bias: 'all' }), /bias: given "all"/],
    ['whole modules', adapter({ modules_to_save: ['lm_head'] }), /modules_to_save/],
    ['a pattern of more than names', adapter({ alpha_pattern: { '.*q': 1 } }), /alpha_pattern\["\.\*q"\]/],
    ['a rank of zero', adapter({ r: 0 }), /adapter: r: given 0/],
    [
      'other tensors',
      { ...adapter(), tensors: new Map([...adapter().tensors, tensor('x.lora_embedding_A', [1, 1], 0)]) },
      /tensors: given "x\.lora_embedding_A"/,
    ],
    [
      'an A without its B',
      { ...adapter(), tensors: new Map([tensor(`${q}.lora_A.weight`, [2, 3], 1)]) },
      /lora_A \[2,3\] and lora_B nowhere/,
    ],
    [
      'a layer that GGUF does not know',
      {
        ...adapter(),
        tensors: new Map([
          tensor('h.0.c_attn.lora_A.weight', [2, 3], 1),
          tensor('h.0.c_attn.lora_B.weight', [3, 2], 1),
        ]),
      },
      /h\.0\.c_attn: given a layer without a name in GGUF/,
    ],
  ])('%s is refused', async (_, given, message) => {
    expect((await faultOf(() => loraToGguf(given, base))).message).toMatch(message)
  })

  test('a file that is no LoRA', async () => {
    const chunks: Uint8Array[] = []
    for await (const chunk of ggufChunks({ metadata: new Map(), tensors: [] })) chunks.push(chunk)
    const file = await openGguf(bytesSource(Buffer.concat(chunks)))
    expect((await faultOf(() => loraFromGguf(file, base, 'x.gguf'))).message).toMatch(
      /^x\.gguf: given no adapter of type lora/,
    )
  })
})

describe('LoRA of mlx-lm', () => {
  test('there and back', () =>
    inFolder(async (dir) => {
      await writeMlxAdapter(dir, adapter(), { layers: 2 })
      const config = JSON.parse(await readFile(`${dir}/adapter_config.json`, 'utf8')) as JsonObject
      expect(config).toEqual({
        fine_tune_type: 'lora',
        num_layers: 2,
        lora_parameters: { rank: 2, scale: 2, dropout: 0, keys: ['mlp.down_proj', 'self_attn.q_proj'] },
      })
      const file = await openSafetensors(bytesSource(await readFile(`${dir}/adapters.safetensors`)))
      expect(file.tensors.get(`${q}.lora_a`)!.shape).toEqual([3, 2])
      expect([...toFloat32(await file.read(`${q}.lora_a`))]).toEqual([1, 4, 2, 5, 3, 6])
      expect(file.tensors.get(`${q}.lora_b`)!.shape).toEqual([2, 8])
      close(deltas(await readMlxAdapter(dir)), deltas(adapter()))
    }))

  test.each<[string, unknown, RegExp]>([
    [
      'DoRA',
      { fine_tune_type: 'dora', lora_parameters: { scale: 2 } },
      /fine_tune_type: given "dora"; expected "lora"/,
    ],
    ['no scale', { lora_parameters: {} }, /lora_parameters\.scale: given null; expected a number/],
    ['no object', [], /given no object/],
  ])('%s is refused', (_, config, message) =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/adapter_config.json`, JSON.stringify(config))
      await writeFile(`${dir}/adapters.safetensors`, writeSafetensors([]))
      expect((await faultOf(() => readMlxAdapter(dir))).message).toMatch(message)
    }),
  )

  test('other tensors are refused', () =>
    inFolder(async (dir) => {
      await writeMlxAdapter(dir, adapter(), { layers: 2 })
      await writeFile(
        `${dir}/adapters.safetensors`,
        writeSafetensors([fromFloat32('a.lora_a', [1, 1], Float32Array.of(1))]),
      )
      expect((await faultOf(() => readMlxAdapter(dir))).message).toMatch(/^a: given lora_A \[1,1\] and lora_B nowhere/)
      await writeFile(`${dir}/adapters.safetensors`, writeSafetensors([fromFloat32('a.m', [1], Float32Array.of(1))]))
      expect((await faultOf(() => readMlxAdapter(dir))).message).toMatch(/given a\.m of \[1\]/)
    }))
})
