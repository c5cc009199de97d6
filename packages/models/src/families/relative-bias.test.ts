import { describe, expect, it } from 'vitest'
import { relativeBucket } from './relative-bias.ts'

describe('relative buckets', () => {
  // From _relative_position_bucket of transformers' T5, float32.
  it.each([
    [
      true,
      [
        [0, 0],
        [-1, 1],
        [1, 17],
        [-7, 7],
        [7, 23],
        [-8, 8],
        [11, 24],
        [-12, 9],
        [16, 26],
        [-23, 11],
        [32, 28],
        [-64, 14],
        [127, 31],
        [128, 31],
        [-999, 15],
      ],
    ],
    [
      false,
      [
        [5, 0],
        [0, 0],
        [-1, 1],
        [-15, 15],
        [-16, 16],
        [-18, 16],
        [-19, 17],
        [-21, 18],
        [-32, 21],
        [-64, 26],
        [-113, 31],
        [-112, 30],
        [-128, 31],
        [-999, 31],
      ],
    ],
  ] as [boolean, [number, number][]][])('bidirectional %s', (bidirectional, pairs) => {
    for (const [distance, bucket] of pairs)
      expect([distance, relativeBucket(distance, { bidirectional, count: 32, maxDistance: 128 })]).toEqual([
        distance,
        bucket,
      ])
  })
})
