import { detached, isTaping, record, type TapeNode, type Tensor } from '@graftjs/tensor'
import { releaseTape } from './ledger.ts'
import { watching } from './params.ts'
import type { StageRun } from './run.ts'
import { applyStage, type Kept } from './stage.ts'
import { stageState } from './stage-state.ts'
import type { Leaf, Param, Stage, Stream } from './types.ts'
import { currentWalk, isActive } from './walk.ts'

/** The run forward: tape off, or with a tape of its own while `Call.keep` allows. */
export const runFirst = (stage: Stage, s: Stream, run: StageRun, place: string): Kept => {
  const reads = new Map<Param, Tensor>()
  const state = stageState(place)
  // Asked before a tape of the stage's own opens: a stage inside it would see that one alone.
  for (const leaf of leavesOf(s)) if (isConstant(s[leaf]!, run)) state.constants.add(s[leaf]!.id)
  const apply = (): Stream => applyStage(stage, s, run.within(state, s.frame))
  const { out, tape } = watching(
    (param, value) => reads.set(param, value),
    () => (isTaping() && mayKeep(run) ? recordWithin(run, apply) : { out: detached(apply), tape: undefined }),
  )
  const leaves = changed(s, out)
  const moved = leaves.filter((leaf) => !state.constants.has(out[leaf]!.id))
  return { out, sameFrame: out.frame === s.frame, leaves, moved, reads, state, ...(tape && { tape }) }
}

/** Inside another stage's first run there is no tape to ask. */
const isConstant = (t: Tensor, { state }: StageRun): boolean => (isTaping() ? !isActive(t) : state.constants.has(t.id))

const mayKeep = ({ call: { keep = 'none' } }: StageRun): boolean =>
  keep === 'all' || (typeof keep === 'number' && currentWalk()!.keptBytes < keep)

/** Keeps the tape if it fits the budget. */
const recordWithin = (run: StageRun, apply: () => Stream): { out: Stream; tape: TapeNode[] | undefined } => {
  const walk = currentWalk()!
  const { keep: limit } = run.call
  const { out, tape } = record((nodes) => {
    walk.ledger.ownTape(nodes)
    return { out: apply(), tape: nodes }
  })
  if (typeof limit !== 'number') return { out, tape }
  walk.keptBytes += tapeBytes(tape)
  if (walk.keptBytes <= limit) return { out, tape }
  // The budget is full from here on: what follows is not tried.
  walk.keptBytes = limit
  releaseTape(tape)
  return { out, tape: undefined }
}

/** Of what the tape's own ops made and it still holds; a buffer that several handles share counts once. */
const tapeBytes = (tape: readonly TapeNode[]): number => {
  const made = new Set(tape.flatMap(({ outputs }) => outputs.map((t) => t.dataId)))
  const held = new Map(tape.flatMap(({ saved = [] }) => saved.map((t) => [t.dataId, t] as const)))
  return [...held].reduce((bytes, [id, t]) => bytes + (made.has(id) ? t.size * 4 : 0), 0)
}

export const changed = (before: Stream, after: Stream): Leaf[] =>
  leavesOf(after).filter((leaf) => after[leaf] !== before[leaf])

/** The leaves that a stream has. */
export const leavesOf = (s: Stream): Leaf[] =>
  (Object.keys(s) as (keyof Stream)[]).filter((key): key is Leaf => key !== 'frame' && s[key] !== undefined)
