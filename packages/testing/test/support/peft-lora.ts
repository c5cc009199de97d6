import { existsSync, readFileSync } from 'node:fs'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { fixtureDir } from '../fixture.ts'

export interface PeftLora {
  /** Of encoder-decoders. */
  readonly decoderIds: number[][]
  readonly ids: Record<string, number[][]>
  /** The cases of each model, folders of peft-lora/MODEL. */
  readonly cases: Record<string, string[]>
  /** What was given to add_weighted_adapter, by the name of its result. */
  readonly combined: Record<string, { adapters: string[]; weights: number[]; combination_type: string } & Options>
}

interface Options {
  readonly svd_rank?: number
  readonly svd_clamp?: number
  readonly density?: number
  readonly majority_sign_method?: 'total' | 'frequency'
}

/** Where the base model of these cases lies. */
export const modelFolder = (name: string): string =>
  [`${name}/model`, `families/${name}`, `encoders/${name}`].map(fixtureDir).find((dir) => existsSync(dir))!

/** What tooling/oracle/peft_lora.py recorded from PEFT. */
export const readPeftLora = async (): Promise<{
  facts: PeftLora
  expected: (key: string) => Promise<Float32Array>
  bytes: (key: string) => Promise<Uint8Array>
  keys: string[]
}> => {
  const folder = fixtureDir('peft-lora')
  const facts = JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8')) as PeftLora
  const file = await openSafetensors(bytesSource(readFileSync(`${folder}/expected.safetensors`)))
  return {
    facts,
    expected: async (key) => toFloat32(await file.read(key)),
    bytes: async (key) => (await file.read(key)).bytes,
    keys: [...file.tensors.keys()],
  }
}
