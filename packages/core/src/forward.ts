import { checkpoint, disposeReplaced } from './checkpoint.ts'
import { createRun, type StageRun } from './run.ts'
import { asTuned, type Tuned } from './tuned.ts'
import type { Batch, Call, Model, Output, Stage, Stream } from './types.ts'

/** One pass through the model. The tensors of the result belong to the caller's scope. */
export const forward = (tuned: Tuned | Model, batch: Batch, call: Call = {}): Output => {
  const { model, patches } = asTuned(tuned)
  const run = createRun(patches, call)
  const frame = model.begin(batch, call)
  // The embedding reads the frame alone; the ids stand in for the hidden state that it makes.
  const embedded = checkpoint(patchedStage(model.embed), { frame, hidden: frame.ids }, run)
  const last = run.at(model.backbone, embedded, (s) => through(model.stages, s, run))
  return run.at(model.head.site, last, (s, r) => model.head.apply(s, r))
}

/** A stage's own patches stand around it, inside its checkpoint. */
const patchedStage = (stage: Stage): Stage => ({
  ...stage,
  apply: (s, run) => run.at(stage.site, s, (x, r) => stage.apply(x, r)),
})

const through = (stages: readonly Stage[], first: Stream, run: StageRun): Stream => {
  let s = first
  for (const stage of stages) {
    const next = checkpoint(patchedStage(stage), s, run)
    // `first` is the caller's; what lies between is ours and not needed any more (the tape holds its own references).
    if (s !== first) disposeReplaced(s, next)
    s = next
  }
  return s
}
