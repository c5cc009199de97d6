import type { z } from 'zod'

/** As much of a recipe as the rules read. */
interface Ruled {
  readonly data: {
    readonly eval?: string
    readonly mixing?: { readonly strategy: string; readonly temperature?: number }
  }
  readonly training?: { readonly nonFinite?: string; readonly checkpointEvery?: number }
  readonly evaluation?: { readonly earlyStopping?: unknown; readonly restoreBest?: boolean }
}

/** What keys ask of one another. Said when the recipe is read, not after the model is loaded. */
export const recipeRules = ({ value, issues }: z.core.ParsePayload<Ruled>): void => {
  const { data, training = {}, evaluation = {} } = value
  const fault = (path: string, message: string): void =>
    void issues.push({ code: 'custom', path: path.split('.'), message, input: value })
  const measured = 'data.eval beside it: rows to measure'
  if (evaluation.earlyStopping && !data.eval) fault('evaluation.earlyStopping', measured)
  if (evaluation.restoreBest && !data.eval) fault('evaluation.restoreBest', measured)
  if (training.nonFinite === 'rollback' && !training.checkpointEvery)
    fault('training.nonFinite', 'training.checkpointEvery beside it: a checkpoint to go back to')
  const { strategy, temperature } = data.mixing ?? {}
  if (strategy === 'temperature' && temperature === undefined) fault('data.mixing.temperature', 'a number > 0')
  if (strategy !== 'temperature' && temperature !== undefined)
    fault('data.mixing.temperature', 'it with the strategy "temperature" alone')
}
