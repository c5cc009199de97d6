import { GraftError } from '@graftjs/tensor/error'

/** The options that are numbers, each in its range [from, to). */
export const checkOptions = (
  owner: string,
  options: Readonly<Record<string, readonly [value: number, from: number, to: number]>>,
): void => {
  for (const [name, [value, from, to]] of Object.entries(options)) {
    if (value >= from && value < to) continue
    throw new GraftError({
      code: 'bad-option',
      culprit: `${owner}: ${name}`,
      given: String(value),
      expected: `a number of [${from}, ${to})`,
    })
  }
}
