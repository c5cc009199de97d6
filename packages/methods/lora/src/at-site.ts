import { gaussian, type Init, kaimingUniform, type Params, type PatchAt, plus, type Site, zeros } from '@graftjs/core'
import { add, linear, matMul, mul, type Tensor, transpose } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type LoraConfig, loraAt } from './options.ts'

/** W + s B A at a linear layer: A [r, in], B [out, r] and, where asked for, a bias of B [out]. */
export const atLinear = (site: Site<'linear'>, params: Params, config: LoraConfig): PatchAt<'linear'> => {
  const { r, scale } = loraAt(config, site.path)
  const { loraDropout: rate } = config
  const start = startOf(config.initLoraWeights, r)
  const a = params.add(`${site.path}.lora_A.weight`, [r, site.inDim], start.a)
  const b = params.add(`${site.path}.lora_B.weight`, [site.outDim, r], start.b)
  const bias = config.loraBias ? params.add(`${site.path}.lora_B.bias`, [site.outDim], zeros) : undefined
  return plus(
    site,
    (x, _y, run) => {
      const low = linear(linear(run.dropout(x, rate), a()), b())
      return mul(bias ? add(low, bias()) : low, scale)
    },
    {
      fold: ({ weight, bias: old }) => {
        const more = bias && mul(bias(), scale)
        const sum = more && old ? add(old, more) : (more ?? old)
        return { weight: add(weight, mul(matMul(b(), a()), scale)), ...(sum && { bias: sum }) }
      },
      // Dropout stands between x and A, so a fused product cannot share x with the base; it knows no bias of B.
      lowRank: (run) => (bias || (run.call.training && rate > 0) ? undefined : { a, b, scale }),
    },
  )
}

/** W + s (B A)ᵀ at an embedding [vocab, out]: A [r, vocab], B [out, r]. No dropout, as in PEFT. */
export const atEmbedding = (site: Site<'embedding'>, params: Params, config: LoraConfig): PatchAt<'embedding'> => {
  if (config.loraBias)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'lora.loraBias',
      given: `true, and ${site.path} among the targets`,
      expected: 'linear layers alone, as in PEFT',
    })
  const { r, scale } = loraAt(config, site.path)
  // The other way round than at a linear layer: A is the zero one.
  const free = config.initLoraWeights === false
  const a = params.add(`${site.path}.lora_embedding_A`, [r, site.inDim], free ? gaussian(1) : zeros)
  const b = params.add(`${site.path}.lora_embedding_B`, [site.outDim, r], gaussian(1))
  // `apply` also does what the model does to its rows, such as Gemma's factor.
  const rows = (ids: Tensor): Tensor => site.apply(ids, { weight: transpose(a()) })
  return plus(site, (ids) => mul(linear(rows(ids), b()), scale), {
    fold: ({ weight, ...rest }) => ({ weight: add(weight, mul(matMul(a(), b(), true, true), scale)), ...rest }),
  })
}

const startOf = (init: LoraConfig['initLoraWeights'], r: number): { a: Init; b: Init } => ({
  a: init === 'gaussian' ? gaussian(1 / r) : kaimingUniform,
  b: init === false ? kaimingUniform : zeros,
})
