// A training step of each method beside LoRA of rank 16 on SmolLM2-135M's shapes (some layers of it), alternating, medians after
// a warm-up: npm run bench -- methods [--layers N] [--rounds N] [--rows N] [--length N] [--keep none|all] [--threads N]
import { parseArgs } from 'node:util'
import { attach, type Method } from '@graftjs/core'
import { simdInfo, useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { molora, mov } from '@graftjs/molora'
import { randomLlama, smolLm2 } from '@graftjs/testing'
import { batchOf, median, stepper } from './stepper.ts'

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '9' },
    rows: { type: 'string', default: '2' },
    length: { type: 'string', default: '128' },
    keep: { type: 'string', default: 'all' },
    threads: { type: 'string', default: '2' },
  },
})
const [layers, rounds, rows, length] = [values.layers, values.rounds, values.rows, values.length].map(Number) as [
  number,
  number,
  number,
  number,
]
const targetModules = 'all-linear'
const methods: readonly (readonly [string, Method])[] = [
  ['lora, r 16', lora({ r: 16, loraAlpha: 16, targetModules })],
  ['molora, 4 experts of r 4', molora({ experts: 4, r: 4, targetModules })],
  ['molora, 4 of r 4, top 2', molora({ experts: 4, r: 4, topK: 2, targetModules })],
  ['mov, 4 experts, k and v', mov({ experts: 4, targetModules: ['k_proj', 'v_proj'] })],
]

await useSimd({ threads: Number(values.threads) })
const model = randomLlama({ ...smolLm2, numHiddenLayers: layers })
const batch = batchOf(rows, length, smolLm2.vocabSize)
const runs = methods.map(([name, method]) => {
  const tuned = attach(model, method)
  const parameters = [...tuned.params.all.values()].reduce((n, { value }) => n + value.size, 0)
  return { name, parameters, step: stepper(tuned, batch, values.keep as 'none' | 'all'), seconds: [] as number[] }
})
for (const { step } of runs) step()
// One round has a step of each, so a machine that slows down slows all of them: the ratio is of pairs.
for (let round = 0; round < rounds; round++) for (const run of runs) run.seconds.push(run.step())
const [base] = runs
console.log(
  `${layers} layers of SmolLM2-135M, ${rows} × ${length} tokens, keep ${values.keep}, kernels ${simdInfo()!.variant}, ${simdInfo()!.threads} threads, ${rounds} rounds`,
)
console.log('| method | parameters | step, s | relative to LoRA |\n| --- | --- | --- | --- |')
for (const { name, parameters, seconds } of runs) {
  const ratios = seconds.map((s, i) => s / base!.seconds[i]!)
  const spread = `${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)}`
  console.log(
    `| ${name} | ${parameters.toLocaleString('en-US')} (${(parameters / base!.parameters).toFixed(2)}) | ${median(seconds).toFixed(3)} | ${median(ratios).toFixed(2)} (${spread}) |`,
  )
}
