import '@tensorflow/tfjs-backend-cpu'
import { useSimd } from '@graftjs/kernels'
import { backendName, dispose, memory, random, type Tensor, tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { adamw } from './adamw.ts'
import { groups } from './groups.ts'
import type { Optimizer } from './optimizer.ts'
import { sgd } from './sgd.ts'
import { testParam, values } from './test-param.test-util.ts'

const size = 24
const draws = (path: string): number[] => [...random(5, path).fill(new Float32Array(size), 'normal')]
const gradAt = (step: number): number[] => draws(`grad/${step}`)
const rateAt = (step: number): number => 0.01 * (1 - step / 40)

/** Updates `path` once a step, as a trainer would, and gives its values. */
const run = (optimizer: Optimizer, from: number, to: number, start = draws('start'), gradScale?: number): number[] => {
  const param = testParam('w', start)
  const grads = new Map<number, Tensor>()
  try {
    for (let step = from; step <= to; step++) {
      grads.set(step, tensor(gradAt(step), [size]))
      const hyper = { lr: rateAt(step), step, ...(gradScale !== undefined && { gradScale }) }
      optimizer.update(param, grads.get(step)!, hyper)
    }
    return values(param.value)
  } finally {
    dispose([param.value, ...grads.values()])
  }
}

/** torch.optim.AdamW's documented algorithm, in float64. */
const adamwReference = (steps: number, [b1, b2]: [number, number], eps: number, decay: number, scale = 1): number[] => {
  const [p, m, v] = [draws('start'), new Array<number>(size).fill(0), new Array<number>(size).fill(0)]
  for (let t = 1; t <= steps; t++)
    gradAt(t).forEach((raw, i) => {
      const g = raw * scale
      p[i]! *= 1 - rateAt(t) * decay
      m[i] = b1 * m[i]! + (1 - b1) * g
      v[i] = b2 * v[i]! + (1 - b2) * g * g
      const [mHat, vHat] = [m[i]! / (1 - b1 ** t), v[i]! / (1 - b2 ** t)]
      p[i]! -= (rateAt(t) * mHat) / (Math.sqrt(vHat) + eps)
    })
  return p
}

/** torch.optim.SGD's documented algorithm, in float64. */
const sgdReference = (steps: number, momentum: number, nesterov: boolean, decay: number): number[] => {
  const [p, b] = [draws('start'), new Array<number>(size).fill(0)]
  for (let t = 1; t <= steps; t++)
    gradAt(t).forEach((raw, i) => {
      const g = raw + decay * p[i]!
      b[i] = t === 1 ? g : momentum * b[i]! + g
      p[i]! -= rateAt(t) * (momentum === 0 ? g : nesterov ? g + momentum * b[i]! : b[i]!)
    })
  return p
}

const worst = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))

