/** How `ties` elects the sign of an entry: by the sum of the values, or by how many have each sign. */
export type MajoritySign = 'total' | 'frequency'

/** Which entries of a matrix are kept (1) and which are not (0). */
export type Mask = Float32Array

/** The `density` share of the entries that are largest in magnitude (Yadav et al. 2023, arXiv 2306.01708), rounded down. */
export const largest = (values: Float32Array, density: number): Mask => {
  const count = Math.trunc(density * values.length)
  const kept = new Float32Array(values.length)
  if (count === 0) return kept
  const magnitudes = values.map(Math.abs)
  const least = magnitudes.slice().sort()[values.length - count]!
  let left = count
  magnitudes.forEach((v, i) => {
    if (v > least) left -= kept[i] = 1
  })
  // Several may be exactly as large as the least that is kept.
  for (let i = 0; i < values.length && left > 0; i++) if (magnitudes[i] === least) left -= kept[i] = 1
  return kept
}

/** Σ wᵢ xᵢ */
export const weightedSum = (tasks: readonly Float32Array[], weights: readonly number[]): Float32Array => {
  const sum = new Float64Array(tasks[0]!.length)
  tasks.forEach((values, k) => {
    for (let i = 0; i < sum.length; i++) sum[i]! += weights[k]! * values[i]!
  })
  return Float32Array.from(sum)
}

/**
 * TIES (Yadav et al. 2023): of each entry the sign that the tasks agree on, then the mean of the weighted values that have it.
 * Signs are elected before the weights, as in PEFT.
 */
export const electedMean = (
  tasks: readonly Float32Array[],
  weights: readonly number[],
  majority: MajoritySign,
): Float32Array =>
  new Float32Array(tasks[0]!.length).map((_, i) => {
    const values = tasks.map((task) => task[i]!)
    const balance = values.reduce((sum, v) => sum + (majority === 'total' ? v : Math.sign(v)), 0)
    const sign = balance >= 0 ? 1 : -1
    const agreeing = values.map((v, k) => (Math.sign(v) === sign ? weights[k]! * v : undefined))
    const kept = agreeing.filter((v) => v !== undefined)
    return kept.reduce((sum, v) => sum + v, 0) / Math.max(kept.length, 1)
  })

/** The values where the mask is 1; divided by the density, so that the mean stays, where it was drawn (DARE, Yu et al. 2023, arXiv 2311.03099). */
export const masked = (values: Float32Array, mask: Mask, density = 1): Float32Array =>
  values.map((v, i) => (mask[i] ? v / density : 0))
