import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backward, type Call, forward, type StoredParam, type Tuned } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { generate, type LoadedModel, loadAdapter, loadModel, saveAdapter } from '@graftjs/models'
import { adamw } from '@graftjs/optim'
import { clone, dispose, keep, memory, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import { registerGradients } from '@graftjs/tensor/register'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../src/index.ts'
import { batchOf, type Facts, fixtureDir, readFixture, unpadded } from './fixture.ts'

const backends = {
  simd: async () => void (await useSimd({ threads: 2 })),
  cpu: async () => {
    await registerGradients()
    await tf.setBackend('cpu')
  },
}
const scratch = mkdtempSync(join(tmpdir(), 'graft-llama-'))
afterAll(() => rmSync(scratch, { recursive: true }))
beforeAll(() => void tf.env().set('IS_TEST', true))

const targets = (labels: number[][]): number => labels.flatMap((row) => row.slice(1)).filter((l) => l !== -100).length
const meanLoss = (tuned: Tuned | LoadedModel, side: Facts['right'], call: Call = {}): Tensor =>
  mul(sum(forward(tuned, batchOf(side), call).nll(side.labels)), 1 / targets(side.labels))

const gradients = (
  tuned: Tuned,
  side: Facts['right'],
  call: Call = {},
): { loss: number; grads: Map<StoredParam, Tensor> } => {
  const grads = new Map<StoredParam, Tensor>()
  const value = backward(
    () => meanLoss(tuned, side, call),
    (p, g) => grads.set(p as StoredParam, keep(clone(g))),
  )
  const loss = value.dataSync()[0]!
  dispose(value)
  return { loss, grads }
}

for (const name of ['tiny-llama', 'odd-llama'])
  for (const [backend, use] of Object.entries(backends))
    describe(`${name} on ${backend}, against transformers and PEFT`, async () => {
      const { facts, expected } = await readFixture(name)
      let model: LoadedModel
      beforeAll(async () => {
        await use()
        model = await loadModel(`${fixtureDir(name)}/model`)
      })
      afterAll(() => model.dispose())

      it.each(['right', 'left'] as const)('logits and loss with padding on the %s', async (side) => {
        const logits = scope(() => forward(model, batchOf(facts[side])).logits().dataSync() as Float32Array)
        expect(
          relativeError(
            unpadded(logits, facts[side].mask),
            unpadded(await expected(`${side}.logits`), facts[side].mask),
          ),
        ).toBeLessThan(1e-5)
        expect(scope(() => meanLoss(model, facts[side]).dataSync()[0]!)).toBeCloseTo(facts[side].loss, 4)
      })

      it('greedy tokens, alone and batched with padding on the left', async () => {
        const prompts = facts.greedy.map(({ prompt }) => prompt)
        const wanted = facts.greedy.map(({ tokens }) => tokens)
        for (const [i, prompt] of prompts.entries())
          expect(await generate(model, [prompt], { maxNewTokens: 15 })).toEqual([wanted[i]])
        expect(await generate(model, prompts, { maxNewTokens: 15 })).toEqual(wanted)
      })

      for (const adapter of Object.keys(facts.adapters)) {
        it(`adapter ${adapter}: logits, gradients, five steps of AdamW`, async () => {
          const tuned = await loadAdapter(model, `${fixtureDir(name)}/adapter-${adapter}`, [lora])
          const { mask } = facts.right
          const logits = scope(() => forward(tuned, batchOf(facts.right)).logits().dataSync() as Float32Array)
          expect(
            relativeError(unpadded(logits, mask), unpadded(await expected(`${adapter}.logits`), mask)),
          ).toBeLessThan(1e-5)
          const { grads } = gradients(tuned, facts.right)
          expect(grads.size).toBe(tuned.params.all.size)
          for (const [param, grad] of grads)
            expect(
              relativeError(grad.dataSync(), await expected(`${adapter}.grad.${param.path}`)),
              param.path,
            ).toBeLessThan(1e-4)
          dispose([...grads.values()])
          const optimizer = adamw({ learningRate: 1e-2, weightDecay: 0.01 })
          for (const [i, wanted] of facts.adapters[adapter]!.losses.entries()) {
            const step = gradients(tuned, facts.right)
            expect(Math.abs(step.loss / wanted - 1)).toBeLessThan(1e-4)
            for (const [param, grad] of step.grads) optimizer.update(param, grad, { lr: 1e-2, step: i + 1 })
            dispose([...step.grads.values()])
          }
          for (const param of tuned.params.all.values())
            expect(
              relativeError(param.value.dataSync(), await expected(`${adapter}.after.${param.path}`)),
              param.path,
            ).toBeLessThan(2e-4)
          optimizer.dispose()
          tuned.dispose()
        })

        it(`adapter ${adapter}: keep all, none and a budget give the same bits; no tensor stays`, async () => {
          const tuned = await loadAdapter(model, `${fixtureDir(name)}/adapter-${adapter}`, [lora])
          const bits = (call: Call): number[][] => {
            const { loss, grads } = gradients(tuned, facts.right, call)
            const values = [...grads.values()].map((g) => [...g.dataSync()])
            dispose([...grads.values()])
            return [[loss], ...values]
          }
          const none = bits({ keep: 'none' })
          const before = memory()
          expect(bits({ keep: 'all' })).toEqual(none)
          expect(bits({ keep: 40_000 })).toEqual(none)
          expect(memory()).toEqual(before)
          tuned.dispose()
        })

        it(`adapter ${adapter}: saved again it has the same keys, shapes and bytes`, async () => {
          const from = `${fixtureDir(name)}/adapter-${adapter}`
          const tuned = await loadAdapter(model, from, [lora])
          const to = join(scratch, `${name}-${backend}-${adapter}`)
          await saveAdapter(tuned, to)
          expect(
            readFileSync(`${to}/adapter_model.safetensors`).equals(readFileSync(`${from}/adapter_model.safetensors`)),
          ).toBe(true)
          const config = (dir: string): unknown => JSON.parse(readFileSync(`${dir}/adapter_config.json`, 'utf8'))
          // JavaScript has one kind of number: PEFT's 0.0 comes back as 0.
          expect(config(to)).toEqual(config(from))
          tuned.dispose()
        })
      }

      it('the fused product and the onion agree', async () => {
        const tuned = await loadAdapter(model, `${fixtureDir(name)}/adapter-all`, [lora])
        // Without lowRank every site takes the generic path.
        const plain: Tuned = {
          ...tuned,
          patches: new Map(
            [...tuned.patches].map(([site, list]) => [
              site,
              list.map(({ lowRank: _, ...patch }) => patch as (typeof list)[number]),
            ]),
          ),
        }
        const [fused, onion] = [gradients(tuned, facts.right), gradients(plain, facts.right)]
        expect(fused.loss).toBeCloseTo(onion.loss, 5)
        for (const [param, grad] of fused.grads)
          expect(relativeError(grad.dataSync(), onion.grads.get(param)!.dataSync())).toBeLessThan(2e-5)
        dispose([...fused.grads.values(), ...onion.grads.values()])
        tuned.dispose()
      })

      it('refuses the adapter of another model, listing what does not fit', async () => {
        const other = name === 'tiny-llama' ? 'odd-llama' : 'tiny-llama'
        await expect(loadAdapter(model, `${fixtureDir(other)}/adapter-all`, [lora])).rejects.toThrow(
          /lora_A.weight: given shape \[4,\d+\]; expected \[4,\d+\]|missing|unexpected/,
        )
      })
    })
