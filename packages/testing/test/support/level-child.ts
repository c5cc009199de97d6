import { argv, memoryUsage, stdout } from 'node:process'
import { attach } from '@graftjs/core'
import { simdInfo, useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { loadModel } from '@graftjs/models'
import { adamw } from '@graftjs/optim'
import { memory } from '@graftjs/tensor'
import { train } from '@graftjs/trainer'
import { fixtureDir } from '../fixture.ts'
import { resumeSamples } from './resume-run.ts'

export interface Level {
  readonly step: number
  readonly tensors: number
  readonly bytes: number
  /** Of the memory that the threads share. */
  readonly shared: number
  /** After a collection. */
  readonly heap: number
  readonly rss: number
}

/** A long run with everything that might keep something: dropout, noise, packing, evaluations, checkpoints, callbacks. */
const trainLong = async (dir: string, steps: number, every: number): Promise<void> => {
  await useSimd({ threads: 2, variant: 'relaxed' })
  const model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  const tuned = attach(model, lora({ r: 4, loraDropout: 0.1, targetModules: ['q_proj', 'down_proj'] }), { seed: 1 })
  const onStep = ({ step }: { step: number }): void => {
    if (step % every !== 0) return
    global.gc!()
    const { heapUsed: heap, rss } = memoryUsage()
    const { tensors, bytes } = memory()
    const level: Level = { step, tensors, bytes, shared: simdInfo()!.memoryBytes, heap, rss }
    stdout.write(`${JSON.stringify(level)}\n`)
  }
  await train(tuned, resumeSamples, {
    optimizer: adamw(1e-3),
    steps,
    batchSize: 2,
    clip: 1,
    neftuneNoiseAlpha: 5,
    packing: { maxLength: 16 },
    evaluation: { samples: resumeSamples.slice(0, 2), everySteps: steps / 10 },
    checkpoint: { dir, everySteps: steps / 10 },
    callbacks: [{ onStep }],
  })
}

if (argv[1] === import.meta.filename) await trainLong(argv[2]!, Number(argv[3]), Number(argv[4]))
