import { type HubSnapshot, hubSnapshot, isJsonObject, strictJson } from '@graftjs/files'
import { GraftError, isGraftError } from '@graftjs/tensor/error'

export interface FetchOptions {
  /** A branch, a tag or a commit; also given as `owner/name@revision`. Default: `main`. */
  readonly revision?: string
  /** Only what is in the cache. Default: $HF_HUB_OFFLINE. */
  readonly offline?: boolean
  /** Milliseconds to wait for the hub's first answer. Default 30,000. */
  readonly patienceMs?: number
  readonly onProgress?: (file: string, received: number, total: number | undefined) => void
  readonly signal?: AbortSignal
}

/** Whether it has the form of a hub id: owner/name, or owner/name@revision. */
export const isHubId = (where: string): boolean =>
  /^[\w.-]+\/[\w.-]+(?:@[^\s@]+)?$/.test(where) && !where.startsWith('.')

const WEIGHTS = 'model.safetensors'
const INDEX = `${WEIGHTS}.index.json`

/** What a model may have beside config.json and its weights, and what reads it here or in other programs. */
const BESIDE = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
  'modules.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
]

/**
 * Brings a model of the Hugging Face hub to the cache that huggingface_hub uses too, and returns its folder: config.json, the
 * weights, whole or in shards, and the tokenizer. All files are of one commit, and each is verified before it has its name.
 */
export const fetchModel = async (id: string, options: FetchOptions = {}): Promise<string> => {
  const { repo, revision } = parseId(id, options.revision)
  try {
    const { folder } = await hubSnapshot(repo, {
      ...options,
      ...(revision !== undefined && { revision }),
      files: ['config.json'],
      optional: [...BESIDE, WEIGHTS],
      more: shards,
    })
    return folder
  } catch (error) {
    throw isGraftError(error) ? ((await explained(id, repo, error)) ?? error) : error
  }
}

const parseId = (id: string, given: string | undefined): { repo: string; revision: string | undefined } => {
  const [repo = '', inId] = id.split('@')
  if (inId === undefined || given === undefined || inId === given) return { repo, revision: inId ?? given }
  throw new GraftError({
    code: 'bad-option',
    culprit: id,
    given: `the revision ${given} as well`,
    expected: 'one revision, in the id or as the option',
  })
}

/** The files of a model in several, once its index is there. */
const shards = async ({ folder, files }: HubSnapshot): Promise<readonly string[]> => {
  if (files.includes(WEIGHTS)) return []
  if (!files.includes(INDEX)) return [INDEX]
  const { readFile } = await import('node:fs/promises')
  const path = `${folder}/${INDEX}`
  const json = strictJson(await readFile(path, 'utf8'), path)
  const map = isJsonObject(json) && isJsonObject(json.weight_map) ? Object.values(json.weight_map) : []
  const names = [...new Set(map)].filter((name) => typeof name === 'string' && name.endsWith('.safetensors'))
  if (names.length > 0 && map.every((name) => names.includes(name))) return names as string[]
  throw new GraftError({
    code: 'bad-file',
    culprit: path,
    given: 'an index without a weight_map of .safetensors files',
    expected: 'one as transformers writes it',
  })
}

/** The same fault for somebody who meant a folder, or who does not know what a model here must have. */
const explained = async (id: string, repo: string, error: GraftError): Promise<GraftError | undefined> => {
  const { code, culprit, message } = error
  const say = (text: string): GraftError => new GraftError({ code, culprit, message: `${id}: ${text}`, cause: error })
  if (['no-such-file', 'not-cached'].includes(code) && culprit.endsWith(`/${INDEX}`))
    return say(
      code === 'no-such-file'
        ? `the repository has no ${WEIGHTS} and no ${INDEX}; expected a model with its weights as safetensors`
        : `its weights are not in the cache; fetch them once online`,
    )
  const isNone = code === 'bad-option' && culprit === 'hub id'
  if (!isNone && !['no-such-repo', 'no-connection', 'no-answer', 'not-cached'].includes(code)) return undefined
  const { stat } = await import('node:fs/promises')
  if (await stat(id).catch(() => undefined)) return undefined
  return say(
    `there is no folder of that name here, and as a hub id: ${message.replace(`${isNone ? culprit : repo}: `, '')}`,
  )
}
