import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { describe, expect, it } from 'vitest'
import { runCli } from './run-cli.ts'

const families = fileURLToPath(new URL('../../testing/fixtures/families', import.meta.url))

/** Two rows of tokens on one width, padding on the right; 9 stands for it. */
const padded = (rows: readonly number[][]): { ids: number[][]; mask: number[][] } => {
  const width = Math.max(...rows.map((row) => row.length))
  const fill = (row: number[], value: number): number[] => [
    ...row,
    ...new Array<number>(width - row.length).fill(value),
  ]
  return {
    ids: rows.map((row) => fill(row, 9)),
    mask: rows.map((row) =>
      fill(
        row.map(() => 1),
        0,
      ),
    ),
  }
}

describe('graft logits of a tiny model of each family, against transformers', () => {
  it.each(readdirSync(families))('%s', async (name) => {
    const dir = `${families}/${name}`
    const { rows } = JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as { rows: number[][] }
    const file = await openSafetensors(bytesSource(readFileSync(`${dir}/expected.safetensors`)))
    const expected = toFloat32(await file.read('logits'))
    const { ids, mask } = padded(rows)
    const asked = ['--ids', JSON.stringify(ids), '--mask', JSON.stringify(mask)]
    const { code, out, err } = await runCli('logits', '--model', dir, ...asked, '--json')
    expect([code, err]).toEqual([0, ''])
    const { shape, data } = JSON.parse(out) as { shape: number[]; data: number[] }
    expect(shape.slice(0, 2)).toEqual([ids.length, ids[0]!.length])
    const own = data.filter((_, i) => mask.flat()[Math.floor(i / shape[2]!)])
    expect(own.length).toBe(expected.length)
    own.forEach((logit, i) => expect(Math.abs(logit - expected[i]!)).toBeLessThan(1e-4))
  })
})
