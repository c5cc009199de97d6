// The step of one-layer.ts without core: no sites, no patches, no tape. The kernels in order, then their gradients in
// reverse; every tensor is freed by hand where it was read last.
import type { Model, Site, StoredParam, Tuned } from '@graftjs/core'
import type { StoredWeight } from '@graftjs/kernels'
import type { LlamaConfig, VectorWeight } from '@graftjs/models'
import { add, clone, dispose, matMul, mul, scope, sigmoid, sub, sum, type Tensor, tensor } from '@graftjs/tensor'
import { engine, type NamedAttrMap, type NamedTensorMap, reshape } from '@tensorflow/tfjs-core'

export type OnGrad = (param: StoredParam, grad: Tensor) => void

interface Linear {
  readonly weight: StoredWeight
  readonly a: StoredParam
  readonly b: StoredParam
}
interface Adapter {
  readonly down: StoredParam
  readonly downBias: StoredParam
  readonly up: StoredParam
  readonly upBias: StoredParam
}
interface Layer {
  readonly inputNorm: Tensor
  readonly postNorm: Tensor
  readonly attentionAdapter: Adapter | undefined
  readonly mlpAdapter: Adapter | undefined
  readonly linears: Readonly<Record<'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down', Linear>>
}
interface Tokens {
  readonly positions: Tensor
  readonly segments: Tensor
  readonly batch: number
  readonly length: number
}
type Frozen = NamedTensorMap & { cos: Tensor; sin: Tensor }

/** One step: hands each gradient to `onGrad` and returns the loss. */
export const handWritten = (config: LlamaConfig, tuned: Tuned, scale: number) => {
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerOf(tuned, `model.layers.${i}`))
  const embedding = find(tuned.model, 'model.embed_tokens').weight as StoredWeight
  const tables = ropeTables(config)
  return (ids: number[][], keep: 'all' | 'none', onGrad: OnGrad): Tensor => {
    const frame = tuned.model.begin({ ids })
    const tokens = { ...frame, batch: ids.length, length: ids[0]!.length }
    const net = { config, tables, tokens, scale }
    const rows = reshape(frame.ids, [-1])
    const [first] = run('GraftGatherRows', { w: embedding.data, ids: rows }, storedAttrs(embedding))
    const inputs = [first!]
    const saved: Saved[] = []
    let x = first!
    for (const layer of layers) {
      const { y, saved: held } = layerForward(net, layer, x)
      if (keep === 'all') saved.push(held)
      else dispose(held.list)
      inputs.push(y)
      x = y
    }
    const loss = scope(() => mul(sum(mul(x, x)), 1 / x.size))
    let dy = mul(x, 2 / x.size)
    for (const [i, layer] of [...layers.entries()].reverse()) {
      dispose(inputs.pop()!)
      const held = saved.pop() ?? again(net, layer, inputs[i]!)
      const dx = layerBackward(net, layer, inputs[i]!, held, dy, i > 0, onGrad)
      dispose(dy)
      if (dx) dy = dx
    }
    dispose([first!, rows, frame.ids, frame.positions, frame.segments])
    return loss
  }
}

interface Net {
  readonly config: LlamaConfig
  readonly tables: Frozen
  readonly tokens: Tokens
  readonly scale: number
}

const again = (net: Net, layer: Layer, x: Tensor): Saved => {
  const { y, saved } = layerForward(net, layer, x)
  dispose(y)
  return saved
}

/** What the way back reads. */
type Saved = ReturnType<typeof layerForward>['saved']

