import { near } from '@graftjs/core'

/** The names near to `given`, upper and lower case and `_` or `-` alike: `lora_alpha` is near to `loraAlpha`. */
export const nearKey = (given: string, names: readonly string[], count = 2): string[] => {
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[_-]/g, '')
  const byPlain = new Map(names.map((name) => [plain(name), name]))
  // A name of one letter is part of nearly every other.
  const close = near(plain(given), byPlain.keys(), count + 1).filter((name) => name.length > 1 || given.length < 3)
  return close.slice(0, count).map((name) => byPlain.get(name)!)
}
