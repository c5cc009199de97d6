import { clone, detached, isTensor, keep, record, type TapeNode, type Tensor } from '@graftjs/tensor'
import { releaseTape } from './ledger.ts'
import { naming } from './naming.ts'
import type { StageRun } from './run.ts'
import { applyStage, type Kept } from './stage.ts'
import { stageState } from './stage-state.ts'
import type { Leaf, Stage, Stream } from './types.ts'
import { currentWalk, pullback, refuseCaptured, spread } from './walk.ts'

interface Pull {
  readonly stage: Stage
  readonly run: StageRun
  readonly first: Kept
  /** The stream that the stage was given, as far as it is still held. */
  readonly from: Stream
  readonly ins: readonly Leaf[]
  /** The live parameters' values. */
  readonly live: readonly Tensor[]
}

/** The gradient of a stage: cotangents of its outputs -> of `ins` and `live`, in this order; null where none arrives. */
export const pullStage = (p: Pull, dys: readonly (Tensor | null)[]): (Tensor | null)[] => {
  const { stage, first, from, ins, live } = p
  const wanted = [...ins.map((leaf) => from[leaf]!), ...live]
  // Before the replay: a stage inside this one asks what is active.
  for (const t of wanted) currentWalk()!.active.add(t.id)
  const again = first.tape ? { tape: first.tape, out: first.out, state: first.state } : replay(p)
  spread(again.tape)
  if (!first.tape) refuseCaptured(stage.site.path, again.tape, [...wanted, ...first.reads.values()])
  const outputs = [...first.moved.map((leaf) => again.out[leaf]!), ...again.state.tallies.map(([, x]) => x)]
  const seeds = outputs.flatMap((t, i) => (dys[i] ? [[t, dys[i]] as const] : []))
  return naming(stage.site.path, () => pullback(again.tape, seeds, { wanted }))
}

/** Looks for captured tensors alone: runs the stage once more with a tape, and drops it. */
export const checkCaptured = (p: Pull): void => {
  const { tape } = replay(p)
  refuseCaptured(p.stage.site.path, tape, [...p.first.reads.values()])
  releaseTape(tape)
}

/** The stage once more, with a tape, on the same course as before. */
const replay = ({ stage, run, first, from }: Pull): { tape: TapeNode[]; out: Stream; state: Kept['state'] } =>
  record((tape) => {
    currentWalk()!.ledger.ownTape(tape)
    const state = stageState(first.state.place, first.state)
    return { tape, out: applyStage(stage, from, run.within(state, from.frame)), state }
  })

/** Clones count references, they copy nothing; the frame's tensors may be freed by the caller before the walk. */
export const holdStream = (stage: Stage, s: Stream): { stream: Stream; tensors: Tensor[] } => {
  const tensors: Tensor[] = []
  const hold = <T>(value: T): T => {
    if (isTensor(value)) {
      tensors.push(detached(() => keep(clone(value))))
      return tensors.at(-1)! as T
    }
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hold(part)])) as T
  }
  const leaves = Object.fromEntries(stage.uses.filter((leaf) => s[leaf]).map((leaf) => [leaf, hold(s[leaf]!)]))
  return { stream: { ...s, ...leaves, frame: hold(s.frame) }, tensors }
}
