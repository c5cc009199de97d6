import '@tensorflow/tfjs-backend-cpu'
import { registerGradients } from '@graftjs/tensor/register'
import { env, setBackend } from '@tensorflow/tfjs-core'
import { conformanceCases, courseCases, decoderBed, encoderDecoderBed, faultCases, standIns } from '../src/index.ts'

/** The part of the suite that is to see every mutation: enough methods that each mechanism is used. */
const METHODS = ['lora', 'full', 'prefix', 'prompt', 'fusion', 'ladder', 'sparse-router']

/** The entry of a bundle with one fault in it: prints the first failure as JSON, or null. */
const main = async (): Promise<void> => {
  env().set('IS_TEST', true)
  await registerGradients()
  await setBackend('cpu')
  const methods = standIns.filter(([method]) => METHODS.includes(method.name))
  const conformance = methods.flatMap(([method, promises]) =>
    conformanceCases(method, promises, { beds: [decoderBed, encoderDecoderBed], only: ONLY }),
  )
  let failure: { name: string; error: string } | null = null
  for (const { name, run } of [...faultCases, ...courseCases, ...conformance]) {
    const error = await run().then(
      () => undefined,
      (thrown: unknown) => String((thrown as Error)?.message ?? thrown),
    )
    if (error === undefined) continue
    failure = { name, error }
    break
  }
  process.stdout.write(`\n${JSON.stringify(failure)}\n`)
}

const ONLY = ['gradients', 'handover', 'counters', 'mixed rows', 'cached', 'levels', 'merging'] as const

await main()
