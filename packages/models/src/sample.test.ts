import { random } from '@graftjs/tensor'
import { describe, expect, it } from 'vitest'
import { checkSampling, type SampleOptions, sample } from './sample.ts'

// Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625 at temperature 1, out of order.
const logits = Float32Array.from([0.125, 0.5, 0.0625, 0.25, 0.0625], Math.log)
const counts = (options: SampleOptions, text?: number[], draws = 4000): number[] => {
  const [draw, found] = [random(1, 'test'), [0, 0, 0, 0, 0]]
  for (let i = 0; i < draws; i++) found[sample(logits, options, draw, text)]! += 1 / draws
  return found
}

describe('sample', () => {
  it('takes the likeliest at temperature 0, and draws by probability at 1', () => {
    expect(counts({}, undefined, 50)).toEqual([0, expect.closeTo(1, 9), 0, 0, 0])
    const found = counts({ temperature: 1 })
    for (const [id, p] of [0.125, 0.5, 0.0625, 0.25, 0.0625].entries())
      expect(Math.abs(found[id]! - p)).toBeLessThan(0.03)
  })
  it('draws among the k likeliest, in their proportions', () => {
    const found = counts({ temperature: 1, topK: 2 })
    expect([found[0], found[2], found[4]]).toEqual([0, 0, 0])
    expect(Math.abs(found[1]! - 2 / 3)).toBeLessThan(0.03)
    expect(counts({ temperature: 5, topK: 1 }, undefined, 50)[1]).toBeCloseTo(1)
    expect(counts({ temperature: 1, topK: 99 })).toEqual(counts({ temperature: 1 }))
  })
  it('draws among the fewest that come to p', () => {
    const kept = (options: SampleOptions) =>
      counts({ temperature: 1, ...options }).flatMap((n, id) => (n > 0 ? [id] : []))
    expect(kept({ topP: 0.01 })).toEqual([1])
    expect(kept({ topP: 0.49 })).toEqual([1])
    expect(kept({ topP: 0.7 })).toEqual([1, 3])
    expect(kept({ topP: 0.8 })).toEqual([0, 1, 3])
    expect(kept({ topP: 1 })).toEqual([0, 1, 2, 3, 4])
    // p counts within the k likeliest, as in transformers: 2/3 of two.
    expect(kept({ topK: 2, topP: 0.6 })).toEqual([1])
  })
  it('holds back what is in the text: scores above 0 are divided, others multiplied', () => {
    const two = Float32Array.from([2, 1.5, -1, -1.1])
    const greedy = (scores: Float32Array, text: number[]) =>
      sample(scores, { repetitionPenalty: 2 }, random(0, 'x'), text)
    expect(greedy(two, [])).toBe(0)
    expect(greedy(two, [0, 0])).toBe(1)
    expect(greedy(two.slice(2), [0])).toBe(1)
    expect(two[0]).toBe(2)
  })
  it.each([
    [{ temperature: -1 }, 'temperature: given -1'],
    [{ topK: 0 }, 'topK: given 0; expected a whole number ≥ 1'],
    [{ topK: 1.5 }, 'topK'],
    [{ topP: 0 }, 'topP: given 0'],
    [{ topP: 1.1 }, 'topP'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty: given 0'],
    [{ temperature: Number.NaN }, 'temperature: given NaN'],
  ])('refuses %j', (options, message) => {
    expect(() => checkSampling(options)).toThrow(message)
  })
})
