let unstagedNow = false

export const isUnstaged = (): boolean => unstagedNow

/**
 * Runs `f` with stages as plain code: the ops of the whole model then stand on one tape, whoever holds it. A check of the
 * executor (its gradients against `backward` outside, or against tfjs's own), never a way to train.
 */
export const unstaged = <T>(f: () => T): T => {
  const outer = unstagedNow
  unstagedNow = true
  try {
    return f()
  } finally {
    unstagedNow = outer
  }
}
