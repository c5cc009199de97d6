import {
  type JsonObject,
  linearsAndEmbeddings,
  type Method,
  type Model,
  type Params,
  type Patch,
  type Site,
  savedModules,
  savedSites,
  trainedBiases,
  trainedTokens,
  type Weighted,
} from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { atEmbedding, atLinear } from './at-site.ts'
import { readLora, writeLora } from './config.ts'
import { type LoraConfig, type LoraOptions, loraConfig } from './options.ts'

/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A x, with A [r, in] drawn as PEFT draws it and B [out, r] zero,
 * so that training starts at the base model. At an embedding A is zero and B drawn. Errors: `bad-option`, `no-target`.
 */
export const lora = (options: LoraOptions = {}): Method => {
  const config = loraConfig(options)
  return {
    name: 'lora',
    kind: lora.kind,
    config,
    attach: (model, params) => {
      const sites = linearsAndEmbeddings(model, config.targetModules, config)
      const tokens = trainedTokens(model, params, config.trainableTokenIndices)
      refuseClash(tokens, [...sites, ...savedSites(model, config.modulesToSave)])
      return [
        ...sites.map(
          (site): Patch =>
            site.kind === 'linear' ? atLinear(site, params, config) : atEmbedding(site, params, config),
        ),
        // Behind the updates: a fold of theirs then adds to what these put in place.
        ...biases(model, sites, params, config),
        ...savedModules(model, params, config.modulesToSave),
        ...tokens,
      ]
    },
  }
}
lora.kind = { peftType: 'LORA', read: (json: JsonObject): Method => lora(readLora(json)), write: writeLora }

/** PEFT cannot read an adapter that trains some rows of what it also changes otherwise. */
const refuseClash = (tokens: readonly Patch[], taken: readonly Site[]): void => {
  const clash = tokens.find(({ site }) => taken.includes(site))
  if (!clash) return
  throw new GraftError({
    code: 'bad-option',
    culprit: 'lora.trainableTokenIndices',
    given: `tokens of ${clash.site.path}, which targetModules or modulesToSave name too`,
    expected: 'one of them, as in PEFT; a head that is tied to the embedding has its tokens too',
  })
}

const biases = (model: Model, targets: readonly Site[], params: Params, config: LoraConfig): Patch[] => {
  if (config.bias === 'none') return []
  const isTarget = (site: Site): boolean => targets.includes(site)
  const saved: readonly Site[] = savedSites(model, config.modulesToSave)
  const sites = model.sites.filter(
    (site): site is Site<Weighted> =>
      'weight' in site && (config.bias === 'all' || isTarget(site)) && !saved.includes(site),
  )
  return trainedBiases(sites, params, (site) => `${site.path}${isTarget(site) ? '.base_layer' : ''}.bias`)
}
