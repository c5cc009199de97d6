/** The callee that stands for a generation block; no template calls it by chance. */
export const GENERATION = '__graft_generation__'

const tag = /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g

/** Whether `source` marks what the assistant says, with transformers' tags. */
export const hasGeneration = (source: string): boolean => /\{%[-+]?\s*generation\s*[-+]?%\}/.test(source)

/**
 * Generation tags as call blocks, which is what transformers makes of them. The parser itself would drop them; white space
 * round a call block is treated as round any other.
 */
export const rewriteGeneration = (source: string): string =>
  source.replace(tag, (_, before: string, end: string | undefined, after: string) =>
    end ? `{%${before} endcall ${after}%}` : `{%${before} call ${GENERATION}() ${after}%}`,
  )
