import { cacheDir, download, hubUrl } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'

export interface FetchOptions {
  /** Only what is in the cache. */
  readonly offline?: boolean
  /** Milliseconds to wait for the hub's first answer. Default 30,000. */
  readonly patienceMs?: number
  readonly onProgress?: (file: string, received: number, total: number | undefined) => void
  readonly signal?: AbortSignal
}

const needed = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

/** Brings a model of the Hugging Face hub to the cache and returns its folder. A file appears there only when it is whole. */
export const fetchModel = async (
  id: string,
  { offline = false, patienceMs = 30_000, onProgress, signal }: FetchOptions = {},
): Promise<string> => {
  const { access } = await import('node:fs/promises')
  const dir = `${cacheDir()}/hub/${id.replaceAll('/', '--')}`
  for (const file of needed) {
    const here = await access(`${dir}/${file}`).then(
      () => true,
      () => false,
    )
    if (here) continue
    if (offline)
      throw new GraftError({
        code: 'not-cached',
        culprit: `${id}/${file}`,
        given: 'a cache without it',
        expected: 'a download first',
      })
    await download({
      url: hubUrl(id, file),
      file: `${dir}/${file}`,
      patienceMs,
      verifyEtag: true,
      ...(process.env.HF_TOKEN && { token: process.env.HF_TOKEN }),
      ...(signal && { signal }),
      ...(onProgress && {
        onProgress: (received: number, total: number | undefined) => onProgress(file, received, total),
      }),
    })
  }
  return dir
}
