import { readFileSync, writeFileSync } from 'node:fs'
import { fileSource, fromFloat32, openSafetensors, toFloat32, writeSafetensors } from '@graftjs/files'
import { tinyJson } from '../../../text/src/tiny-tokenizer.test-util.ts'

/** Words of the embedding: more than the tokenizer has. */
const ROWS = 288

/**
 * Writes to `dir` the model of `base`, its table of words made wide enough for a tokenizer, and the tokenizer, which
 * `change` may change.
 */
export const withTokenizer = async (
  base: string,
  dir: string,
  change: (json: Record<string, unknown>) => void = () => {},
): Promise<string> => {
  const { tokenizer, config } = tinyJson()
  const json = structuredClone(tokenizer) as Record<string, unknown>
  change(json)
  const modelConfig = JSON.parse(readFileSync(`${base}/config.json`, 'utf8')) as { vocab_size: number }
  const source = await fileSource(`${base}/model.safetensors`)
  const file = await openSafetensors(source)
  const tensors = await Promise.all([...file.tensors.keys()].map((key) => file.read(key)))
  await source.close()
  const wide = tensors.map((t) => {
    const [rows, columns] = t.shape
    if (rows !== modelConfig.vocab_size) return t
    const values = toFloat32(t)
    // No two words alike, or the likeliest would be two.
    const value = (_: unknown, i: number): number =>
      values[i % values.length]! * (1 + Math.floor(i / values.length) / 7)
    return fromFloat32(t.name, [ROWS, columns!], Float32Array.from({ length: ROWS * columns! }, value))
  })
  writeFileSync(`${dir}/model.safetensors`, writeSafetensors(wide))
  writeFileSync(`${dir}/config.json`, JSON.stringify({ ...modelConfig, vocab_size: ROWS }))
  writeFileSync(`${dir}/tokenizer.json`, JSON.stringify(json))
  writeFileSync(`${dir}/tokenizer_config.json`, JSON.stringify(config))
  return dir
}
