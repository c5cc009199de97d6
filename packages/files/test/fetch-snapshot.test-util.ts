import { argv } from 'node:process'
import { hubSnapshot } from '../src/index.ts'

/** A process of its own: fetches from the endpoint that it is given into the cache that it is given. */
if (argv[1] === import.meta.filename) {
  const [, , endpoint = '', cacheDir = ''] = argv
  await hubSnapshot('owner/name', { endpoint, cacheDir, files: ['config.json', 'model.safetensors'], retries: 0 })
}
