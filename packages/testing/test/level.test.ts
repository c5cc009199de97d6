import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, it } from 'vitest'
import type { Level } from './support/level-child.ts'

const program = fileURLToPath(new URL('./support/level-child.ts', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'graft-level-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const whole = process.env.GRAFT_MATRIX === 'whole'
const steps = whole ? 10_000 : 2000
const every = steps / 40

/** Bytes a step by least squares. */
const slope = (levels: readonly Level[], of: (level: Level) => number): number => {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length
  const [x, y] = [levels.map(({ step }) => step), levels.map(of)]
  const [mx, my] = [mean(x), mean(y)]
  return mean(x.map((v, i) => (v - mx) * (y[i]! - my))) / mean(x.map((v) => (v - mx) ** 2))
}

it(`${steps} steps with dropout, noise, packing, evaluations and checkpoints leave the memory level`, {
  timeout: 120_000,
}, async () => {
  const flags = ['--expose-gc', '--conditions=@graftjs/source', '--disable-warning=ExperimentalWarning']
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, dir, `${steps}`, `${every}`])
  const all = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Level)
  expect(all.map(({ step }) => step)).toEqual(Array.from({ length: steps / every }, (_, i) => (i + 1) * every))
  const levels = all.filter(({ step }) => step > steps / 2)
  const first = levels[0]!
  const { tensors, bytes, shared } = first
  for (const level of levels) expect(level).toMatchObject({ tensors, bytes, shared })
  const [heap, rss] = [slope(levels, (level) => level.heap), slope(levels, (level) => level.rss)]
  console.log(
    `steps ${first.step} to ${steps}: ${tensors} tensors, ${bytes} bytes in them, ${shared} shared, all level; ` +
      `heap ${heap.toFixed(0)} and resident ${rss.toFixed(0)} bytes a step`,
  )
  // Some bytes a step stay: the run's losses. Code is compiled and the heap laid out during the first 3,000 steps, which
  // alone is megabytes of resident memory; so only the long run bounds that by the step.
  expect(heap).toBeLessThan(400)
  if (whole) expect(rss).toBeLessThan(1024)
  else expect(levels.at(-1)!.rss - first.rss).toBeLessThan(24 * 2 ** 20)
})