// AdamW overwrites its tensors on simd and replaces them elsewhere.
describe.each(['cpu', 'simd'])('on %s', (backend) => {
  beforeAll(async () => {
    await (backend === 'simd' ? useSimd({ threads: 1 }) : tf.setBackend('cpu'))
    expect(backendName()).toBe(backend)
  })

  describe('adamw', () => {
    it.each([
      [[0.9, 0.999], 1e-8, 0.01],
      [[0.9, 0.95], 1e-6, 0],
      [[0, 0.99], 1e-3, 0.5],
    ] as const)(
      'equals torch’s formula in float64 over 20 steps: betas %j, eps %d, decay %d',
      (betas, eps, weightDecay) => {
        const optimizer = adamw({ learningRate: 0.01, betas, eps, weightDecay })
        expect(worst(run(optimizer, 1, 20), adamwReference(20, [...betas], eps, weightDecay))).toBeLessThan(2e-6)
        optimizer.dispose()
      },
    )
    it('scales the gradient, not the decay', () => {
      const optimizer = adamw({ learningRate: 0.01, eps: 1e-2 })
      const expected = adamwReference(20, [0.9, 0.999], 1e-2, 0.01, 0.25)
      expect(worst(run(optimizer, 1, 20, draws('start'), 0.25), expected)).toBeLessThan(2e-6)
      optimizer.dispose()
    })
    it('corrects the start of a parameter that joins late', () => {
      const optimizer = adamw(0.1)
      const [late, grad] = [testParam('late', [1]), tensor([3], [1])]
      optimizer.update(late, grad, { lr: 0.1, step: 500 })
      // The first step of Adam is lr · sign(gradient), whatever the step of the run.
      expect(values(late.value)[0]).toBeCloseTo(1 * (1 - 0.1 * 0.01) - 0.1, 6)
      optimizer.dispose()
      dispose([late.value, grad])
    })
    it.each([
      [{ learningRate: Number.NaN }, /adamw: learningRate: given NaN/],
      [{ learningRate: -1 }, /adamw: learningRate: given -1; expected a number of \[0, Infinity\)/],
      [{ learningRate: 1, betas: [0.9, 1] as const }, /adamw: betas\[1\]: given 1/],
      [{ learningRate: 1, eps: -1 }, /adamw: eps: given -1/],
      [{ learningRate: 1, weightDecay: -1 }, /adamw: weightDecay: given -1/],
    ])('refuses %j', (options, message) => expect(() => adamw(options)).toThrow(message))
  })

  describe('sgd', () => {
    it.each([
      [0, false, 0],
      [0, false, 0.1],
      [0.9, false, 0.01],
      [0.9, true, 0.01],
    ])(
      'equals torch’s formula in float64 over 20 steps: momentum %d, nesterov %s, decay %d',
      (momentum, nesterov, weightDecay) => {
        const optimizer = sgd({ learningRate: 0.01, momentum, nesterov, weightDecay })
        expect(worst(run(optimizer, 1, 20), sgdReference(20, momentum, nesterov, weightDecay))).toBeLessThan(2e-6)
        optimizer.dispose()
      },
    )
    it('remembers nothing without momentum', async () => {
      const optimizer = sgd(0.1)
      run(optimizer, 1, 2)
      expect((await optimizer.state()).size).toBe(0)
    })
  })

  const kinds: [string, () => Optimizer, string[]][] = [
    ['adamw', () => adamw(0.01), ['w.step', 'w.exp_avg', 'w.exp_avg_sq']],
    ['sgd with momentum', () => sgd({ learningRate: 0.01, momentum: 0.9 }), ['w.step', 'w.momentum_buffer']],
    [
      'groups over adamw',
      () => groups(adamw(0.01), [{ match: () => true, lr: 2 }]),
      ['w.step', 'w.exp_avg', 'w.exp_avg_sq'],
    ],
  ]
  describe.each(kinds)('the state of %s', (_, create, names) => {
    it('goes on bit for bit from where it was saved, at every step', async () => {
      const [whole, first] = [create(), create()]
      const straight = run(whole, 1, 8)
      for (let k = 1; k < 8; k++) {
        const second = create()
        const half = run(first, 1, k)
        const state = await first.state()
        expect([...state.keys()]).toEqual(names)
        // Copies both ways: neither what is done to a state nor what is done after it was saved or loaded may show.
        for (const { data } of (await first.state()).values()) data.fill(7)
        expect(run(first, k + 1, 8, half)).toEqual(straight)
        second.load(state)
        for (const { data } of state.values()) data.fill(7)
        expect(run(second, k + 1, 8, half)).toEqual(straight)
        expect((await second.state()).get(names[1]!)).toEqual((await whole.state()).get(names[1]!))
        second.dispose()
        first.dispose()
      }
      whole.dispose()
    })
    it('keeps the count of tensors level', () => {
      const before = memory()
      const optimizer = create()
      run(optimizer, 1, 2)
      const held = memory().tensors
      run(optimizer, 3, 12)
      expect(memory().tensors).toBe(held)
      expect(() => run(optimizer, 13, 13, [1, 2])).toThrow(/gradient of w: given shape \[24\]; expected \[2\]/)
      optimizer.dispose()
      optimizer.dispose()
      expect(memory()).toEqual(before)
    })
    it('refuses a state that is not its own', async () => {
      const optimizer = create()
      run(optimizer, 1, 1)
      const state = await optimizer.state()
      const without = (name: string) => new Map([...state].filter(([key]) => key !== name))
      const grown = new Map([...state, [names[1]!, { shape: [2], data: new Float32Array(2) }]])
      expect(() => optimizer.load(new Map([...state, ['w.other', state.get('w.step')!]]))).toThrow(
        /w.other: given an unknown name/,
      )
      expect(() => optimizer.load(without(names[1]!))).toThrow(`${names[1]}: given nothing; expected a value`)
      expect(() => optimizer.load(without('w.step'))).toThrow(/without its step/)
      expect(await optimizer.state()).toEqual(state)
      const other = create()
      other.load(grown)
      const param = testParam('w', draws('start'))
      const grad = tensor(gradAt(1), [size])
      expect(() => other.update(param, grad, { lr: 1, step: 1 })).toThrow(`${names[1]}: given shape [2]; expected [24]`)
      optimizer.dispose()
      other.dispose()
      dispose([param.value, grad])
    })
  })

  describe('groups', () => {
    const after = (optimizer: Optimizer, path: string, grad: Tensor): number => {
      const param = testParam(path, [1])
      optimizer.update(param, grad, { lr: 0.1, step: 1 })
      const [value] = values(param.value)
      dispose(param.value)
      return value!
    }
    it('multiplies the rates of the first group that matches and leaves the rest alone', () => {
      const grad = tensor([1], [1])
      const optimizer = groups(sgd({ learningRate: 0.1, weightDecay: 0.5 }), [
        { match: (path) => path.endsWith('lora_B'), lr: 16 },
        { match: (path) => path.startsWith('norm'), weightDecay: 0 },
        { match: () => false, lr: 0 },
      ])
      expect(after(optimizer, 'a.lora_A', grad)).toBeCloseTo(1 - 0.1 * 1.5, 6)
      expect(after(optimizer, 'a.lora_B', grad)).toBeCloseTo(1 - 1.6 * 1.5, 6)
      expect(after(optimizer, 'norm.lora_B', grad)).toBeCloseTo(1 - 1.6 * 1.5, 6)
      expect(after(optimizer, 'norm.w', grad)).toBeCloseTo(1 - 0.1, 6)
      expect(optimizer.config).toMatchObject({ weightDecay: 0.5, groups: [{ lr: 16 }, { weightDecay: 0 }, { lr: 0 }] })
      const decay = { match: (path: string) => path === 'b', weightDecay: 0 }
      const decayed = groups(adamw({ learningRate: 0.1, weightDecay: 0.5 }), [decay])
      expect(after(decayed, 'a', grad)).toBeCloseTo(1 - 0.1 * 0.5 - 0.1, 6)
      expect(after(decayed, 'b', grad)).toBeCloseTo(1 - 0.1, 6)
      decayed.dispose()
      dispose(grad)
    })
    it('with a ratio of 1 is the plain optimiser, bit for bit', () => {
      const [plain, grouped] = [adamw(0.01), groups(adamw(0.01), [{ match: () => true, lr: 1, weightDecay: 1 }])]
      expect(run(grouped, 1, 5)).toEqual(run(plain, 1, 5))
      plain.dispose()
      grouped.dispose()
    })
  })
})
