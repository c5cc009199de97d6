import { expect, it } from 'vitest'
import { isSafePattern } from './safe-pattern.ts'
import { gpt2Pattern } from './unicode-exact.ts'

it.each(['^(a+)+$', '(a*)*', '((a+)b)+', '(?:x{2,})*y', '(a|b+){3,}', '(?:(?:ab+)?c)*'])('refuses %s', (pattern) =>
  expect(isSafePattern(pattern)).toBe(false),
)
it.each([
  gpt2Pattern,
  '(ab)+',
  '[(a+)]+',
  '\\(a+\\)+',
  '(a+)?',
  '(?=(?:\\d{3})+(?!\\d))',
  '(a{2,3})+',
  '[^[a+]]*',
  'a+b+',
  '(?:',
  '[',
])('lets %s through', (pattern) => expect(isSafePattern(pattern)).toBe(true))
