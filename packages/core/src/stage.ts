import { clone, isTaping, pushNode, scope, type TapeNode, type Tensor } from '@graftjs/tensor'
import { refusePromise } from './guard.ts'
import { runFirst } from './keep.ts'
import { releaseTape } from './ledger.ts'
import { naming } from './naming.ts'
import type { Patches } from './pass.ts'
import { checkCaptured, holdStream, pullStage } from './replay.ts'
import type { StageRun } from './run.ts'
import { type StageState, stageState } from './stage-state.ts'
import type { Leaf, Param, Stage, Stream } from './types.ts'
import { currentWalk, isActive, lastNode, refuseCaptured } from './walk.ts'

/** A stage that has run forward: what it returned, and what its replay needs to know. */
export interface Kept {
  readonly out: Stream
  /** It passed its frame on; a replay then passes on its own copy. */
  readonly sameFrame: boolean
  /** The leaves that it replaced; one passed on as it was needs no node. */
  readonly leaves: readonly Leaf[]
  /** Those of them that a parameter may move. */
  readonly moved: readonly Leaf[]
  readonly reads: ReadonlyMap<Param, Tensor>
  readonly state: StageState
  /** Its own tape, where `Call.keep` let it be kept. */
  readonly tape?: TapeNode[]
}

/**
 * Runs one stage. While taping it leaves a single node behind, whose gradient runs the stage again with a tape (or takes
 * the tape that was kept) and pulls through; a stage that reads no live parameter and no active leaf leaves none.
 */
export const runStage = (stage: Stage, s: Stream, run: StageRun, place = stage.site.path): Stream => {
  if (!run.pass.staged) return runPlain(stage, s, run, place)
  const known = run.state.nextInner()
  if (!isTaping()) return known ? resume(known, s) : runInner(stage, s, run, place)
  const first = known ? { ...known, out: resume(known, s) } : runFirst(stage, s, run, place)
  leaveNode(stage, s, run, first)
  passTallies(first.state, run)
  return first.out
}

/** No walk back comes, or not through stages. */
const runPlain = (stage: Stage, s: Stream, run: StageRun, place: string): Stream => {
  const state = stageState(place)
  const out = applyStage(stage, s, run.within(state, s.frame))
  passTallies(state, run)
  return out
}

/** Inside the first run of a patched stage: its replay takes this result instead of running the layer a third time. */
const runInner = (stage: Stage, s: Stream, run: StageRun, place: string): Stream => {
  const { ledger } = currentWalk()!
  const first = runFirst(stage, s, run, place)
  const kept = Object.fromEntries(first.leaves.map((leaf) => [leaf, ledger.own(clone(first.out[leaf]!))]))
  run.state.inner.push({ ...first, out: { ...first.out, ...kept } })
  if (isFrozen(stage, s, first)) for (const leaf of first.leaves) run.state.constants.add(first.out[leaf]!.id)
  passTallies(first.state, run)
  return first.out
}

const resume = (known: Kept, s: Stream): Stream => ({
  ...s,
  ...(!known.sameFrame && { frame: known.out.frame }),
  ...Object.fromEntries(known.leaves.map((leaf) => [leaf, known.out[leaf]])),
})

/** No parameter moves what it returns: a layer beside a side network. */
const isFrozen = (stage: Stage, s: Stream, { reads, state }: Kept): boolean =>
  stage.uses.every((leaf) => !s[leaf] || state.constants.has(s[leaf].id)) &&
  [...reads.values()].every((value) => !isActive(value))

const passTallies = (state: StageState, run: StageRun): void => {
  for (const [t, x] of state.tallies) run.state.tally(t, x)
}

const leaveNode = (stage: Stage, s: Stream, run: StageRun, first: Kept): void => {
  const ins = stage.uses.filter((leaf) => s[leaf] && isActive(s[leaf]))
  const live = [...first.reads].filter(([, value]) => isActive(value))
  if (first.tape) refuseCaptured(stage.site.path, first.tape, [...ins.map((leaf) => s[leaf]!), ...first.reads.values()])
  if (live.length + ins.length === 0) {
    // No walk comes here to find a captured tensor, and its gradient would be lost in silence.
    if (first.state.patched && !first.tape && isNew(run, first.state.place))
      checkCaptured({ stage, run, first, from: s, ins, live: [] })
    releaseKept(first)
    return
  }
  const held = first.tape ? { stream: s, tensors: [] } : holdStream(stage, s)
  const inputs = [
    ...ins.map((leaf) => [`leaf:${leaf}`, s[leaf]!] as const),
    ...live.map(([param, value]) => [param.path, value] as const),
  ]
  const outputs = [...first.moved.map((leaf) => first.out[leaf]!), ...first.state.tallies.map(([, x]) => x)]
  pushNode({
    kernelName: `stage ${stage.site.path}`,
    inputs: Object.fromEntries(inputs),
    outputs,
    saved: held.tensors,
    gradient: (dys) => {
      const grads = pullStage({ stage, run, first, from: held.stream, ins, live: live.map(([, value]) => value) }, dys)
      return Object.fromEntries(inputs.flatMap(([name], i) => (grads[i] ? [[name, () => grads[i]!]] : [])))
    },
  })
  lastNode().release = () => releaseKept(first)
  for (const t of outputs) currentWalk()!.active.add(t.id)
}

/** Whether these patches run in this stage for the first time: what they read does not change from step to step. */
const isNew = ({ pass: { patches } }: StageRun, place: string): boolean => {
  const places = seen.get(patches) ?? new Set()
  seen.set(patches, places)
  return places.size < places.add(place).size
}
const seen = new WeakMap<Patches, Set<string>>()

/** Frees what a finished stage holds for a replay that is behind, or that will never be. */
const releaseKept = ({ tape, state }: Kept): void => {
  if (tape) releaseTape(tape)
  const { ledger } = currentWalk()!
  ledger.free(state.choices)
  for (const inner of state.inner) {
    releaseKept(inner)
    ledger.free(inner.leaves.map((leaf) => inner.out[leaf]!))
  }
}

/** The stage's own code in one scope; any error from inside it says where. */
export const applyStage = (stage: Stage, s: Stream, run: StageRun): Stream =>
  naming(stage.site.path, () =>
    scope(() => {
      const out = stage.apply(s, run)
      refusePromise(out, stage)
      return out
    }),
  )
