import { isJsonObject, type Json, type JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { llamaFamily } from './families/llama-family.ts'
import type { Family } from './family.ts'

/** The one list of what `loadModel` knows. */
export const families: readonly Family[] = [llamaFamily as Family]

/** By `model_type`. */
export const familyOf = (json: Json, file: string): { family: Family; json: JsonObject } => {
  if (!isJsonObject(json))
    throw new GraftError({ code: 'bad-file', culprit: file, given: 'no object', expected: 'a JSON object' })
  const family = families.find(({ types }) => types.includes(String(json.model_type)))
  if (family) return { family, json }
  throw unknown(
    file,
    `model_type ${JSON.stringify(json.model_type ?? null)}`,
    families.flatMap(({ types }) => types),
  )
}

/** By `general.architecture`. */
export const ggufFamilyOf = (
  metadata: ReadonlyMap<string, unknown>,
  file: string,
): { family: Family; gguf: NonNullable<Family['gguf']> } => {
  const architecture = metadata.get('general.architecture')
  for (const family of families) if (family.gguf?.architecture === architecture) return { family, gguf: family.gguf! }
  const known = families.flatMap(({ gguf }) => (gguf ? [gguf.architecture] : []))
  throw unknown(file, `general.architecture ${String(architecture)}`, known)
}

const unknown = (culprit: string, given: string, known: readonly string[]): GraftError =>
  new GraftError({ code: 'unknown-architecture', culprit, given, expected: `one of ${known.join(', ')}` })
