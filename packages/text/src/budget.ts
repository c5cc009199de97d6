import { GraftError } from '@graftjs/tensor/error'
import { type Environment, Interpreter } from '@huggingface/jinja'

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
  /** Nodes whose value something native walks over, and the steps that each element costs. */
  readonly #walked = new WeakMap<Node, number>()
  #steps = 0
  #depth = 0

  constructor(environment: Environment, budget: Budget) {
    super(environment)
    this.#budget = budget
  }

  override evaluate(node: Statement, environment: Environment): Value {
    if (++this.#depth > this.#budget.depth) throw overBudget('nested expressions', this.#budget.depth)
    try {
      this.#spend(1)
      // A turn of a loop builds a scope and its `loop` object: as much work as some evaluations.
      const cost = node?.type === 'For' ? 5 : 1
      for (const operand of node ? walkedBy(node) : []) this.#walked.set(operand, cost)
      const value = super.evaluate(node, environment)
      this.#judge(value, node ? (this.#walked.get(node) ?? 0) : 0)
      return value
    } finally {
      // Break and continue travel as exceptions.
      this.#depth--
    }
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
