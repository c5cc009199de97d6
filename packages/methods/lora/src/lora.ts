import { kaimingUniform, linears, type Method, plus, type TargetModules, zeros } from '@graftjs/core'
import { add, linear, matMul, mul } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { readLora, writeLora } from './config.ts'

export interface LoraOptions {
  /** The rank. Default 8. */
  readonly r?: number
  /** The update is scaled by loraAlpha / r. Default 8. */
  readonly loraAlpha?: number
  /** Names of linear layers as PEFT matches them: a list of suffixes, a regular expression over whole paths, `'all-linear'`; null for the architecture's own (q_proj and v_proj in a Llama). */
  readonly targetModules?: TargetModules
  /** Wins over `targetModules`, in the same two forms. */
  readonly excludeModules?: readonly string[] | string | null
  /** Probability that an element of A's input is dropped while training; the base path never sees it. Default 0. */
  readonly loraDropout?: number
  /** Rank-stabilised LoRA (Kalajdzievski 2023): the scale is loraAlpha / √r. */
  readonly useRslora?: boolean
}

/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A x, with A [r, in] drawn as PEFT draws it and B [out, r] zero,
 * so that training starts at the base model.
 */
export const lora = (options: LoraOptions = {}): Method => {
  const {
    r = 8,
    loraAlpha = 8,
    targetModules = null,
    excludeModules = null,
    loraDropout = 0,
    useRslora = false,
  } = options
  checkOptions(r, loraAlpha, loraDropout)
  const scale = loraAlpha / (useRslora ? Math.sqrt(r) : r)
  return {
    name: 'lora',
    kind: lora.kind,
    config: { r, loraAlpha, targetModules, excludeModules, loraDropout, useRslora },
    attach: (model, params) =>
      linears(model, targetModules, { excludeModules }).map((site) => {
        const a = params.add(`${site.path}.lora_A.weight`, [r, site.inDim], kaimingUniform)
        const b = params.add(`${site.path}.lora_B.weight`, [site.outDim, r], zeros)
        return plus(site, (x, _y, run) => mul(linear(linear(run.dropout(x, loraDropout), a()), b()), scale), {
          fold: ({ weight, ...rest }) => ({ weight: add(weight, mul(matMul(b(), a()), scale)), ...rest }),
          // Dropout stands between x and A, so a fused product cannot share x with the base.
          lowRank: (run) => (run.call.training && loraDropout > 0 ? undefined : { a, b, scale }),
        })
      }),
  }
}
lora.kind = { peftType: 'LORA', read: readLora(lora), write: writeLora }

const checkOptions = (r: number, loraAlpha: number, loraDropout: number): void => {
  const bad = (culprit: string, given: unknown, expected: string): never => {
    throw new GraftError({ code: 'bad-option', culprit: `lora.${culprit}`, given: String(given), expected })
  }
  if (!Number.isInteger(r) || r < 1) bad('r', r, 'a whole number ≥ 1')
  if (!Number.isFinite(loraAlpha)) bad('loraAlpha', loraAlpha, 'a finite number')
  if (!(loraDropout >= 0 && loraDropout < 1)) bad('loraDropout', loraDropout, 'a probability in [0, 1)')
}