const layerForward = (net: Net, { linears: l, ...layer }: Layer, x: Tensor) => {
  const { config: c, tables, tokens, scale } = net
  const inHeads = (t: Tensor, heads: number): Tensor => {
    const out = reshape(t, [tokens.batch, tokens.length, heads, c.headDim])
    dispose(t)
    return out
  }
  const [h1] = run('GraftRmsNorm', { x, w: layer.inputNorm }, { eps: c.rmsNormEps })
  const q = linearForward(l.q, h1!, scale)
  const k = linearForward(l.k, h1!, scale)
  const v = linearForward(l.v, h1!, scale)
  const [flatQ, flatK] = [inHeads(q.y, c.numAttentionHeads), inHeads(k.y, c.numKeyValueHeads)]
  const [turnedQ] = run('GraftRope', { x: flatQ, positions: tokens.positions, ...tables }, { sign: 1 })
  const [turnedK] = run('GraftRope', { x: flatK, positions: tokens.positions, ...tables }, { sign: 1 })
  dispose([flatQ, flatK])
  const heads = { q: turnedQ!, k: turnedK!, v: inHeads(v.y, c.numKeyValueHeads) }
  const [out, lse] = run('GraftAttention', { ...heads, ...segmentsOf(tokens) }, attentionAttrs(c))
  const context = reshape(out!, [-1, c.numAttentionHeads * c.headDim])
  const o = linearForward(l.o, context, scale)
  const first = layer.attentionAdapter && adapterForward(layer.attentionAdapter, o.y)
  const mid = residual(x, first ? first.out : o.y)
  if (first) dispose(first.out)
  else dispose(o.y)
  const [h2] = run('GraftRmsNorm', { x: mid, w: layer.postNorm }, { eps: c.rmsNormEps })
  const gate = linearForward(l.gate, h2!, scale)
  const up = linearForward(l.up, h2!, scale)
  const [act] = run('GraftSwiglu', { gate: gate.y, up: up.y })
  const down = linearForward(l.down, act!, scale)
  const second = layer.mlpAdapter && adapterForward(layer.mlpAdapter, down.y)
  const y = residual(mid, second ? second.out : down.y)
  if (second) dispose(second.out)
  else dispose(down.y)
  const lows = { q: q.h, k: k.h, v: v.h, o: o.h, gate: gate.h, up: up.h, down: down.h }
  const own = { h1: h1!, ...heads, out: out!, lse: lse!, context, mid, h2: h2!, gate: gate.y, up: up.y, act: act! }
  const list = [...Object.values(own), ...Object.values(lows), ...(first?.list ?? []), ...(second?.list ?? [])]
  return { y, saved: { ...own, lows, first, second, list } }
}

