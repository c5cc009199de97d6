import { GraftError } from '@graftjs/tensor/error'
import { compareUtf8 } from './compare-utf8.ts'
import type { Json } from './strict-json.ts'

/** What Python's json.dumps(value, indent=2, sort_keys=True) gives: the form of PEFT's configs. */
export const pythonJson = (value: Json, indent = ''): string => {
  if (typeof value === 'number') return pythonNumber(value)
  if (typeof value === 'string') return pythonString(value)
  if (typeof value !== 'object' || value === null) return String(value)
  const inner = `${indent}  `
  const [items, brackets] = Array.isArray(value)
    ? [value.map((v) => pythonJson(v, inner)), '[]']
    : [
        Object.keys(value)
          .sort(compareUtf8)
          .map((key) => `${pythonString(key)}: ${pythonJson(value[key]!, inner)}`),
        '{}',
      ]
  if (items.length === 0) return brackets
  return `${brackets[0]}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${brackets[1]}`
}

const pythonString = (value: string): string =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Whole numbers as integers, others as Python's repr: an exponent below 1e-4, of two digits at least. */
const pythonNumber = (value: number): string => {
  if (!Number.isFinite(value))
    throw new GraftError({ code: 'bad-value', culprit: 'JSON', given: String(value), expected: 'a finite number' })
  if (Object.is(value, -0)) return '-0.0'
  if (Number.isInteger(value) || Math.abs(value) >= 1e-4) return String(value)
  const [digits, exponent] = value.toExponential().split('e-')
  return `${digits}e-${exponent!.padStart(2, '0')}`
}
