import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSimd } from '@graftjs/kernels'
import { type LoadedModel, loadModel } from '@graftjs/models'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { fixtureDir } from '../fixture.ts'

/** The tiny Llama for the tests of a file, on two threads and kernels whose bits do not depend on the processor's speed. */
export const withTinyLlama = (): { readonly model: LoadedModel } => {
  let model: LoadedModel
  beforeAll(async () => {
    await useSimd({ threads: 2, variant: 'relaxed' })
    model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  })
  afterAll(() => model.dispose())
  return {
    get model() {
      return model
    },
  }
}

/** An empty folder for each test. */
export const withFolder = (): { readonly dir: string } => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'graft-test-'))
  })
  afterEach(() => rmSync(dir, { recursive: true }))
  return {
    get dir() {
      return dir
    },
  }
}

/** Of the bits. */
export const hashOf = (data: ArrayLike<number>): string =>
  createHash('sha256')
    .update(new Uint8Array(Float32Array.from(data).buffer))
    .digest('hex')
