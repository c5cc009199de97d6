import type { Tensor } from '@graftjs/tensor'
import type { Kept } from './stage.ts'
import { noteTally } from './tallies.ts'
import type { Tally } from './types.ts'

/** What one run of a stage notes so that its replay takes the same course. */
export interface StageState {
  /** Names the stage's random streams. */
  readonly place: string
  /** A patch stands somewhere inside. */
  patched: boolean
  /** Dropout masks drawn so far. */
  draws: number
  /** The nth discrete choice: made in the first run, repeated in the replay. */
  choice(make: () => Tensor): Tensor
  readonly choices: Tensor[]
  /** Notes a statistic; outside all stages it goes straight to those of the pass. */
  tally(t: Tally, x: Tensor): void
  readonly tallies: (readonly [Tally, Tensor])[]
  /** Ids of tensors that stand at the stage's door, or came out of a frozen stage inside it: no parameter moves them. */
  readonly constants: Set<number>
  /** What the stage inside a patched one made, call by call. */
  readonly inner: Kept[]
  /** In a replay, the nth of `inner`; undefined in a first run. */
  nextInner(): Kept | undefined
}

/** The state of a stage's first run; of its replay, when that first run is given. */
export const stageState = (place: string, first?: StageState): StageState => {
  const choices = first?.choices ?? []
  const inner = first?.inner ?? []
  const tallies: (readonly [Tally, Tensor])[] = []
  let [chosen, called] = [0, 0]
  return {
    place,
    patched: false,
    draws: 0,
    choices,
    choice: (make) => {
      const at = chosen++
      choices[at] ??= make()
      return choices[at]
    },
    constants: new Set(),
    tallies,
    tally: (t, x) => {
      tallies.push([t, x])
    },
    inner,
    nextInner: () => (first ? inner[called++] : undefined),
  }
}

/** The state between stages: choices are made but not repeated, statistics go straight to the pass. */
export const outsideState = (): StageState => ({
  ...stageState('outside'),
  choice: (make) => make(),
  tally: noteTally,
})
