import { vi } from 'vitest'
import { inFolder, seeded, utf8 } from '../files.test-util.ts'
import type { HubOptions } from './hub-context.ts'
import { type HubStub, hubStub, type StubFile, type StubFiles } from './hub-stub.test-util.ts'

const random = seeded(23)
export const weights = Uint8Array.from({ length: 200_000 }, () => random(256))
export const config = utf8('{"model_type": "stub"}\n')

export const small = (bytes: Uint8Array): StubFile => ({ bytes })
export const large = (bytes: Uint8Array): StubFile => ({ bytes, large: true })
export const version1: StubFiles = { 'config.json': small(config), 'model.safetensors': large(weights) }

export interface HubCase {
  readonly stub: HubStub
  /** A cache of its own. */
  readonly cacheDir: string
  at: HubOptions
  /** Paths asked for since the last call. */
  asked(): string[]
}

/** A stub, a cache and an environment that says nothing of hubs. */
export const withHub = async (use: (of: HubCase) => Promise<void>, main: StubFiles = version1): Promise<void> => {
  for (const name of Object.keys(process.env)) if (/^(HF|HUGGING|TRANSFORMERS)_/.test(name)) vi.stubEnv(name, undefined)
  const stub = await hubStub(main)
  let seen = 0
  const asked = (): string[] => {
    const paths = stub.requests.slice(seen).map(({ method, path }) => `${method} ${path}`)
    seen = stub.requests.length
    return paths
  }
  try {
    await inFolder(async (dir) => {
      vi.stubEnv('HF_HOME', `${dir}/home`)
      vi.stubEnv('HF_ENDPOINT', stub.endpoint)
      const at = { patienceMs: 2000, stallMs: 2000, retries: 2 }
      await use({ stub, cacheDir: `${dir}/home/hub`, at, asked })
    })
  } finally {
    vi.unstubAllEnvs()
    await stub.close()
  }
}
