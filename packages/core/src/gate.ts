import { add, mul, reshape, sub, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { signed } from './all.ts'
import type {
  Around,
  Gain,
  Heads,
  Kind,
  Method,
  Model,
  Params,
  Patch,
  PatchAt,
  Refusal,
  Site,
  Stream,
} from './types.ts'

export interface GateOptions {
  /** What the gate cannot work with: one that pools over the sequence refuses `cache` and `packing`. */
  readonly refuses?: readonly Refusal[]
}

/** A method whose every patch has a gain, made for its site: a learned gate, a router's weight. */
export const gated = (
  method: Method,
  gate: (site: Site, params: Params, model: Model) => Gain,
  { refuses = [] }: GateOptions = {},
): Method => ({
  name: `gated(${method.name})`,
  config: { gated: { name: method.name, ...method.config } },
  attach: (model, params) =>
    signed(method, model, params).map((patch) => scaled(patch, gate(patch.site, params, model), { refuses })),
})

/** The patch times a gain that broadcasts against [B, T, 1]; exactly 0 is exactly what stands inside it. */
export const scaled = (patch: Patch, gain: Gain, { refuses }: GateOptions = {}): Patch => {
  if (!patch.scaled && patch.onRows) throw noGain(patch, 'can be switched on and off by row, not scaled')
  return alike(patch, patch.scaled?.(gain) ?? fallback(patch as PatchAt<Kind>, gain), refuses)
}

/** The patch on some rows (gain 1) and not on others (0). */
export const onRows = (patch: Patch, gain: Gain): Patch =>
  alike(patch, (patch.onRows ?? patch.scaled)?.(gain) ?? fallback(patch as PatchAt<Kind>, gain))

const alike = ({ by, refuses }: Patch, made: Patch | PatchAt<Kind>, more: readonly Refusal[] = []): Patch =>
  ({ ...made, ...(by && { by }), refuses: [...(refuses ?? []), ...(made.refuses ?? []), ...more] }) as Patch

/** Both gains: what a patch that has one already answers to another. */
export const product =
  (first: Gain | undefined, second: Gain): Gain =>
  (x, run) =>
    first ? mul(first(x, run), second(x, run)) : second(x, run)

/** Any patch between its input and its output: (1 - g) y + g z, with two runs of what stands inside it. */
const fallback = (patch: PatchAt<Kind>, gain: Gain): PatchAt<Kind> => {
  if (patch.site.kind === 'backbone' || patch.site.kind === 'head') throw noGain(patch, 'takes no gain')
  const around: Around<Kind> = (input, next, run) => {
    const y = next(input as never)
    const z = patch.around(input as never, next as never, run)
    if (patch.site.kind === 'layer') {
      const [from, to] = [y as Stream, z as Stream]
      return { ...to, hidden: between(from.hidden, to.hidden, gain(from.hidden, run)) }
    }
    const x = patch.site.kind === 'attention' ? (input as Heads).x : (input as Tensor)
    return between(y as Tensor, z as Tensor, gain(x, run))
  }
  // A layer or sublayer may hold attention, whose cache would take the keys of both runs.
  const holds = patch.site.kind === 'layer' || patch.site.kind === 'sublayer'
  return { site: patch.site, around, runsTwice: true, refuses: holds ? ['cache'] : [] }
}

/** (1 - g) y + g z, where g [B, T, 1] and y may have more axes behind its tokens (heads). */
const between = (y: Tensor, z: Tensor, gain: Tensor): Tensor => {
  const g = reshape(gain, [...gain.shape, ...new Array<number>(y.rank - gain.rank).fill(1)])
  return add(mul(sub(1, g), y), mul(g, z))
}

const noGain = ({ by, site }: Pick<Patch, 'by' | 'site'>, what: string): GraftError =>
  new GraftError({
    code: 'no-gain',
    culprit: by ?? site.path,
    message: `${by}: its patch at ${site.path} (${site.kind}) ${what}; gate a method whose patches act on tensors, or give the patch \`scaled\``,
  })
