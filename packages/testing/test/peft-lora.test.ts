import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forward, type Model, merge, type Tuned } from '@graftjs/core'
import { readAdapter, toFloat32 } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadAdapter, loadModel, saveAdapter } from '@graftjs/models'
import { memory, scope } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { largestDifference, relativeError } from '../src/index.ts'
import { fixtureDir } from './fixture.ts'
import { modelFolder, readPeftLora } from './support/peft-lora.ts'

const scratch = mkdtempSync(join(tmpdir(), 'graft-peft-lora-'))
afterAll(() => rmSync(scratch, { recursive: true }))
beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const copies = /\.base_layer\.weight$|^lm_head\.weight$|\.original_module\.|\.modules_to_save\./
const { facts, expected } = await readPeftLora()

for (const [name, cases] of Object.entries(facts.cases))
  describe(`LoRA of PEFT on ${name}`, () => {
    const batch = { ids: facts.ids[name]!, decoderIds: facts.decoderIds }
    const logitsOf = (model: Tuned | Model): Float32Array =>
      scope(() => forward(model, batch).logits().dataSync() as Float32Array).slice()
    let model: LoadedModel
    beforeAll(async () => {
      model = await loadModel(modelFolder(name))
      logitsOf(model) // tables of positions are made once
    })
    afterAll(() => model.dispose())

    it.each(cases)('%s: logits, merged, saved again', async (key) => {
      const before = memory().tensors
      const from = `${fixtureDir('peft-lora')}/${name}/${key}`
      const tuned = await loadAdapter(model, from, [lora])
      const wanted = await expected(`${name}/${key}`)
      const logits = logitsOf(tuned)
      expect(largestDifference(logits, wanted)).toBeLessThan(1e-4)
      expect(relativeError(logitsOf(model), wanted)).toBeGreaterThan(1e-3)
      // A bias where the architecture has none cannot be folded in.
      if (`${name}/${key}` === 'odd-llama/lora-bias' || `${name}/${key}` === 'qwen2/bias-lora')
        expect(() => merge(tuned)).toThrow('has no bias')
      else {
        const merged = merge(tuned)
        expect(relativeError(logitsOf(merged), logits)).toBeLessThan(1e-5)
        merged.dispose()
      }
      const to = join(scratch, `${name}-${key}`)
      await saveAdapter(tuned, to)
      const [ours, theirs] = [await readAdapter(to), await readAdapter(from)]
      expect(ours.config).toEqual(theirs.config)
      // PEFT also writes the model's own matrices beside an embedding's LoRA, and what lies behind its wrappers.
      const own = [...theirs.tensors.keys()].filter(
        (path) => !copies.test(path) || (path === 'lm_head.weight' && key !== 'positions'),
      )
      expect([...ours.tensors.keys()].sort()).toEqual(own.sort())
      for (const path of own)
        expect(toFloat32(ours.tensors.get(path)!), path).toEqual(toFloat32(theirs.tensors.get(path)!))
      tuned.dispose()
      expect(memory().tensors).toBe(before)
    })

    it.each(cases)('%s: what lora writes itself describes the same method', (key) => {
      const json = JSON.parse(readFileSync(`${fixtureDir('peft-lora')}/${name}/${key}/adapter_config.json`, 'utf8'))
      const own = lora.kind.write(lora.kind.read(json))
      for (const option of Object.keys(own).filter((k) => k !== 'base_model_name_or_path')) {
        const value = (v: unknown): unknown => (Array.isArray(v) ? [...v].sort() : v)
        expect(value(own[option]), option).toEqual(value(json[option]))
      }
    })
  })
