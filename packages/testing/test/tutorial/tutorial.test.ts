// The code of docs/methods/write-your-own.md, run as it stands there: the page's own tests register themselves on import.
import { all, type Method } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { beforeAll, describe, expect, it } from 'vitest'
import { conformanceCases, methods } from '../../src/index.ts'
import { imported, namedBlocks, read } from './page.ts'

const NAMES = [
  'ln-tuning.ts',
  'ln-tuning-test.ts',
  'attention-temperature.ts',
  'attention-temperature-test.ts',
  'index.ts',
  'saving-test.ts',
]
const page = read('docs/methods/write-your-own.md')
const files = namedBlocks(page, NAMES)

const modules = await imported(files, NAMES)

describe('the tutorial', () => {
  beforeAll(async () => void (await useSimd({ threads: 1 })))

  it('fails where a block is missing', () => {
    expect(() => namedBlocks(page.replaceAll('[ln-tuning.ts]', ''), NAMES)).toThrow('no block ln-tuning.ts')
    expect(() => namedBlocks('', NAMES)).toThrow(`no block ${NAMES.join(', ')}`)
  })

  it('has a first method of fifteen lines at most', () => {
    const [, body] = files.get('ln-tuning.ts')!.split(/(?=^export const)/m)
    expect(body!.trim().split('\n').length).toBeLessThanOrEqual(15)
  })

  // Whatever the page's own tests choose to run: the whole suite, without vitest's part of it.
  const lnTuning = modules['ln-tuning.ts']!.lnTuning as () => Method
  it.each(conformanceCases(lnTuning(), { identityAtStart: true, folds: true, foldsToLora: false }))(
    '$name',
    async ({ run }) => void (await run()),
  )

  const temperature = modules['attention-temperature.ts']!.attentionTemperature as () => Method
  it.each(
    conformanceCases(
      { ...all(temperature(), methods.lora()), name: 'temperature and lora' },
      { identityAtStart: true },
    ),
  )('$name', async ({ run }) => void (await run()))
})
