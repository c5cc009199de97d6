import { readFileSync } from 'node:fs'
import { attach, type JsonObject } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadModel } from '@graftjs/models'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { faultOrNone, seeded } from '../../files/src/files.test-util.ts'
import { FUZZ_COUNT } from '../../files/src/fuzz.test-util.ts'
import { fixtureDir } from './fixture.ts'

let model: LoadedModel
beforeAll(async () => {
  await useSimd({ threads: 1 })
  model = await loadModel(`${fixtureDir('odd-llama')}/model`)
})
afterAll(() => model.dispose())

const config = JSON.parse(
  readFileSync(`${fixtureDir('tiny-llama')}/adapter-all/adapter_config.json`, 'utf8'),
) as JsonObject

/** Values of the wrong kind, out of range, hostile to a pattern matcher, or a name of the language; as JSON. */
const odd = [
  'null,true,false,0,-1,0.5,1e308,2147483648,"","q_proj","(a+)+$","(((","__proto__","all-linear"'.split(','),
  [
    '[]',
    '[[]]',
    '[null]',
    '["q_proj","q_proj"]',
    '{}',
    '{"q_proj":-1}',
    '{"q_proj":1e308}',
    '{"(x+x+)+y":4}',
    '{"constructor":2}',
  ],
  [`"${'x'.repeat(10_000)}"`],
].flat()

/** The config with one or two keys changed, as text: `__proto__` is then a key like others. */
const changed = (random: (n: number) => number): string => {
  const entries = new Map(Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)]))
  const keys = [...entries.keys(), '__proto__', 'constructor', 'new_option']
  for (let n = 1 + random(2); n > 0; n--) entries.set(keys[random(keys.length)]!, odd[random(odd.length)]!)
  return `{${[...entries].map(([key, value]) => `${JSON.stringify(key)}:${value}`)}}`
}

it(`${FUZZ_COUNT} adapter configs with odd values: an adapter, or a GraftError, within a second`, {
  timeout: 3_600_000,
}, async () => {
  let refused = 0
  for (let seed = 0; seed < FUZZ_COUNT; seed++) {
    const text = changed(seeded(seed))
    const begin = performance.now()
    const fault = await faultOrNone(() => {
      const read = JSON.parse(text) as JsonObject
      // A rank of 2^31 is a claim that no file backs; loading compares it with the tensors first.
      attach(model, lora.kind.read(read)).dispose()
    }).catch((cause: Error) => {
      throw new Error(`seed ${seed}: ${text.slice(0, 2_000)}`, { cause })
    })
    const ms = performance.now() - begin
    if (ms > 1_000) throw new Error(`seed ${seed}: ${Math.round(ms)} ms for ${text.slice(0, 2_000)}`)
    if (fault) refused++
  }
  expect(refused).toBeGreaterThan(FUZZ_COUNT / 10)
  expect(refused).toBeLessThan(FUZZ_COUNT)
})