const layerBackward = (
  { config: c, tables, tokens, scale }: Net,
  { linears: l, ...layer }: Layer,
  x: Tensor,
  s: Saved,
  dy: Tensor,
  wanted: boolean,
  onGrad: OnGrad,
): Tensor | undefined => {
  const dDown = s.second ? adapterBackward(layer.mlpAdapter!, s.second, dy, onGrad) : clone(dy)
  const dAct = linearBackward(l.down, s.act, s.lows.down, dDown, scale, onGrad)
  dispose([dDown, s.act])
  const [dGate, dUp] = run('GraftSwigluBack', { gate: s.gate, up: s.up, dy: dAct })
  dispose([dAct, s.gate, s.up])
  const fromGate = linearBackward(l.gate, s.h2, s.lows.gate, dGate!, scale, onGrad)
  const fromUp = linearBackward(l.up, s.h2, s.lows.up, dUp!, scale, onGrad)
  const dH2 = add(fromGate, fromUp)
  dispose([dGate!, dUp!, fromGate, fromUp, s.h2])
  const [throughNorm] = run('GraftRmsNormBack', { x: s.mid, w: layer.postNorm, dy: dH2 }, { eps: c.rmsNormEps })
  const dMid = add(dy, throughNorm!)
  dispose([dH2, throughNorm!, s.mid])

  const dO = s.first ? adapterBackward(layer.attentionAdapter!, s.first, dMid, onGrad) : clone(dMid)
  const dContext = linearBackward(l.o, s.context, s.lows.o, dO, scale, onGrad)
  const dout = reshape(dContext, s.out.shape)
  const heads = { q: s.q, k: s.k, v: s.v, out: s.out, lse: s.lse, dout }
  const [dTurnedQ, dTurnedK, dV] = run('GraftAttentionBack', { ...heads, ...segmentsOf(tokens) }, attentionAttrs(c))
  dispose([dO, dContext, dout, s.context, s.out, s.lse, s.q, s.k, s.v])
  const flat = (t: Tensor): Tensor => {
    const out = reshape(t, [-1, t.shape[2]! * t.shape[3]!])
    dispose(t)
    return out
  }
  const turnBack = (t: Tensor): Tensor => {
    const [out] = run('GraftRope', { x: t, positions: tokens.positions, ...tables }, { sign: -1 })
    dispose(t)
    return flat(out!)
  }
  const [dQ, dK, dVFlat] = [turnBack(dTurnedQ!), turnBack(dTurnedK!), flat(dV!)]
  // Nothing below the first layer is trained, so its projections need no gradient of their input.
  const parts = [
    linearBackward(l.q, s.h1, s.lows.q, dQ, scale, onGrad, wanted),
    linearBackward(l.k, s.h1, s.lows.k, dK, scale, onGrad, wanted),
    linearBackward(l.v, s.h1, s.lows.v, dVFlat, scale, onGrad, wanted),
  ]
  dispose([dQ, dK, dVFlat, s.h1])
  if (!wanted) {
    dispose(dMid)
    return undefined
  }
  const dx = scope(() => {
    const dH1 = add(add(parts[0]!, parts[1]!), parts[2]!)
    return add(dMid, run('GraftRmsNormBack', { x, w: layer.inputNorm, dy: dH1 }, { eps: c.rmsNormEps })[0]!)
  })
  dispose([dMid, ...(parts as Tensor[])])
  return dx
}

/** y = x·Wᵀ + scale · (x aᵀ) bᵀ, and h = x aᵀ. */
const linearForward = ({ weight, a, b }: Linear, x: Tensor, scale: number): { y: Tensor; h: Tensor } => {
  const [y, h] = run(
    'GraftLinear',
    { x, w: weight.data, a0: a.value, b0: b.value },
    { ...storedAttrs(weight), scales: [scale] },
  )
  return { y: y!, h: h! }
}

function linearBackward(l: Linear, x: Tensor, h: Tensor, dy: Tensor, scale: number, onGrad: OnGrad): Tensor
function linearBackward(
  l: Linear,
  x: Tensor,
  h: Tensor,
  dy: Tensor,
  scale: number,
  onGrad: OnGrad,
  wanted: boolean,
): Tensor | undefined
function linearBackward(
  { weight, a, b }: Linear,
  x: Tensor,
  h: Tensor,
  dy: Tensor,
  scale: number,
  onGrad: OnGrad,
  wanted = true,
): Tensor | undefined {
  const u = matMul(dy, b.value)
  const scaled = (t: Tensor): Tensor => {
    const out = mul(t, scale)
    dispose(t)
    return out
  }
  handOver(a, scaled(matMul(u, x, true)), onGrad)
  handOver(b, scaled(matMul(dy, h, true)), onGrad)
  const [dx] = wanted
    ? run('GraftLinearBack', { dy, w: weight.data, a0: a.value, u0: u }, { ...storedAttrs(weight), scales: [scale] })
    : []
  dispose([u, h])
  return dx
}

/** y + up(silu(down(y))). */
const adapterForward = (p: Adapter, y: Tensor) => {
  const { z, sigma, act } = scope(() => {
    const z = add(matMul(y, p.down.value, false, true), p.downBias.value)
    const sigma = sigmoid(z)
    return { z, sigma, act: mul(z, sigma) }
  })
  const out = scope(() => add(y, add(matMul(act, p.up.value, false, true), p.upBias.value)))
  return { out, y, z, sigma, act, list: [y, z, sigma, act] }
}

