import { GraftError } from '@graftjs/tensor/error'
import { Environment, Interpreter } from '@huggingface/jinja'
import { type Generation, infoOf, type Node, type Strip, type Sum } from './prepare-program.ts'
import { strip } from './strip.ts'

type Statement = Parameters<Interpreter['evaluate']>[0]
type Value = ReturnType<Interpreter['evaluate']>

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

/** A node whose value is known. */
interface Held {
  readonly type: 'Held'
  readonly value: Value
}

/**
 * The Jinja interpreter with a limit on work, text and depth, counted where every node passes. What it cannot see is the
 * inside of one built-in call: that call ends first and is judged by its result, so a single filter may briefly hold
 * hundreds of megabytes before it is refused. It renders generation blocks, and strips and adds texts as Python does.
 */
export class BudgetedInterpreter extends Interpreter {
  readonly #budget: Budget
  readonly #marks: Marks | undefined
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
    if (node && (node as unknown as Held).type === 'Held') return (node as unknown as Held).value
    if (++this.#depth > this.#budget.depth) throw overBudget('nested expressions', this.#budget.depth)
    try {
      const info = node && infoOf(node)
      this.#spend(1 + (info?.scan ?? 0))
      const value = (info?.ours && this.#own(info.ours, environment)) ?? super.evaluate(node, environment)
      this.#judge(value, info?.perElement ?? 0)
      return value
    } finally {
      // Break and continue travel as exceptions.
      this.#depth--
    }
  }

  #own(node: Generation | Strip | Sum, environment: Environment): Value | undefined {
    if (node.kind === 'generation') return this.#generate(node, environment)
    return node.kind === 'sum' ? this.#add(node, environment) : this.#strip(node, environment)
  }

  /** A block of its own scope, as in transformers; its text between the marks, where they are asked for. */
  #generate({ body }: Generation, environment: Environment): Value {
    this.#generated++
    const value = this.evaluate(body, new Environment(environment))
    if (this.#marks) value.value = `${this.#marks.open}${value.value}${this.#marks.close}`
    return value
  }

  /** Python adds a text to nothing but a text; the library would write `[object Map]`. */
  #add({ left, right, operator }: Sum, environment: Environment): Value {
    const [a, b] = [this.evaluate(left, environment), this.evaluate(right, environment)]
    if ((a.type === 'StringValue') !== (b.type === 'StringValue'))
      throw new TypeError(`cannot add ${a.type} and ${b.type}; the template expects a text`)
    return super.evaluate(nodeOf({ type: 'BinaryExpression', operator, left: held(a), right: held(b) }), environment)
  }

  /** Python's strip: of the characters given, else of what Python takes for white space. The library heeds neither. */
  #strip({ object, side, characters }: Strip, environment: Environment): Value | undefined {
    const text = this.evaluate(object, environment)
    const set = characters && this.evaluate(characters, environment)
    if (text.type !== 'StringValue' || (set && set.type !== 'StringValue' && set.type !== 'NullValue'))
      throw new TypeError(`cannot strip ${set ? `${set.type} off ` : ''}${text.type}; the template expects a text`)
    const value = strip(text.value as string, side, set?.type === 'StringValue' ? (set.value as string) : undefined)
    this.#spend(((text.value as string).length - value.length) >> 4)
    return super.evaluate(nodeOf({ type: 'StringLiteral', value }), environment)
  }

  #spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > this.#budget.steps) throw overBudget('steps', this.#budget.steps)
  }

  #judge(value: Value, perElement: number): void {
    const inner: unknown = value.value
    if (typeof inner === 'string') {
      if (inner.length > this.#budget.text) throw overBudget('characters', this.#budget.text)
      this.#spend(inner.length >> 8)
    }
    if (perElement === 0) return
    if (Array.isArray(inner)) this.#spend(inner.length * perElement)
    if (inner instanceof Map) this.#spend(inner.size * perElement)
  }
}

const nodeOf = (node: object): Node => node as unknown as Node
const held = (value: Value): Held => ({ type: 'Held', value })
