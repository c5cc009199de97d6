import {
  all,
  around,
  attach,
  backward,
  type Call,
  forward,
  gaussian,
  linears,
  type Method,
  merge,
  plus,
  sitesOf,
  type Tuned,
} from '@graftjs/core'
import { unstaged } from '@graftjs/core/check'
import {
  add,
  cast,
  defineOp,
  detached,
  dispose,
  expandDims,
  gather,
  linear,
  memory,
  mul,
  notEqual,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@graftjs/tensor'
import { decoderBed } from '../conformance/bed.ts'
import {
  gradientError,
  gradientsOf,
  largestDifference,
  logitsOf,
  meanLoss,
  read,
  sameBits,
} from '../conformance/measure.ts'
import { peakBytes } from '../conformance/peak-bytes.ts'
import { moveAll } from '../conformance/subject.ts'
import {
  distillation,
  fusion,
  ia3,
  ladder,
  lora,
  prefix,
  prompt,
  serialAdapter,
  sparseRouter,
} from '../methods/index.ts'
import { batch, type ExecutorCase, executorCase, expect, on, stepOn } from './case.ts'

/** A choice that comes out otherwise every time it is made, as on a device whose sums have no fixed order. */
const fickle = (count: { made: number }): Method => ({
  name: 'fickle',
  config: {},
  attach: (model, params) =>
    linears(model, ['q_proj', 'down_proj']).map((site) => {
      const w = params.add(`${site.path}.w`, [site.outDim, site.inDim], gaussian(0.3))
      return plus(site, (x, _y, run) =>
        mul(
          linear(x, w()),
          run.once(() => tensor([1 + count.made++], [1])),
        ),
      )
    }),
})

/** A gradient may be checked against the loss alone: it is linear in what was chosen. */
const choicesAreKept = executorCase('a discrete choice is made once, and kept for the replay', () =>
  on(fickle({ made: 0 }), async () => {
    for (const keep of ['none', 'all'] as const) {
      const count = { made: 0 }
      await on(fickle(count), (tuned) => stepOn(tuned, { keep }))
      expect(count.made, 4, `choices made with keep ${keep}`)
    }
  }),
)

const derivedOnce = executorCase('a derived parameter is computed once a pass', async () => {
  const count = { made: 0 }
  const counting: Method = {
    ...prefix(),
    attach: (model, params) =>
      prefix().attach(model, {
        ...params,
        derive: (path, shape, make) => params.derive(path, shape, () => (count.made++, make())),
      }),
  }
  await on(counting, (tuned) => {
    count.made = 0
    stepOn(tuned)
    expect(count.made, 1, 'times derived')
  })
})

const budget = executorCase('a budget in bytes keeps what fits: more than none, less than all', () =>
  on(
    lora(),
    (tuned) => {
      const peak = (keep: NonNullable<Call['keep']>): number => peakBytes(() => stepOn(tuned, { keep }))
      stepOn(tuned)
      const [none, all] = [peak('none'), peak('all')]
      const half = (all - none) / 2
      const some = peak(half)
      expect(none < some && some < all, true, `peaks of none ${none}, some ${some}, all ${all} in order`)
      expect(some - none <= half, true, `${some - none} bytes kept are within ${half}`)
    },
    6,
  ),
)

const gradientOrder = executorCase(
  'gradients come while the walk goes down: the upper layer is handed over first',
  () =>
    on(lora(), (tuned) => {
      const order: string[] = []
      stepOn(tuned, {}, (p) => order.push(p.path))
      const first = (layer: number): number => order.findIndex((path) => path.includes(`layers.${layer}.`))
      expect(first(1) < first(0) && new Set(order).size === order.length, true, order.join(', '))
    }),
)

/** The teacher's router tallies too: none of it may reach the student's loss, neither its value nor its gradient. */
const teacher = executorCase('a teacher in detached leaves nothing on the tape', () =>
  on(lora(), async (tuned, model) => {
    const taughtBy = async (coefficient: number): Promise<number> => {
      const teaching = attach(model, sparseRouter({ coefficient }), { seed: 4 })
      moveAll(teaching, 9)
      const loss = (): Tensor => distillation(tuned, teaching, batch)
      await sameAsUnstaged(loss)
      const { loss: value, grads } = await gradientsOf(loss)
      teaching.dispose()
      expect(grads.size, tuned.params.all.size, "gradients, none of them the teacher's")
      return value
    }
    expect(await taughtBy(0.5), await taughtBy(0), 'the loss, whatever the teacher makes of its own balance')
  }),
)

/** Two losses of one model in one backward: every parameter's gradient is the sum, handed over once. */
const twoPasses = executorCase('two passes in one loss, with masks of their own', () =>
  on(lora({ dropout: 0.3, targets: 'all-linear' }), async (tuned) => {
    const pass = (seed: number): Tensor => meanLoss(tuned, batch, { training: true, seed })
    const both = await gradientsOf(() => mul(pass(1), pass(2)))
    const whole = await unstaged(() => gradientsOf(() => mul(pass(1), pass(2))))
    const error = gradientError(both.grads, whole.grads)
    expect(error < 1e-5, true, `gradients of two passes, off by ${error}`)
    const masks = async (seed: number): Promise<number> => (await read(() => pass(seed)))[0]!
    const [first, again, other] = [await masks(1), await masks(1), await masks(2)]
    expect(again, first, 'the loss of the same seed')
    expect(other !== first, true, 'another seed gives another loss')
  }),
)

const tallyOutside = executorCase('a tally outside backward does nothing', () =>
  on(sparseRouter(), async (tuned: Tuned) => {
    const own = (await read(() => meanLoss(tuned, batch)))[0]!
    const [withBalance] = await read(() =>
      backward(
        () => meanLoss(tuned, batch),
        () => {},
      ),
    )
    expect(withBalance! > own, true, `the loss with its balance term, ${withBalance}, is more than ${own}`)
  }),
)

const partial = executorCase('what is below the lowest trained layer holds nothing', async () => {
  const model = decoderBed.open(4)
  const held = ['model.layers.3.self_attn.q_proj', 'model.layers.0.self_attn.q_proj'].map((target) => {
    const tuned = attach(model, lora({ targets: [target] }), { seed: 1 })
    const before = memory().tensors
    let tensors = 0
    const loss = (): Tensor => {
      const value = meanLoss(tuned, batch)
      tensors = memory().tensors - before
      return value
    }
    dispose(backward(loss, () => {}))
    tuned.dispose()
    return tensors
  })
  model.dispose()
  expect(held[0]! < held[1]!, true, `tensors held with the top layer trained, ${held[0]}, are fewer than ${held[1]}`)
})

const mergeOrder = executorCase('two folds at one site merge as the onion runs, in both orders', async () => {
  for (const method of [all(lora(), ia3()), all(ia3(), lora())])
    await on(method, async (tuned) => {
      const merged = merge(tuned)
      const logits = await logitsOf(merged, batch)
      merged.dispose()
      const difference = largestDifference(logits, await logitsOf(tuned, batch))
      expect(difference < 2e-5, true, `${method.name} merged, off by ${difference}`)
    })
})

/** A gradient function that hands out the cotangent itself. */
const passOn = defineOp<{ x: Tensor }, object>({
  name: 'TestPassOn',
  composed: ({ x }) => mul(x, 1),
  gradient: ([dy]) => ({ x: () => dy! }),
})

/** x + y, whose gradient function hands one tensor to both. */
const addShared = defineOp<{ x: Tensor; y: Tensor }, object>({
  name: 'TestAddShared',
  composed: ({ x, y }) => add(x, y),
  gradient: ([dy]) => {
    const both = mul(dy!, 1)
    return { x: () => both, y: () => both }
  },
})

const sums: readonly ((x: Tensor, y: Tensor) => Tensor)[] = [
  (x, y) => add(passOn({ x }, {})[0]!, passOn({ x: y }, {})[0]!),
  (x, y) => addShared({ x, y }, {})[0]!,
]

const sharedGradient = executorCase(
  'a gradient function may hand out the cotangent itself, or one tensor twice',
  async () => {
    for (const sum of sums) {
      const method: Method = {
        name: 'summing',
        config: {},
        attach: (model, params) =>
          linears(model, null).map((site) => {
            const [a, b] = ['a', 'b'].map((name) => params.add(`${site.path}.${name}`, [site.outDim], gaussian(0.3)))
            return plus(site, (_x, y) => mul(y, sum(a!(), b!())))
          }),
      }
      await on(method, async (tuned) => {
        // Nothing else holds the gradient while it is used, so that one freed too early is seen.
        stepOn(tuned, {}, (p, grad) => p.set(scope(() => add(zeros(p.shape), grad))))
        const values = [...tuned.params.all.values()].map((p) => p.value)
        for (let i = 0; i < values.length; i += 2) {
          const [first, second] = [await values[i]!.data(), await values[i + 1]!.data()]
          expect(sameBits(first, second) && first.some((x) => x !== 0), true, 'the gradients of both are alike')
        }
      })
    }
  },
)

/** Staged and whole: the same loss, the same gradients. */
const sameAsUnstaged = async (loss: () => Tensor): Promise<void> => {
  const staged = await gradientsOf(loss)
  const whole = await unstaged(() => gradientsOf(loss))
  const error = gradientError(staged.grads, whole.grads)
  expect(error < 1e-5, true, `staged gradients, off by ${error}`)
  const distance = Math.abs(staged.loss - whole.loss)
  expect(distance < 1e-6 * Math.abs(whole.loss), true, `the staged loss, off by ${distance}`)
}

const patchedLayers = executorCase(
  'patches around layers do not hide what stands inside: tallies, dropout, parameters',
  () =>
    on(all(prompt(), ladder(), sparseRouter(), lora({ dropout: 0.2 })), async (tuned) => {
      for (const keep of ['none', 'all'] as const)
        await sameAsUnstaged(() => meanLoss(tuned, batch, { training: true, seed: 3, keep }))
    }),
)

/** Reads the frame behind its layer. */
const maskedScale: Method = {
  name: 'masked-scale',
  config: {},
  attach: (model, params) =>
    sitesOf(model, 'layer')
      .filter((site) => site.layer >= 0)
      .map((site) => {
        const scale = params.add(`${site.path}.scale`, [site.outDim], gaussian(1))
        return around(site, (s, next) => {
          const out = next(s)
          const real = detached(() => cast(notEqual(out.frame.segments, -2), 'float32'))
          return { ...out, hidden: mul(out.hidden, add(1, mul(expandDims(real, 2), scale()))) }
        })
      }),
}

const scopedLoss = executorCase(
  'a loss may scope its passes: what replays need of frame, rows and derived parameters is held',
  () =>
    on(all(maskedScale, prefix(), lora()), async (tuned) => {
      tuned.addAdapter('other', lora(), { seed: 3 })
      for (const adapter of ['default', ['default', 'other']]) {
        const loss = (): Tensor => meanLoss(tuned, batch, { adapter })
        const { grads } = await gradientsOf(() => scope(loss))
        const plain = await unstaged(() => gradientsOf(loss))
        const error = gradientError(grads, plain.grads)
        expect(error < 1e-5, true, `gradients of a scoped loss, off by ${error}`)
      }
    }),
)

const frozenScope = executorCase('what a frozen scope adds takes no gradient', () =>
  on(fusion({ a: serialAdapter(), b: serialAdapter() }), (tuned) => {
    const paths: string[] = []
    stepOn(tuned, {}, (p) => paths.push(p.path))
    expect(paths.length > 0, true, 'fusion trains')
    expect(paths.filter((path) => /^[ab]\./.test(path)).join(), '', 'gradients of frozen parameters')
  }),
)

/** Embeddings of words as a prompt are those words in front of the text: places, positions and visibility are the same. */
const promptOfWords = executorCase('a prompt made of the embeddings of words is those words in front', () =>
  on(prompt({ tokens: 3 }), async (tuned, model) => {
    const [words, text] = [
      [4, 17, 9],
      [5, 9, 2, 14],
    ]
    const { weight } = sitesOf(model, 'embedding')[0]!
    tuned.params.all
      .get('prompt_embeddings')!
      .set(scope(() => gather(weight.dense(), tensor(Int32Array.from(words!), [3], 'int32'))))
    const tunedLogits = await read(() => forward(tuned, { ids: [text!] }).logits())
    const logits = await read(() => forward(model, { ids: [[...words!, ...text!]] }).logits(-4))
    const difference = largestDifference(tunedLogits, logits)
    expect(difference < 1e-5, true, `logits behind a prompt of words, off by ${difference}`)
  }),
)

/** The course that a step takes: what runs how often, what is kept, who is told when. */
export const courseCases: readonly ExecutorCase[] = [
  choicesAreKept,
  derivedOnce,
  budget,
  gradientOrder,
  teacher,
  twoPasses,
  tallyOutside,
  partial,
  mergeOrder,
  sharedGradient,
  patchedLayers,
  scopedLoss,
  frozenScope,
  promptOfWords,
]
