import { expect, it } from 'vitest'
import { collate, countTargets } from './collate.ts'
import { IGNORED } from './encode-examples.ts'

const source = 0

it('pads labels as the ids where each id has one', () => {
  const rows = [
    { ids: [5, 6, 7], labels: [IGNORED, 6, 7], source },
    { ids: [8], labels: [8], source },
  ]
  expect(collate(rows, { padId: 9, side: 'left' })).toEqual({
    ids: [
      [5, 6, 7],
      [9, 9, 8],
    ],
    mask: [
      [1, 1, 1],
      [0, 0, 1],
    ],
    labels: [
      [IGNORED, 6, 7],
      [IGNORED, IGNORED, 8],
    ],
  })
})

it('keeps labels of rows, and of texts of other lengths, at the left', () => {
  const classes = [
    { ids: [5, 6, 7], labels: [1], source },
    { ids: [8], labels: [0], source },
  ]
  const ofRows = collate(classes, { padId: 9 })
  expect(ofRows.labels).toEqual([[1], [0]])
  expect([countTargets(ofRows), countTargets(ofRows, 0)]).toEqual([0, 2])
  const texts = [
    { ids: [5, 6, 7], labels: [4], source },
    { ids: [8], labels: [3, 2, 1, 0], source },
  ]
  expect(collate(texts, { padId: 9, side: 'left' }).labels).toEqual([
    [4, IGNORED, IGNORED, IGNORED],
    [3, 2, 1, 0],
  ])
})

it('gives rows without token types 0 where others have some', () => {
  const rows = [
    { ids: [5, 6, 7], labels: [1], tokenTypes: [0, 1, 1], source },
    { ids: [8, 3], labels: [0], source },
  ]
  expect(collate(rows, { padId: 9 }).tokenTypes).toEqual([
    [0, 1, 1],
    [0, 0, 0],
  ])
  expect(collate(rows.slice(1), { padId: 9 })).not.toHaveProperty('tokenTypes')
})
