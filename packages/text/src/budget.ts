import { GraftError } from '@graftjs/tensor/error'
import { Environment, Interpreter } from '@huggingface/jinja'
import { GENERATION } from './generation-tags.ts'

type Statement = Parameters<Interpreter['evaluate']>[0]
type Value = ReturnType<Interpreter['evaluate']>
type Node = NonNullable<Statement>

export interface Budget {
  /** Evaluations. Elements that a loop or filter walks over count too, and each 256 characters of a text. */
  readonly steps: number
  /** Characters of any one string the template builds. */
  readonly text: number
  /** Expressions and blocks inside each other. */
  readonly depth: number
}

/** Two characters that stand round what a generation block renders. */
export interface Marks {
  readonly open: string
  readonly close: string
}

export const overBudget = (what: string, limit: number): GraftError =>
  new GraftError({
    code: 'template-budget',
    culprit: 'chat template',
    given: `more than ${limit} ${what}`,
    expected: 'a template that stays below: it is broken or hostile',
  })

/**
 * The Jinja interpreter with a limit on work, text and depth, counted where every node passes. What it cannot see is the
 * inside of one built-in call: that call ends first and is judged by its result, so a single filter may briefly hold
 * hundreds of megabytes before it is refused.
 */
export class BudgetedInterpreter extends Interpreter {
  readonly #budget: Budget
  readonly #marks: Marks | undefined
  /** Nodes whose value something native walks over, and the steps that each element costs. */
  readonly #walked = new WeakMap<Node, number>()
  /** What the last operand of a node was: Python adds a text to nothing but a text. */
  readonly #operands = new WeakMap<Node, Value>()
  #steps = 0
  #depth = 0
  #generated = 0

  constructor(environment: Environment, budget: Budget, marks?: Marks) {
    super(environment)
    this.#budget = budget
    this.#marks = marks
  }

  /** How many generation blocks were rendered. */
  get generated(): number {
    return this.#generated
  }

  override evaluate(node: Statement, environment: Environment): Value {
    if (++this.#depth > this.#budget.depth) throw overBudget('nested expressions', this.#budget.depth)
    try {
      this.#spend(1 + (node ? scanOf(node) : 0))
      // A turn of a loop builds a scope and its `loop` object: as much work as some evaluations.
      const cost = node?.type === 'For' ? 5 : 1
      for (const operand of node ? walkedBy(node) : []) this.#walked.set(operand, cost)
      const body = node ? generationBody(node) : undefined
      const value = body ? this.#generate(body, environment) : super.evaluate(node, environment)
      this.#judge(value, node ? (this.#walked.get(node) ?? (makesLists.has(node.type) ? 1 : 0)) : 0)
      if (node) this.#checkSum(node, value)
      return value
    } finally {
      // Break and continue travel as exceptions.
      this.#depth--
    }
  }

  /** A block of its own scope, as in transformers; its text between the marks, where they are asked for. */
  #generate(body: readonly Node[], environment: Environment): Value {
    this.#generated++
    const program = { type: 'Program', body } as unknown as Node
    const value = this.evaluate(program, new Environment(environment))
    if (this.#marks) value.value = `${this.#marks.open}${value.value}${this.#marks.close}`
    return value
  }

  #checkSum(node: Node, value: Value): void {
    this.#operands.set(node, value)
    const { left, right, operator } = node as Node & { left: Node; right: Node; operator?: { value: string } }
    if (node.type !== 'BinaryExpression' || operator?.value !== '+') return
    const types = [left, right].map((operand) => this.#operands.get(operand)?.type)
    if (types.includes('StringValue') && types.some((type) => type !== 'StringValue'))
      throw new TypeError(`cannot add ${types.join(' and ')}; the template expects a text`)
  }

  #spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > this.#budget.steps) throw overBudget('steps', this.#budget.steps)
  }

  #judge(value: Value, cost: number): void {
    const inner: unknown = value.value
    if (typeof inner === 'string') {
      if (inner.length > this.#budget.text) throw overBudget('characters', this.#budget.text)
      this.#spend(inner.length >> 8)
    }
    if (Array.isArray(inner)) this.#spend(inner.length * cost)
    if (inner instanceof Map) this.#spend(inner.size * cost)
  }
}

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

/** Nodes whose list is made anew, natively, each time. */
const makesLists: ReadonlySet<string> = new Set(['CallExpression', 'FilterExpression'])

/** What a generation block holds, of the call block that it was rewritten to. */
const generationBody = (node: Node): readonly Node[] | undefined => {
  if (node.type !== 'CallStatement') return undefined
  const { call, body } = node as Node & { call: { callee: { value?: unknown } }; body: Node[] }
  return call.callee.value === GENERATION ? body : undefined
}

const sizes = new WeakMap<object, number>()

/** The nodes that defining a macro or a call block searches for names, each time anew. */
const scanOf = (node: Node): number => {
  if (node.type !== 'Macro' && node.type !== 'CallStatement') return 0
  const known = sizes.get(node)
  if (known !== undefined) return known
  let size = 0
  const open: unknown[] = [node]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null) continue
    size++
    open.push(...(next instanceof Map ? [...next].flat() : Object.values(next)))
  }
  sizes.set(node, size)
  return size
}
