// A LoRA step of SmolLM2-135M's shapes (all-linear r=8, B 4 × T 256, all tokens supervised), beside PyTorch + PEFT where a
// Python with them is given: npm run bench -- step [--python PATH] [--steps N] [--keep none|all] [--variant V] [--wasm]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { attach, type Tuned } from '@graftjs/core'
import { simdInfo, useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import type { LlamaConfig } from '@graftjs/models'
import { randomLlama, smolLm2 } from '@graftjs/testing'
import * as tf from '@tensorflow/tfjs-core'
import { batchOf, median, stepper } from './stepper.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    steps: { type: 'string', default: '6' },
    keep: { type: 'string', default: 'all' },
    variant: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: '2' },
    wasm: { type: 'boolean', default: false },
  },
})
const steps = Number(values.steps)
const say = (text: string): void => void process.stdout.write(`${text}\n`)

const tunedModel = (config: LlamaConfig): Tuned =>
  attach(randomLlama(config), lora({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }))

/** PyTorch's side: a process that runs one step a line. */
const pytorch = async (
  python: string,
): Promise<{ step(): Promise<number>; end(): Promise<{ peakRssBytes: number; versions: object }> }> => {
  const script = fileURLToPath(new URL('pytorch/step.py', import.meta.url))
  const child = spawn(python, [script, '--serve', '--threads', values.threads], { stdio: ['pipe', 'pipe', 'ignore'] })
  const lines: string[] = []
  const waiting: ((line: string) => void)[] = []
  let rest = ''
  child.stdout.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n')
    rest = parts.pop()!
    for (const line of parts) (waiting.shift() ?? ((l: string) => lines.push(l)))(line)
  })
  const line = (): Promise<string> =>
    lines.length ? Promise.resolve(lines.shift()!) : new Promise((resolve) => waiting.push(resolve))
  const ask = async (what: string): Promise<string> => {
    child.stdin.write(`${what}\n`)
    return line()
  }
  if ((await line()) !== 'ready') throw new Error('PyTorch did not start')
  return {
    step: async () => Number(await ask('step')),
    end: async () => {
      const facts = JSON.parse(await ask('end')) as { peakRssBytes: number; versions: object }
      child.kill()
      return facts
    },
  }
}

const spread = (xs: number[]): string =>
  `median ${median(xs).toFixed(2)} s (${Math.min(...xs).toFixed(2)} … ${Math.max(...xs).toFixed(2)})`

/** The same code on tfjs's own wasm backend, 4 layers, B 1 × T 128. */
const againstWasm = async (): Promise<void> => {
  const config = { ...smolLm2, numHiddenLayers: 4 }
  const batch = batchOf(1, 128, config.vocabSize)
  const time = (count: number): number[] => {
    const tuned = tunedModel(config)
    const step = stepper(tuned, batch, 'all')
    step()
    const times = Array.from({ length: count }, step)
    tuned.dispose()
    tuned.model.dispose()
    return times
  }
  await useSimd({ threads: Number(values.threads), variant: values.variant as 'auto' })
  const ours = time(9)
  await import('@tensorflow/tfjs-backend-wasm')
  await tf.setBackend('wasm')
  const theirs = time(3)
  say(
    `simd   ${spread(ours)}\nwasm   ${spread(theirs)}\nsimd is ${(median(theirs) / median(ours)).toFixed(1)} × as fast (4 layers, B 1 × T 128)`,
  )
}

const againstPytorch = async (): Promise<void> => {
  const { variant, threads } = await useSimd({ threads: Number(values.threads), variant: values.variant as 'auto' })
  const step = stepper(tunedModel(smolLm2), batchOf(4, 256, smolLm2.vocabSize), values.keep as 'all')
  const other = values.python ? await pytorch(values.python) : undefined
  step()
  await other?.step()
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let i = 0; i < steps; i++) {
    ours.push(step())
    if (other) theirs.push(await other.step())
    say(`round ${i + 1}: graft ${ours.at(-1)!.toFixed(2)} s${other ? ` · pytorch ${theirs.at(-1)!.toFixed(2)} s` : ''}`)
  }
  const tokens = 4 * 256
  const rss = process.resourceUsage().maxRSS * 1024
  say(
    `\ngraft    ${variant}, ${threads} threads, keep ${values.keep}: ${spread(ours)}, ${(tokens / median(ours)).toFixed(0)} tokens/s, peak RSS ${(rss / 2 ** 30).toFixed(2)} GiB (simd memory ${(simdInfo()!.peakBytes / 2 ** 30).toFixed(2)})`,
  )
  if (!other) return
  const facts = await other.end()
  say(
    `pytorch  ${JSON.stringify(facts.versions)}: ${spread(theirs)}, ${(tokens / median(theirs)).toFixed(0)} tokens/s, peak RSS ${(facts.peakRssBytes / 2 ** 30).toFixed(2)} GiB`,
  )
  say(
    `graft is ${(median(theirs) / median(ours)).toFixed(2)} × as fast in ${(rss / facts.peakRssBytes).toFixed(2)} × the memory`,
  )
}

await (values.wasm ? againstWasm() : againstPytorch())
process.exit(0)
