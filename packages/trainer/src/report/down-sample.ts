export type Point = readonly [step: number, value: number]

/**
 * At most two points a bucket of steps, the lowest and the highest, so that no spike is lost; the first and the last stay.
 * Points that are not finite are left out.
 */
export const downSample = (points: readonly Point[], buckets: number): Point[] => {
  const finite = points.filter(([, value]) => Number.isFinite(value))
  if (finite.length <= 2 * buckets) return finite
  const [from, to] = [finite[0]![0], finite.at(-1)![0]]
  const bucketOf = ([at]: Point): number => Math.min(buckets - 1, Math.floor(((at - from) / (to - from)) * buckets))
  const kept = new Set<Point>([finite[0]!, finite.at(-1)!])
  for (let i = 0; i < finite.length; ) {
    const bucket = bucketOf(finite[i]!)
    let [low, high] = [finite[i]!, finite[i]!]
    for (; i < finite.length && bucketOf(finite[i]!) === bucket; i++) {
      if (finite[i]![1] < low[1]) low = finite[i]!
      if (finite[i]![1] > high[1]) high = finite[i]!
    }
    kept.add(low).add(high)
  }
  return [...kept].sort(([a], [b]) => a - b)
}
