/** A deliberate fault in the executor: text in a file of core's sources, and what stands there instead. */
export interface Mutation {
  readonly name: string
  /** Under packages/core/src. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Each must be seen by the suite; one whose `from` is not found exactly once fails the run. */
export const mutations: readonly Mutation[] = [
  {
    name: 'cotangents are not summed',
    file: 'walk.ts',
    from: 'cotangents.set(id, before ? add(before, grad) : grad)\n    if (before) dispose([before, grad])',
    to: 'cotangents.set(id, grad)\n    if (before) dispose(before)',
  },
  {
    name: "a shared parameter's gradient is handed over before its last reader is behind",
    file: 'walk.ts',
    from: 'if (!param || seen.has(id)) continue\n      seen.add(id)',
    to: 'if (!param) continue\n      for (const [, list] of at) if (list.includes(param)) list.splice(list.indexOf(param), 1)',
  },
  {
    name: 'one tensor handed to two inputs is freed twice',
    file: 'walk.ts',
    from: 'owned.has(grad) ? clone(grad) : grad',
    to: 'grad',
  },
  {
    name: 'a cotangent that a gradient function hands back is freed twice',
    file: 'walk.ts',
    from: 'return grad && (dys.includes(grad) ? clone(grad) : grad)',
    to: 'return grad',
  },
  {
    name: 'dropout is not replayed',
    file: 'replay.ts',
    from: 'const state = stageState(first.state.place, first.state)',
    to: "const state = stageState(first.state.place + '!', first.state)",
  },
  {
    name: "a tally's gradient is lost in the forward run",
    file: 'stage.ts',
    from: 'const outputs = [...first.moved.map((leaf) => first.out[leaf]!), ...first.state.tallies.map(([, x]) => x)]',
    to: 'const outputs = [...first.moved.map((leaf) => first.out[leaf]!)]',
  },
  {
    name: "a tally's gradient is lost in the replay",
    file: 'replay.ts',
    from: ', ...again.state.tallies.map(([, x]) => x)]',
    to: ']',
  },
  {
    name: 'a tally of a layer inside a patched one is dropped',
    file: 'stage.ts',
    from: 'if (isFrozen(stage, s, first)) for (const leaf of first.leaves) run.state.constants.add(first.out[leaf]!.id)\n  passTallies(first.state, run)',
    to: 'if (isFrozen(stage, s, first)) for (const leaf of first.leaves) run.state.constants.add(first.out[leaf]!.id)',
  },
  {
    name: 'a frozen stage is revisited',
    file: 'stage.ts',
    from: 'if (live.length + ins.length === 0) {',
    to: 'if (live.length + ins.length < 0) {',
  },
  {
    name: 'what a frozen layer makes beside a side network counts as moved',
    file: 'keep.ts',
    from: 'leaves.filter((leaf) => !state.constants.has(out[leaf]!.id))',
    to: 'leaves',
  },
  {
    name: "the stream's gradient stops at a stage",
    file: 'stage.ts',
    from: 'const ins = stage.uses.filter((leaf) => s[leaf] && isActive(s[leaf]))',
    to: 'const ins = stage.uses.filter((leaf) => s[leaf] && isActive(s[leaf]) && false)',
  },
  {
    name: 'a parameter read only inside a stage gets no gradient',
    file: 'stage.ts',
    from: 'const live = [...first.reads].filter(([, value]) => isActive(value))',
    to: 'const live = [...first.reads].filter(([, value]) => isActive(value)).slice(1)',
  },
  {
    name: "a replay passes on the first run's frame",
    file: 'stage.ts',
    from: '...(!known.sameFrame && { frame: known.out.frame }),',
    to: 'frame: known.out.frame,',
  },
  {
    name: 'a kept stage does not ask beforehand what is active',
    file: 'keep.ts',
    from: 'if (isConstant(s[leaf]!, run)) state.constants.add(s[leaf]!.id)',
    to: 'state.constants.add(s[leaf]!.id)',
  },
  {
    name: 'a stage inside a replayed one does not know what is active',
    file: 'replay.ts',
    from: 'for (const t of wanted) currentWalk()!.active.add(t.id)',
    to: '',
  },
  {
    name: 'a layer inside a patched one runs a third time',
    file: 'stage-state.ts',
    from: 'nextInner: () => (first ? inner[called++] : undefined),',
    to: 'nextInner: () => (first && called < 0 ? inner[called++] : undefined),',
  },
  {
    name: 'a discrete choice is made again in the replay',
    file: 'stage-state.ts',
    from: 'choices[at] ??= make()',
    to: 'choices[at] = make()',
  },
  {
    name: 'a kept tape is pulled after its budget is spent',
    file: 'keep.ts',
    from: 'if (walk.keptBytes <= limit) return { out, tape }',
    to: 'return { out, tape }',
  },
  {
    name: 'a stage that did not fit the budget keeps its tensors',
    file: 'keep.ts',
    from: 'walk.keptBytes = limit\n  releaseTape(tape)',
    to: 'walk.keptBytes = limit\n  tape.forEach((node) => { node.saved = [] })',
  },
  {
    name: 'the ledger is not emptied',
    file: 'walk.ts',
    from: '  } finally {\n    ledger.empty()\n    walk = undefined',
    to: '  } finally {\n    walk = undefined',
  },
  {
    name: 'what a stage held for its replay is not freed',
    file: 'ledger.ts',
    from: 'for (const t of node.saved ?? []) if (!t.isDisposed) dispose(t)',
    to: '',
  },
  {
    name: 'what replays read of a pass is freed with the scope of the loss',
    file: 'acting.ts',
    from: 'isRecording() ? currentWalk()!.ledger.own(t) : t)',
    to: 't)',
  },
  {
    name: 'a derived parameter is computed at every read',
    file: 'params.ts',
    from: 'currentPass()?.derived.get(param) ?? make()',
    to: 'make()',
  },
  {
    name: 'a frozen scope is trained',
    file: 'params.ts',
    from: 'view(inner + more, trainable && !how.frozen)',
    to: 'view(inner + more, trainable)',
  },
  {
    name: 'every row of a mixed batch uses every adapter',
    file: 'acting.ts',
    from: '=== name ? 1 : 0',
    to: '=== name ? 1 : 1',
  },
  {
    name: 'a gain does not take the base away',
    file: 'gate.ts',
    from: 'add(mul(sub(1, g), y), mul(g, z))',
    to: 'add(y, mul(g, z))',
  },
  {
    name: 'positions do not count virtual tokens',
    file: 'virtual-tokens.ts',
    from: 'add(positions, on ? mul(on, count) : count)',
    to: 'add(positions, 0)',
  },
  {
    name: 'virtual tokens are put in front again with a cache',
    file: 'virtual-tokens.ts',
    from: 'if (run.past > 0)',
    to: 'if (run.past < 0)',
  },
  {
    name: 'the outermost patch folds first',
    file: 'merge.ts',
    from: 'patches?.reduceRight<Dense>',
    to: 'patches?.reduce<Dense>',
  },
  {
    name: 'a captured tensor goes unseen in a replay',
    file: 'replay.ts',
    from: 'if (!first.tape) refuseCaptured(',
    to: 'if (first.tape) refuseCaptured(',
  },
  {
    name: 'a captured tensor goes unseen in a frozen stage',
    file: 'stage.ts',
    from: 'if (first.state.patched && !first.tape &&',
    to: 'if (first.state.patched && first.tape &&',
  },
  {
    name: 'a scope in a method goes unseen',
    file: 'guard.ts',
    from: 'if (!running || running.scope === currentScope()) return',
    to: 'if (running || !running) return',
  },
  {
    name: 'another frame from a patch goes unseen',
    file: 'run.ts',
    from: "patch.site.kind === 'layer' && !frames.has(frameOf(out))",
    to: "patch.site.kind === 'head' && !frames.has(frameOf(out))",
  },
  {
    name: 'an async patch goes unseen',
    file: 'guard.ts',
    from: 'if (!(out instanceof Promise)) return',
    to: 'return\n  if (!(out instanceof Promise)) return',
  },
  {
    name: 'an error does not say whose it is',
    file: 'naming.ts',
    from: 'const where = by ?',
    to: 'const where = !by ?',
  },
  {
    name: 'a parameter read while attaching goes unseen',
    file: 'params.ts',
    from: 'if (attaching && !reader) throw readInAttach(path)',
    to: '',
  },
  {
    name: "a teacher's statistics count",
    file: 'tallies.ts',
    from: 'open !== undefined && !isDetached()',
    to: 'open !== undefined',
  },
  {
    name: 'tallies outside backward are kept',
    file: 'run.ts',
    from: 'if (pass.tallied) state.tally(',
    to: 'state.tally(',
  },
  {
    name: 'a cache is taken while training',
    file: 'forward.ts',
    from: 'if (call.cache && isRecording()) throw cacheWhileTraining()',
    to: '',
  },
]
