import { dispose } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { actingPass } from './acting.ts'
import { changed, leavesOf } from './keep.ts'
import { createRun, type StageRun } from './run.ts'
import { runStage } from './stage.ts'
import { outsideState } from './stage-state.ts'
import { asTuned, type Tuned } from './tuned.ts'
import type { Batch, Call, Model, Output, Stage, Stream } from './types.ts'
import { isRecording } from './walk.ts'

/** One pass through the model. The tensors of the result belong to the caller's scope. */
export const forward = (tuned: Tuned | Model, batch: Batch, call: Call = {}): Output => {
  const t = asTuned(tuned)
  const { model } = t
  if (call.cache && isRecording()) throw cacheWhileTraining()
  const pass = actingPass(t, batch, call)
  const frame = model.begin(batch, call)
  const run = createRun(pass, outsideState(), frame)
  // The embedding reads the frame alone; the ids stand in for the hidden state that it makes.
  const start: Stream = { frame, hidden: frame.ids }
  const embedded = skipped(model.embed, run) ? start : runPatched(model.embed, start, run)
  const last = run.at(model.backbone, embedded, (s, r) => through(model.stages, s, r as StageRun))
  const atEnd = run.within(outsideState(), last.frame)
  return atEnd.at(model.head.site, last, (s, r) => model.head.apply(s, r))
}

/** Patches at a layer stand around its stage, in a stage of their own: only they run again where the layer is frozen. */
const runPatched = (stage: Stage, s: Stream, run: StageRun): Stream => {
  if (!run.patched(stage.site)) return runStage(stage, s, run)
  const outer: Stage = {
    site: stage.site,
    uses: leavesOf(s),
    apply: (x, r) => r.at(stage.site, x, (y, inner) => runStage(stage, y, inner as StageRun)),
  }
  return runStage(outer, s, run, `${stage.site.path}@patches`)
}

const skipped = (stage: Stage, { past }: StageRun): boolean => stage.once === true && past > 0

const through = (stages: readonly Stage[], first: Stream, run: StageRun): Stream => {
  let s = first
  for (const stage of stages) {
    if (skipped(stage, run)) continue
    const next = runPatched(stage, s, run)
    // `first` is the caller's; what lies between is ours and not needed any more (the tape holds its own references).
    if (s !== first) disposeReplaced(s, next)
    s = next
  }
  return s
}

/** Frees the leaves of `s` that `next` has replaced. */
const disposeReplaced = (s: Stream, next: Stream): void => {
  for (const leaf of changed(s, next)) if (s[leaf] && !s[leaf].isDisposed) dispose(s[leaf])
}

const cacheWhileTraining = (): GraftError =>
  new GraftError({
    code: 'cache-while-training',
    culprit: 'cache',
    message: 'cache: it is for generating; train without one',
  })
