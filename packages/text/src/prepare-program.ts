import type { Interpreter, parse } from '@huggingface/jinja'
import { GENERATION } from './generation-tags.ts'
import type { Side } from './strip.ts'

export type Program = ReturnType<typeof parse>
export type Node = NonNullable<Parameters<Interpreter['evaluate']>[0]>

/** What the interpreter has to know of a node, told once, when the template is parsed. */
export interface NodeInfo {
  /** Steps an element of its value costs: something native walks over it, or makes it anew each time. */
  perElement: number
  /** Nodes that are searched for names each time it is evaluated. */
  readonly scan: number
  /** Evaluated by us, not by the library. */
  readonly ours?: Generation | Strip | Sum
}

export interface Generation {
  readonly kind: 'generation'
  readonly body: Node
}

/** `text.strip(…)`, `text.lstrip(…)`, `text.rstrip(…)`, `text | trim`. */
export interface Strip {
  readonly kind: 'strip'
  readonly object: Node
  readonly side: Side
  readonly characters?: Node
}

export interface Sum {
  readonly kind: 'sum'
  readonly left: Node
  readonly right: Node
  readonly operator: object
}

const INFO = Symbol('graft')
type Prepared = Node & { [INFO]?: NodeInfo }

/** Undefined for a node that no template wrote. */
export const infoOf = (node: Node): NodeInfo | undefined => (node as Prepared)[INFO]

/** Gives every node of a program its info. */
export const prepareProgram = (program: Program): Program => {
  prepare(program as unknown as Node)
  return program
}

/** The number of nodes from `value` down. Deep programs overflow the stack, as they do in the parser. */
const prepare = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  const children: readonly unknown[] =
    value instanceof Map ? [...value].flat() : Array.isArray(value) ? value : Object.values(value)
  let size = 1
  for (const child of children) size += prepare(child)
  if (isNode(value)) {
    const scanned = value.type === 'Macro' || value.type === 'CallStatement'
    const ours = oursOf(value)
    const info: NodeInfo = {
      perElement: makesLists.has(value.type) ? 1 : 0,
      scan: scanned ? size : 0,
      ...(ours && { ours }),
    }
    ;(value as Prepared)[INFO] = info
    // A turn of a loop builds a scope and its `loop` object: as much work as some evaluations.
    for (const operand of walkedBy(value)) infoOf(operand)!.perElement = value.type === 'For' ? 8 : 1
  }
  return size
}

const isNode = (value: object): value is Node => typeof (value as { type?: unknown }).type === 'string'

/** Nodes whose list is made anew, natively, each time. */
const makesLists: ReadonlySet<string> = new Set(['CallExpression', 'FilterExpression'])

/** The operands of `node` that are walked over outside `evaluate`. */
const walkedBy = (node: Node): Node[] => {
  const of = node as Node & Record<string, Node>
  switch (node.type) {
    case 'For':
      return [of.iterable?.type === 'SelectExpression' ? (of.iterable as typeof of).lhs! : of.iterable!]
    case 'FilterExpression':
      return [of.operand!]
    case 'BinaryExpression':
      return [of.left!, of.right!]
    case 'CallExpression':
      return of.callee?.type === 'MemberExpression' ? [(of.callee as typeof of).object!] : []
    case 'MemberExpression':
      return of.property?.type === 'SliceExpression' ? [of.object!] : []
    default:
      return []
  }
}

const sides: Readonly<Record<string, Side>> = { strip: 'both', lstrip: 'start', rstrip: 'end' }

const oursOf = (node: Node): NodeInfo['ours'] => {
  const of = node as Node & {
    call?: { callee: { value?: unknown } }
    body?: readonly Node[]
    callee?: { type: string; object: Node; computed: boolean; property: { value?: unknown } }
    args?: readonly Node[]
    operand: Node
    filter?: { type: string; value?: unknown }
    left: Node
    right: Node
    operator?: { value: string }
  }
  if (node.type === 'CallStatement' && of.call?.callee.value === GENERATION)
    return { kind: 'generation', body: { type: 'Program', body: of.body } as unknown as Node }
  if (node.type === 'BinaryExpression' && of.operator?.value === '+')
    return { kind: 'sum', left: of.left, right: of.right, operator: of.operator }
  if (node.type === 'FilterExpression' && of.filter?.type === 'Identifier' && of.filter.value === 'trim')
    return { kind: 'strip', object: of.operand, side: 'both' }
  if (node.type !== 'CallExpression' || of.callee?.type !== 'MemberExpression' || of.callee.computed) return undefined
  const name = String(of.callee.property.value)
  if (!Object.hasOwn(sides, name) || !of.args || of.args.length > 1) return undefined
  return {
    kind: 'strip',
    object: of.callee.object,
    side: sides[name]!,
    ...(of.args[0] && { characters: of.args[0] }),
  }
}
