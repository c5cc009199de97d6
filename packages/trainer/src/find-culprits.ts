import { around, forward, type Model, type Patch, sitesOf, type Tuned } from '@graftjs/core'
import type { LabelledBatch, Row } from '@graftjs/data'
import { detached, dispose, keep, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import type { PassCall } from './make-step.ts'

/** Where a number that is not finite comes from, as far as another forward pass can tell. */
export interface Culprits {
  /** The first place of the model whose output is not finite. */
  readonly site?: string
  /** Indices of the rows (`Sample.source`) whose loss is not finite. */
  readonly rows: readonly number[]
  /** Parameters whose gradient is not finite. */
  readonly parameters: readonly string[]
}

/** Runs only when a step went wrong, so it may be slow: the same passes once more, watched at every site. */
export const findCulprits = async (
  tuned: Tuned,
  micro: readonly { readonly rows: readonly Row[]; readonly batch: LabelledBatch; readonly call: PassCall }[],
  squares: ReadonlyMap<string, number>,
): Promise<Culprits> => {
  const parameters = [...squares].filter(([, square]) => !Number.isFinite(square)).map(([path]) => path)
  const { patches, first } = probes(tuned.model)
  const bad: number[] = []
  let site: string | undefined
  for (const { rows, batch, call } of micro) {
    const losses = await rowLosses(tuned, batch, { ...call, patches: [...patches, ...(call.patches ?? [])] })
    rows.forEach((row, i) => void (Number.isFinite(losses[i]) || bad.push(...sourcesOf(row))))
    const here = await first()
    site ??= here
  }
  return { ...(site !== undefined && { site }), rows: bad.sort((a, b) => a - b), parameters }
}

const rowLosses = async (tuned: Tuned, batch: LabelledBatch, call: PassCall): Promise<Float32Array> => {
  const losses = detached(() => scope(() => sum(forward(tuned, batch, call).nll(batch.labels), 1)))
  const values = (await losses.data()) as Float32Array
  dispose(losses)
  return values
}

const sourcesOf = (row: Row): readonly number[] => ('sources' in row ? row.sources : [row.source])

const WATCHED = ['embedding', 'norm', 'linear', 'attention', 'sublayer'] as const

/** Patches that change nothing. What stands inside another is done first, so the first that is not finite is the innermost. */
const probes = (model: Model): { patches: Patch[]; first: () => Promise<string | undefined> } => {
  const seen: { readonly path: string; readonly mark: Tensor }[] = []
  const patches = WATCHED.flatMap((kind) =>
    sitesOf(model, kind).map((site) =>
      around(
        site,
        ((x: never, next: (x: never) => Tensor) => {
          const y = next(x)
          // 0 · ∞ and 0 · NaN are NaN.
          seen.push({ path: site.path, mark: keep(detached(() => scope(() => sum(mul(y, 0))))) })
          return y
        }) as never,
        { by: 'the search for what is not finite' },
      ),
    ),
  ) as Patch[]
  return {
    patches,
    first: async () => {
      const marks = await Promise.all(seen.map(async ({ mark }) => (await mark.data())[0]!))
      dispose(seen.map(({ mark }) => mark))
      const at = marks.findIndex((mark) => !Number.isFinite(mark))
      const path = seen[at]?.path
      seen.length = 0
      return path
    },
  }
}
