import { GraftError } from '@graftjs/tensor/error'
import { brief } from '../brief.ts'

export type HubType = 'model' | 'dataset'

/** Refuses what is no id of a repository, by the hub's own rules; a folder of the cache is named by it. */
export const checkRepo = (repo: string): string => {
  const parts = repo.split('/')
  const fits = parts.length <= 2 && parts.every((part) => /^\w(?:[\w.-]*\w)?$/.test(part))
  if (fits && !/--|\.\.|\.git$/.test(repo)) return repo
  throw new GraftError({
    code: 'bad-option',
    culprit: 'hub id',
    given: brief(repo),
    expected: 'owner/name, of letters, digits, - _ and single dots; no --',
  })
}

/** Refuses the name of a file that would leave the repository's folder. */
export const checkFile = (repo: string, file: string): string => {
  if (isPath(file) && !/^[a-z]:/i.test(file)) return file
  throw new GraftError({
    code: 'bad-option',
    culprit: repo,
    given: `the file ${brief(file)}`,
    expected: 'a path within the repository',
  })
}

/** Refuses what git would not take as a branch, tag or commit; a file of the cache is named by it. */
export const checkRevision = (repo: string, revision: string): string => {
  if (isPath(revision) && !/[\s~^:?*[]/.test(revision)) return revision
  throw new GraftError({
    code: 'bad-option',
    culprit: repo,
    given: `the revision ${brief(revision)}`,
    expected: 'a branch, a tag or a commit',
  })
}

/** A whole commit hash: what it names never changes. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/** The folder of a repository in the cache. */
export const repoFolder = (repo: string, type: HubType): string => [`${type}s`, ...repo.split('/')].join('--')

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const isPath = (path: string): boolean => !/[\\\x00-\x1f\x7f]/.test(path) && !path.split('/').some(isDots)
const isDots = (part: string): boolean => /^\.{0,2}$/.test(part)
