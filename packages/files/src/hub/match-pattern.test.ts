import { expect, test } from 'vitest'
import { matchPattern } from './match-pattern.ts'

// As Python's fnmatch.fnmatchcase answers.
test.each<[string, string, boolean]>([
  ['a/b/c.json', '*.json', true],
  ['c.json', '*.json', true],
  ['c.jsonl', '*.json', false],
  ['onnx/a', 'onnx/', true],
  ['other/onnx/a', 'onnx/', false],
  ['model-00001.safetensors', 'model-?????.safetensors', true],
  ['model-0001.safetensors', 'model-?????.safetensors', false],
  ['a1', 'a[0-9]', true],
  ['ax', 'a[0-9]', false],
  ['ax', 'a[!0-9]', true],
  ['a1', 'a[!0-9]', false],
  ['a]', 'a[]]', true],
  ['a^', 'a[^]', true],
  ['ab', 'a[^]', false],
  ['a[', 'a[', true],
  ['a.b', 'a.b', true],
  ['axb', 'a.b', false],
  ['(a|b)+$', '(a|b)+$', true],
  ['a\\', 'a\\', true],
  ['line\nbreak', 'line*', true],
  ['', '*', true],
])('%j by %j: %s', (path, pattern, fits) => {
  expect(matchPattern(path, pattern)).toBe(fits)
})
