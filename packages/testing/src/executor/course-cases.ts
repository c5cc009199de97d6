import { attach, backward, type Call, forward, gaussian, linears, type Method, plus, type Tuned } from '@graftjs/core'
import { unstaged } from '@graftjs/core/check'
import { dispose, linear, memory, mul, type Tensor, tensor } from '@graftjs/tensor'
import { decoderBed } from '../conformance/bed.ts'
import { gradientError, gradientsOf, meanLoss, read } from '../conformance/measure.ts'
import { peakBytes } from '../conformance/peak-bytes.ts'
import { moveAll } from '../conformance/subject.ts'
import { distillation, lora, prefix, sparseRouter } from '../methods/index.ts'
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

/** The teacher's router tallies too: none of it may reach the student's loss. */
const teacher = executorCase('a teacher in detached leaves nothing on the tape', () =>
  on(sparseRouter(), async (tuned, model) => {
    const teaching = attach(model, sparseRouter({ k: 1 }), { seed: 4 })
    moveAll(teaching, 9)
    const loss = (): Tensor => distillation(tuned, teaching, batch)
    const { grads } = await gradientsOf(loss)
    const whole = await unstaged(() => gradientsOf(loss))
    const error = gradientError(grads, whole.grads)
    const teachersOwn = await read(() => forward(teaching, batch).logits())
    const constant = await gradientsOf(() => distillation(tuned, model, batch))
    teaching.dispose()
    expect(error < 1e-5, true, `gradients with a teacher, off by ${error}`)
    expect(grads.size, tuned.params.all.size, 'gradients')
    expect(teachersOwn.length > 0 && constant.grads.size === grads.size, true, 'a bare model teaches too')
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
]
