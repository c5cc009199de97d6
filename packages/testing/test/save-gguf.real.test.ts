import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward, type Model, merge } from '@graftjs/core'
import { fromFloat32, loraToGguf, type NamedTensor, readAdapter, writeAdapter, writeGguf } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { generate, type LlamaConfig, type LoadedModel, loadAdapter, loadModel, saveGguf } from '@graftjs/models'
import { random, scope } from '@graftjs/tensor'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fixtureDir } from './fixture.ts'
import { llamaCpp } from './support/node-llama-cpp.ts'
import { withTokenizer } from './support/with-tokenizer.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-gguf-out-'))
afterAll(() => rmSync(scratch, { recursive: true }))
let base: LoadedModel
beforeAll(async () => {
  await useSimd()
  base = await loadModel(process.env.GRAFT_MODEL ?? '')
})
afterAll(() => base?.dispose())

/** A LoRA of rank 4 on every linear layer, of a size that turns what the model says. */
const adapter = async (): Promise<string> => {
  const draw = random(7, 'adapter')
  const tensors = new Map<string, NamedTensor>()
  const put = (name: string, rows: number, columns: number, size: number): void => {
    const values = Float32Array.from({ length: rows * columns }, () => (draw.uniform() - 0.5) * size)
    tensors.set(name, fromFloat32(name, [rows, columns], values))
  }
  for (const site of base.sites)
    if (site.kind === 'linear' && site.path !== 'lm_head') {
      put(`${site.path}.lora_A.weight`, 4, site.inDim, 0.1)
      put(`${site.path}.lora_B.weight`, site.outDim, 4, 0.1)
    }
  const target_modules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
  const config = { peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 4, lora_alpha: 12, target_modules }
  await writeAdapter(join(scratch, 'adapter'), { config, tensors })
  return join(scratch, 'adapter')
}

/** Greedy tokens after a prompt, up to the first step whose two best logits lie closer than `gap`. */
const sureTokens = async (model: Model, prompt: readonly number[], count: number, gap = 0.05): Promise<number[]> => {
  const [tokens] = await generate(model, [prompt], { maxNewTokens: count })
  const sure: number[] = []
  for (const token of tokens!) {
    const logits = scope(() =>
      Float32Array.from(
        forward(model, { ids: [[...prompt, ...sure]] })
          .logits(-1)
          .dataSync(),
      ),
    )
    const [first, second] = [...logits].sort((a, b) => b - a)
    if (first! - second! < gap) break
    sure.push(token)
  }
  return sure
}

it('SmolLM2 with a LoRA, merged in an F32 GGUF and as a GGUF beside it: llama.cpp continues with our tokens', async () => {
  const folder = await adapter()
  const merged = merge(await loadAdapter(base, folder, [lora]))
  const path = join(scratch, 'merged.gguf')
  await saveGguf(merged, path, { type: 'f32' })
  const prompts = ['The capital of France is', 'Once upon a time, there was a'].map((text) =>
    base.tokenizer!.encode(text),
  )
  const { made, encoded } = llamaCpp(path, prompts, 10)
  // The same from the base and the LoRA as two files.
  const [basePath, loraPath] = [join(scratch, 'base.gguf'), join(scratch, 'lora.gguf')]
  await saveGguf(base, basePath, { type: 'f32' })
  const { numAttentionHeads: heads, numKeyValueHeads: keyValueHeads } = base.config as LlamaConfig
  await writeGguf(loraPath, loraToGguf(await readAdapter(folder), { architecture: 'llama', heads, keyValueHeads }))
  const beside = llamaCpp(basePath, prompts, 10, loraPath)
  let compared = 0
  for (const [i, prompt] of prompts.entries()) {
    const sure = await sureTokens(merged, prompt, 10)
    expect(made[i]!.slice(0, sure.length)).toEqual(sure)
    expect(beside.made[i]!.slice(0, sure.length)).toEqual(sure)
    compared += sure.length
  }
  expect(compared).toBeGreaterThan(4)
  expect(encoded).toEqual(base.tokenizer!.encode('Roses are red,\n 12 naïve 日本'))
  const before = await generate(base, prompts, { maxNewTokens: 10 })
  expect(made).not.toEqual(before)
  merged.dispose()
})

// Their own arithmetic on packed weights rounds the activations too, so only the first token is compared.
it.each(['q8_0', 'q4_1'] as const)('%s: llama.cpp reads it and says " Paris"', async (type) => {
  const path = join(scratch, `${type}.gguf`)
  await saveGguf(base, path, { type })
  const { made } = llamaCpp(path, [base.tokenizer!.encode('The capital of France is')], 2)
  expect(base.tokenizer!.decode(made[0]!)).toMatch(/^ Paris/)
})

it.each(['tiny-llama/model', 'families/llama3', 'families/llama-linear', 'families/qwen2', 'families/qwen3'])(
  '%s from its folder: llama.cpp encodes a text and continues it as we do',
  async (name) => {
    const model = await loadModel(await withTokenizer(fixtureDir(name), mkdtempSync(join(scratch, 'family-'))))
    const path = join(scratch, 'family.gguf')
    await saveGguf(model, path, { type: 'f32' })
    const prompt = model.tokenizer!.encode('hello wo 12')
    const { made, encoded } = llamaCpp(path, [prompt], 8)
    // The logits of these are small.
    const sure = await sureTokens(model, prompt, 8, 1e-3)
    expect(sure.length).toBeGreaterThan(0)
    expect(made[0]!.slice(0, sure.length)).toEqual(sure)
    expect(encoded).toEqual(model.tokenizer!.encode('Roses are red,\n 12 naïve 日本'))
    model.dispose()
  },
)
