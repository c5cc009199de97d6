import { argv, stdout } from 'node:process'
import { attach } from '@graftjs/core'
import { nodeFs } from '@graftjs/files'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { loadModel, saveAdapter } from '@graftjs/models'
import { adamw, linear } from '@graftjs/optim'
import { checkpointedRun, train } from '@graftjs/trainer'
import { fixtureDir } from '../fixture.ts'
import { resumeSamples } from './resume-run.ts'

/** A process of its own: trains with a checkpoint after every step, or goes on if there are any, and saves the adapter. */
const trainAndSave = async (dir: string, out: string, steps: number): Promise<void> => {
  await useSimd({ threads: 2, variant: 'relaxed' })
  const model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  const method = lora({ r: 4, loraDropout: 0.3, targetModules: ['q_proj', 'v_proj'] })
  const tuned = attach(model, method, { seed: 1 })
  const resume = (await checkpointedRun(dir)) !== undefined
  if (!resume) stdout.write('begun\n')
  const real = await nodeFs()
  const fs: typeof real = {
    ...real,
    open: (path) => {
      stdout.write('writing\n')
      return real.open(path)
    },
  }
  await train(tuned, resumeSamples, {
    optimizer: adamw(1e-2),
    schedule: linear({ warmupSteps: 3 }),
    steps,
    batchSize: 2,
    accumulate: 4,
    clip: 0.5,
    seed: 5,
    checkpoint: { dir, everySteps: 1, fs },
    resume,
    callbacks: [
      {
        onEvent: ({ code, step }) =>
          void stdout.write(`${{ checkpoint: 'saved', resumed: 'resumed' }[code as string] ?? code} ${step}\n`),
      },
    ],
  })
  await saveAdapter(tuned, out)
  stdout.write('finished\n')
}

if (argv[1] === import.meta.filename) await trainAndSave(argv[2]!, argv[3]!, Number(argv[4]))
