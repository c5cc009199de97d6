import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Batch } from '@graftjs/core'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'

export const fixtureDir = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

interface Side {
  readonly ids: number[][]
  readonly mask: number[][]
  readonly labels: number[][]
  readonly loss: number
}
export interface Facts {
  readonly right: Side
  readonly left: Side
  readonly greedy: { prompt: number[]; tokens: number[] }[]
  readonly adapters: Record<string, { losses: number[] }>
}

/** What tooling/oracle/tiny_llama.py recorded from transformers and PEFT. */
export const readFixture = async (
  name: string,
): Promise<{ facts: Facts; expected: (key: string) => Promise<Float32Array>; keys: string[] }> => {
  const facts = JSON.parse(readFileSync(`${fixtureDir(name)}/expected.json`, 'utf8')) as Facts
  const file = await openSafetensors(bytesSource(readFileSync(`${fixtureDir(name)}/expected.safetensors`)))
  return { facts, expected: async (key) => toFloat32(await file.read(key)), keys: [...file.tensors.keys()] }
}

export const batchOf = ({ ids, mask, labels }: Side): Required<Pick<Batch, 'ids' | 'mask' | 'labels'>> => ({
  ids,
  mask,
  labels,
})

/** The rows of [B, T, V] at positions that are not padding. */
export const unpadded = (values: Float32Array, mask: readonly (readonly number[])[]): Float32Array => {
  const width = values.length / mask.flat().length
  const keep = mask.flat()
  return values.filter((_, i) => keep[Math.floor(i / width)] === 1)
}
