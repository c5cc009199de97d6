import { GraftError } from '@graftjs/tensor/error'

/** Where a file of a model lies: on $HF_ENDPOINT, else on the Hugging Face hub. */
export const hubUrl = (
  repo: string,
  file: string,
  revision = 'main',
  env: Readonly<Record<string, string | undefined>> = process.env,
): string => {
  if (!/^[\w.-]+(\/[\w.-]+)?$/.test(repo) || hasDots(repo))
    throw new GraftError({ code: 'bad-option', culprit: 'hub id', given: JSON.stringify(repo), expected: 'owner/name' })
  if (file === '' || file.startsWith('/') || file.includes('\\') || hasDots(file))
    throw new GraftError({
      code: 'bad-option',
      culprit: repo,
      given: `the file ${JSON.stringify(file)}`,
      expected: 'a path within the repository',
    })
  const endpoint = (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  const path = file.split('/').map(encodeURIComponent).join('/')
  return `${endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${path}`
}

const hasDots = (path: string): boolean => path.split('/').some((part) => /^\.*$/.test(part))
