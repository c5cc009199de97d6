import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseAdapterConfig } from '../src/adapter-folder.ts'
import { faultOf, utf8 } from '../src/files.test-util.ts'
import { boundedSource, FUZZ_COUNT, fuzz } from '../src/fuzz.test-util.ts'
import {
  type GgufEntry,
  ggufChunks,
  openGguf,
  openSafetensors,
  openSharded,
  pythonJson,
  quantize,
  writeSafetensors,
} from '../src/index.ts'

const fixture = (name: string): Uint8Array =>
  readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)))
const timeout = 3_600_000

const smallGguf = async (): Promise<Uint8Array> => {
  const metadata = new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.alignment', { type: 'u32', value: 32 }],
    ['a.u64', { type: 'u64', value: 7 }],
    ['a.strings', { type: 'string[]', value: ['a', 'bc', ''] }],
    ['a.numbers', { type: 'f32[]', value: [1, 2] }],
  ])
  const values = Float32Array.from({ length: 32 }, (_, i) => i)
  const tensors = (['F32', 'Q8_0', 'Q4_1'] as const).map((type) => ({
    name: `t.${type}`,
    type,
    shape: [1, 32],
    bytes: () => quantize(type, values),
  }))
  const chunks: Uint8Array[] = []
  for await (const chunk of ggufChunks({ metadata, tensors })) chunks.push(chunk)
  return Uint8Array.from(Buffer.concat(chunks))
}

const readGguf = async (bytes: Uint8Array): Promise<void> => {
  const file = await openGguf(boundedSource(bytes, 'a.gguf'))
  for (const { name, bytes: size } of file.tensors.values()) expect((await file.read(name)).byteLength).toBe(size)
}
const readSafetensors = async (bytes: Uint8Array): Promise<void> => {
  const file = await openSafetensors(boundedSource(bytes, 'a.safetensors'))
  for (const name of file.tensors.keys()) await file.read(name)
}

describe(`${FUZZ_COUNT} changes each: a result or a GraftError, within a second and four times the file`, () => {
  test('safetensors', { timeout }, async () => {
    const refused = await fuzz(fixture('python.safetensors').subarray(), readSafetensors)
    expect(refused).toBeGreaterThan(FUZZ_COUNT / 4)
    expect(refused).toBeLessThan(FUZZ_COUNT)
  })

  test('GGUF', { timeout }, async () => {
    const refused = await fuzz(await smallGguf(), readGguf)
    expect(refused).toBeGreaterThan(FUZZ_COUNT / 4)
    expect(refused).toBeLessThan(FUZZ_COUNT)
  })

  test('adapter_config.json', { timeout }, async () => {
    const config = {
      peft_type: 'LORA',
      r: 8,
      target_modules: ['q_proj', 'v_proj'],
      rank_pattern: { k_proj: 4 },
      lora_alpha: 0.5,
      bias: 'none',
      revision: null,
    }
    const refused = await fuzz(utf8(pythonJson(config)), (bytes) =>
      parseAdapterConfig(new TextDecoder().decode(bytes), 'adapter_config.json'),
    )
    expect(refused).toBeGreaterThan(FUZZ_COUNT / 4)
    expect(refused).toBeLessThan(FUZZ_COUNT)
  })

  test('model.safetensors.index.json', { timeout }, async () => {
    const shard = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [1], bytes: new Uint8Array(4) }])
    const index = utf8('{"metadata":{"total_size":4},"weight_map":{"w":"m.safetensors"}}')
    const refused = await fuzz(index, (bytes) =>
      openSharded(async (name) => boundedSource(name.endsWith('.json') ? bytes : shard, name)),
    )
    expect(refused).toBeGreaterThan(FUZZ_COUNT / 4)
    expect(refused).toBeLessThan(FUZZ_COUNT)
  })
})

describe('cut at every byte', () => {
  test('safetensors', async () => {
    const bytes = fixture('python.safetensors')
    for (let length = 0; length < bytes.length; length++)
      expect((await faultOf(() => readSafetensors(bytes.subarray(0, length)))).code, `${length}`).toBe('bad-file')
  })

  test('GGUF, the padding behind the last tensor aside', async () => {
    const bytes = await smallGguf()
    // Q4_1 has 20 bytes, and 12 of padding follow.
    for (let length = 0; length < bytes.length - 12; length++)
      expect((await faultOf(() => readGguf(bytes.subarray(0, length)))).code, `${length}`).toBe('bad-file')
    await readGguf(bytes.subarray(0, -12))
  })

  test('adapter_config.json', async () => {
    const text = pythonJson({ peft_type: 'LORA', target_modules: ['q_proj'], r: 8 })
    for (let length = 0; length < text.length; length++)
      await faultOf(() => parseAdapterConfig(text.slice(0, length), 'adapter_config.json'))
  })
})
