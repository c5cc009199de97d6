import {
  clone,
  currentTape,
  detached,
  dispose,
  isTaping,
  keep,
  memory,
  pushNode,
  record,
  scope,
  type TapeNode,
  type Tensor,
} from '@graftjs/tensor'
import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { type StoredParam, watching } from './params.ts'
import type { StageRun } from './run.ts'
import type { Leaf, Stage, Stream } from './types.ts'
import { currentWalk, isActive, type OwnedNode, pullback, releaseTape, spread } from './walk.ts'

/**
 * Runs one stage. While taping it leaves a single node behind, whose gradient runs the stage again with a tape (or takes
 * the tape that was kept) and pulls through; a stage that reads no live parameter and no active leaf leaves none.
 */
export const checkpoint = (stage: Stage, s: Stream, run: StageRun): Stream => {
  if (!isTaping() || !currentWalk()) return apply(stage, s, run)
  const first = runOnce(stage, s, run)
  const leaves = changed(s, first.out)
  const live = [...first.reads].filter((p) => p.trainable)
  const ins = stage.uses.filter((leaf) => s[leaf] && isActive(s[leaf]!))
  if (live.length + ins.length === 0) {
    if (first.tape) releaseTape(first.tape)
    return first.out
  }
  push(stage, s, run, { ...first, leaves, live, ins })
  for (const leaf of leaves) currentWalk()!.active.add(first.out[leaf]!.id)
  return first.out
}

interface First {
  readonly out: Stream
  readonly reads: ReadonlySet<StoredParam>
  /** The stage's own tape, where it is kept. */
  readonly tape: TapeNode[] | undefined
}

/** The run forward: tape off, or with a tape of its own while `keep` allows. */
const runOnce = (stage: Stage, s: Stream, run: StageRun): First => {
  const reads = new Set<StoredParam>()
  const noting = <T>(f: () => T): T => watching((p) => reads.add(p), f)
  const { keep: limit = 'none' } = run.call
  const walk = currentWalk()!
  if (limit === 'none' || (typeof limit === 'number' && walk.keptBytes >= limit)) {
    return { out: noting(() => detached(() => apply(stage, s, run))), reads, tape: undefined }
  }
  const before = memory().bytes
  const { out, tape } = noting(() =>
    record((nodes) => {
      walk.tapes.add(nodes)
      return { out: apply(stage, s, run), tape: nodes }
    }),
  )
  const held = memory().bytes - before
  if (typeof limit === 'number' && walk.keptBytes + held > limit) {
    // The budget is full from here on: what follows is not tried.
    walk.keptBytes = limit
    releaseTape(tape)
    return { out, reads, tape: undefined }
  }
  walk.keptBytes += held
  return { out, reads, tape }
}

interface Pending extends First {
  readonly leaves: Leaf[]
  readonly live: StoredParam[]
  readonly ins: Leaf[]
}

const push = (stage: Stage, s: Stream, run: StageRun, p: Pending): void => {
  const inputs = Object.fromEntries([
    ...p.ins.map((leaf) => [`leaf:${leaf}`, s[leaf]!]),
    ...p.live.map((param) => [param.path, param.value]),
  ]) as Record<string, Tensor>
  const kept = p.tape ? undefined : keepStream(stage, s)
  const gradient = (dys: (Tensor | null)[]): Record<string, () => Tensor> => {
    const again = p.tape ? { tape: p.tape, from: s, out: p.out } : replay(stage, kept!.stream, run)
    for (const leaf of p.ins) currentWalk()!.active.add(again.from[leaf]!.id)
    spread(again.tape)
    const seeds = p.leaves.flatMap((leaf, i) => (dys[i] ? [[again.out[leaf]!, dys[i]!] as const] : []))
    const wanted = [...p.ins.map((leaf) => again.from[leaf]!), ...p.live.map((param) => param.value)]
    const grads = named(stage, () => pullback(again.tape, seeds, undefined, undefined, wanted))
    const names = Object.keys(inputs)
    return Object.fromEntries(grads.flatMap((grad, i) => (grad ? [[names[i]!, () => grad]] : [])))
  }
  pushNode({
    kernelName: `stage ${stage.site.path}`,
    inputs,
    outputs: p.leaves.map((leaf) => p.out[leaf]!),
    saved: kept?.tensors ?? [],
    gradient,
  })
  const node = currentTape().at(-1) as OwnedNode
  if (p.tape) node.release = () => releaseTape(p.tape!)
}

/** The stage once more, with a tape. */
const replay = (stage: Stage, from: Stream, run: StageRun): { tape: TapeNode[]; from: Stream; out: Stream } =>
  record((tape) => {
    currentWalk()!.tapes.add(tape)
    return { tape, from, out: apply(stage, from, run) }
  })

const apply = (stage: Stage, s: Stream, run: StageRun): Stream =>
  named(stage, () => {
    const out = scope(() => stage.apply(s, run.fresh(stage.site.path)))
    if (out instanceof Promise)
      throw new GraftError({
        code: 'async-stage',
        culprit: stage.site.path,
        message: `${stage.site.path}: returned a Promise; a stage is synchronous`,
      })
    return out
  })

/** Clones count references, they copy nothing; the frame's tensors may be freed by the caller before the walk. */
const keepStream = (stage: Stage, s: Stream): { stream: Stream; tensors: Tensor[] } => {
  const tensors: Tensor[] = []
  const hold = (t: Tensor): Tensor => {
    tensors.push(detached(() => keep(clone(t))))
    return tensors.at(-1)!
  }
  const leaves = Object.fromEntries(stage.uses.filter((leaf) => s[leaf]).map((leaf) => [leaf, hold(s[leaf]!)]))
  const frame = Object.fromEntries(Object.entries(s.frame).map(([key, t]) => [key, t && hold(t as Tensor)]))
  return { stream: { ...s, ...leaves, frame } as unknown as Stream, tensors }
}

/** The leaves that the stage replaced; one passed on as it was needs no node. */
const changed = (before: Stream, after: Stream): Leaf[] =>
  (Object.keys(after) as (keyof Stream)[]).filter((key): key is Leaf => key !== 'frame' && after[key] !== before[key])

/** Puts the stage's path before any error from inside it. tfjs's own are useless without it. */
const named = <T>(stage: Stage, f: () => T): T => {
  try {
    return f()
  } catch (cause) {
    if (isGraftError(cause)) throw cause
    const text = cause instanceof Error ? cause.message : String(cause)
    const what = text.includes("reading 'backend'") ? 'reads a tensor that was freed' : text
    throw new GraftError({
      code: 'stage-failed',
      culprit: stage.site.path,
      message: `${stage.site.path}: ${what}`,
      cause,
    })
  }
}

/** Frees the leaves of `s` that `next` has replaced. */
export const disposeReplaced = (s: Stream, next: Stream): void => {
  for (const leaf of changed(s, next)) if (s[leaf] && !s[leaf]!.isDisposed) dispose(s[leaf]!)
}