const adapterBackward = (p: Adapter, s: ReturnType<typeof adapterForward>, dy: Tensor, onGrad: OnGrad): Tensor => {
  handOver(p.upBias, sum(dy, 0), onGrad)
  handOver(p.up, matMul(dy, s.act, true), onGrad)
  // silu' = σ · (1 + z · (1 - σ)) = σ + silu · (1 - σ)
  const dz = scope(() => mul(matMul(dy, p.up.value), add(s.sigma, mul(s.act, sub(1, s.sigma)))))
  handOver(p.downBias, sum(dz, 0), onGrad)
  handOver(p.down, matMul(dz, s.y, true), onGrad)
  const through = matMul(dz, p.down.value)
  const out = add(dy, through)
  dispose([dz, through, ...s.list])
  return out
}

const handOver = (param: StoredParam, grad: Tensor, onGrad: OnGrad): void => {
  onGrad(param, grad)
  dispose(grad)
}

const residual = (x: Tensor, y: Tensor): Tensor => run('GraftResidual', { x, y })[0]!

/** A kernel by its name, past the tape. */
const run = (name: string, inputs: NamedTensorMap, attrs: object = {}): Tensor[] => {
  const out = engine().runKernel(name, inputs, attrs as NamedAttrMap) as Tensor | Tensor[]
  return Array.isArray(out) ? out : [out]
}

const storedAttrs = ({ format, shape: [rows, cols] }: StoredWeight) => ({ format, rows, cols })
const segmentsOf = ({ segments }: Tokens) => ({ querySegments: segments, keySegments: segments })
const attentionAttrs = (c: LlamaConfig) => ({ scale: 1 / Math.sqrt(c.headDim), causal: true, open: 0 })

const ropeTables = (c: LlamaConfig): Frozen => {
  const [span, half] = [256, c.headDim / 2]
  const inverse = Float32Array.from({ length: half }, (_, i) => 1 / Math.fround(c.ropeTheta ** ((2 * i) / c.headDim)))
  const table = (f: (x: number) => number): Tensor =>
    tensor(
      Float32Array.from({ length: span * half }, (_, at) =>
        f(Math.fround(Math.floor(at / half) * inverse[at % half]!)),
      ),
      [span, half],
    )
  return { cos: table(Math.cos), sin: table(Math.sin) }
}

const find = (model: Model, path: string): Site<'linear'> =>
  model.sites.find((site) => site.path === path) as Site<'linear'>

const layerOf = (tuned: Tuned, path: string): Layer => {
  const param = (name: string): StoredParam => tuned.params.all.get(`${path}.${name}`)!
  const linear = (name: string): Linear => ({
    weight: find(tuned.model, `${path}.${name}`).weight as StoredWeight,
    a: param(`${name}.lora_A.weight`),
    b: param(`${name}.lora_B.weight`),
  })
  const adapter = (name: string): Adapter | undefined =>
    param(`${name}.adapter_down.weight`) && {
      down: param(`${name}.adapter_down.weight`),
      downBias: param(`${name}.adapter_down.bias`),
      up: param(`${name}.adapter_up.weight`),
      upBias: param(`${name}.adapter_up.bias`),
    }
  const norm = (name: string): Tensor => (find(tuned.model, `${path}.${name}`).weight as unknown as VectorWeight).data
  return {
    inputNorm: norm('input_layernorm'),
    postNorm: norm('post_attention_layernorm'),
    attentionAdapter: adapter('self_attn'),
    mlpAdapter: adapter('mlp'),
    linears: {
      q: linear('self_attn.q_proj'),
      k: linear('self_attn.k_proj'),
      v: linear('self_attn.v_proj'),
      o: linear('self_attn.o_proj'),
      gate: linear('mlp.gate_proj'),
      up: linear('mlp.up_proj'),
      down: linear('mlp.down_proj'),
    },
  }
}
