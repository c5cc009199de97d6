import { describe, expect, it } from 'vitest'
import { changeJson } from './change-json.ts'

describe('changeJson', () => {
  it('keeps what is not changed in its own words', () => {
    const text = '{\n  "a": 1.0,\n  "b": {"c": [1e-05, "x, \\"}"]},\n  "d": null\n}\n'
    expect(changeJson(text, { d: ['y'], 'e\n': true })).toBe(
      '{\n  "a": 1.0,\n  "b": {"c": [1e-05, "x, \\"}"]},\n  "d": [\n    "y"\n  ],\n  "e\\n": true\n}\n',
    )
  })

  it('works on one line and on an empty object', () => {
    expect(changeJson('{"a":2.50,"b":"\\\\"}', { a: 3 })).toBe('{\n  "a": 3,\n  "b": "\\\\"\n}\n')
    expect(changeJson(' { } ', { a: 3 })).toBe('{\n  "a": 3\n}\n')
  })
})
