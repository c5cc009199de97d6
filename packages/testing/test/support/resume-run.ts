import type { Sample } from '@graftjs/data'
import { random } from '@graftjs/tensor'

/** Rows of different lengths, of which the second half is learnt. */
export const resumeSamples: readonly Sample[] = Array.from({ length: 11 }, (_, source) => {
  const draw = random(source, 'rows')
  const ids = Array.from({ length: 4 + (source % 5) }, () => 3 + draw.int(90))
  return { ids, labels: ids.map((id, t) => (t < ids.length / 2 ? -100 : id)), source }
})
