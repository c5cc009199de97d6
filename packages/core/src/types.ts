import type { Random, Tensor, Weight } from '@graftjs/tensor'

export type { Weight } from '@graftjs/tensor'

/**
 * Rows of token ids as the caller has them. `labels` are what the model's head is to tell, -100 where nothing is learnt: of a
 * language model `labels[b][t]` is the id to be predicted *as* token t (Hugging Face's convention: the loss shifts), of a
 * classifier of rows `labels[b]` is one class, and so on by its task.
 */
export interface Batch {
  readonly ids: readonly (readonly number[])[]
  /** 1 for a token, 0 for padding; all 1 when absent. */
  readonly mask?: readonly (readonly number[])[]
  readonly labels?: readonly (readonly number[])[]
  /** Counted from the mask when absent, so that padding on either side changes nothing. */
  readonly positions?: readonly (readonly number[])[]
  /** Documents of a packed row: tokens see their own segment alone. -1 is seen by all, -2 by none. */
  readonly segments?: readonly (readonly number[])[]
  /** Of BERT: which of two texts each token belongs to (transformers' `token_type_ids`); all 0 when absent. */
  readonly tokenTypes?: readonly (readonly number[])[]
  /** The task of each row, for methods that have a part for each task. */
  readonly tasks?: readonly number[]
  /** What the decoder of an encoder-decoder reads; the labels shifted right when absent. */
  readonly decoderIds?: readonly (readonly number[])[]
  /** Of `decoderIds`, as `mask` is of `ids`. */
  readonly decoderMask?: readonly (readonly number[])[]
  /** Of `decoderIds`, as `segments` is of `ids`: a document's decoder tokens see the memory of the same number. */
  readonly decoderSegments?: readonly (readonly number[])[]
}

/** Facts about tokens, int32 [B, T], never differentiated. */
export interface Tokens {
  readonly ids: Tensor
  readonly positions: Tensor
  /** -1: seen by every query; -2: by none. */
  readonly segments: Tensor
  /** One more than the highest position: how far tables by position must reach. Who raises positions raises it too. */
  readonly span: number
  /** As the batch says; absent where it says nothing. */
  readonly tokenTypes?: Tensor
}

/** The tokens that `hidden` stands for, and what else is known of the rows. */
export interface Frame extends Tokens {
  /** Of an encoder-decoder, while the encoder runs: what the decoder will read. */
  readonly decoder?: Tokens
  /** Of an encoder-decoder, while the decoder runs: the segments of `memory`, int32 [B, S]. */
  readonly memorySegments?: Tensor
  /** The task of each row, int32 [B]. */
  readonly task?: Tensor
}

/** What flows from stage to stage. A method package may add a leaf by declaration merging. */
export interface Stream {
  readonly frame: Frame
  /** [B, T, d] */
  readonly hidden: Tensor
  /** The encoder's result [B, S, d], while a decoder runs. */
  readonly memory?: Tensor
  /** What a side network carries from layer to layer. */
  readonly side?: Tensor
}
export type Leaf = Exclude<keyof Stream, 'frame'>

/** What attention reads. The first `open` key columns are visible to all. */
export interface Heads {
  /** The sublayer's input [B, T, d] (gates read it). */
  readonly x: Tensor
  /** [B, T, H, D] */
  readonly q: Tensor
  /** [B, S, Hkv, D] */
  readonly k: Tensor
  /** [B, S, Hkv, D] */
  readonly v: Tensor
  readonly open: number
  readonly causal: boolean
  readonly frame: Frame
  /** int32 [B, S]: the segments of all keys, cached ones included. A key of -1 is seen by every query, one of -2 by none. */
  readonly keySegments: Tensor
}

/** Lazy: a chunked loss never forms logits. */
export interface Output {
  /** The last hidden state after the final norm, [B, T, d]. */
  readonly hidden: Tensor
  /** [B, T, V]; from position `from` on when given (negative: counted from the end), so that generating forms one row alone. A classifier of rows has [B, 1, classes]. */
  logits(from?: number): Tensor
  /** Negative log-likelihood [B, T]: of a causal model column t is that of label t + 1 given what stands before it (the last column is 0), of an encoder-decoder that of label t, whose `decoderIds` are the labels shifted right. Of any other head one number for each of its labels. 0 where the label is -100. */
  nll(labels: readonly (readonly number[])[]): Tensor
}

/** What flows through each kind of site: a kind fixes a type, never a method. */
export interface Flow {
  embedding: { in: Tensor; out: Tensor }
  linear: { in: Tensor; out: Tensor }
  norm: { in: Tensor; out: Tensor }
  sublayer: { in: Tensor; out: Tensor }
  attention: { in: Heads; out: Tensor }
  layer: { in: Stream; out: Stream }
  backbone: { in: Stream; out: Stream }
  head: { in: Stream; out: Output }
}
export type Kind = keyof Flow
export type Weighted = 'embedding' | 'linear' | 'norm'

/** A weight and its bias as plain tensors. A `bias` that the site has is the site's: clone it to own it. */
export interface Dense {
  readonly weight: Tensor
  readonly bias?: Tensor
}

interface Place<K extends Kind> {
  readonly kind: K
  /** The module's path in the checkpoint, such as `model.layers.3.self_attn.q_proj`. */
  readonly path: string
  /** -1 outside the layers. */
  readonly layer: number
  /** The last segment of the path: `q_proj`, `mlp`, … */
  readonly role: string
  readonly inDim: number
  readonly outDim: number
}

/** H query heads of `outDim` / H features share Hkv key heads, whose width together is `inDim`. */
export interface HeadCounts {
  readonly heads: number
  readonly keyHeads: number
}

/** What a sublayer is, whatever the architecture calls it. */
export type SublayerPart = 'self-attention' | 'cross-attention' | 'feed-forward'

/** A named place inside a forward pass. `apply` is its op as a pure function of the weight: what full tuning and merge call. */
export type Site<K extends Kind = Kind> = K extends Weighted
  ? Place<K> & { readonly weight: Weight; readonly bias?: Tensor; apply(x: Tensor, w: Dense): Tensor }
  : K extends 'attention'
    ? Place<K> & HeadCounts
    : K extends 'sublayer'
      ? Place<K> & { readonly part: SublayerPart }
      : Place<K>

export type Next<K extends Kind> = (input: Flow[K]['in'], run?: Run) => Flow[K]['out']
export type Around<K extends Kind> = (input: Flow[K]['in'], next: Next<K>, run: Run) => Flow[K]['out']
/** A multiplier that broadcasts against [B, T, 1]. */
export type Gain = (x: Tensor, run: Run) => Tensor

/** y += scale · (x aᵀ) bᵀ with a [r, in], b [out, r]. */
export interface LowRank {
  readonly a: Param
  readonly b: Param
  readonly scale: number
}

export type Refusal = 'cache' | 'packing'

/** One change at one site. The optional members exist where they mean something; shared code asks for the member. */
export interface PatchAt<K extends Kind> {
  /** The method's name, for errors; `attach` fills it in. */
  readonly by?: string
  readonly site: Site<K>
  readonly around: Around<K>
  /** Additive patches: around = y + delta. */
  readonly delta?: (x: Tensor, y: Tensor, run: Run) => Tensor
  /** Any gain; exactly 0 is exactly the base. */
  readonly scaled?: (gain: Gain) => PatchAt<K>
  /** Gains of 0 or 1 only; `scaled` serves when absent. */
  readonly onRows?: (gain: Gain) => PatchAt<K>
  /** It runs what stands inside it twice (the generic gate); one such patch a site. */
  readonly runsTwice?: boolean
  /** What it cannot work with: a gate by sequence or a prompt by instance reads the whole text, so neither a part of it (a cache) nor several at once (packed rows) will do. */
  readonly refuses?: readonly Refusal[]
  /** The weight with the patch folded in. */
  readonly fold?: (w: Dense) => Dense
  /** For fused kernels; undefined while something (dropout) stands in the way. */
  readonly lowRank?: (run: Run) => LowRank | undefined
}
export type Patch = { [K in Kind]: PatchAt<K> }[Kind]

/** A method: a value. Nothing is allocated before `attach`. */
export interface Method {
  readonly name: string
  /** Plain JSON: what makes the method again. */
  readonly config: object
  attach(model: Model, params: Params): Patch[]
  /** Its identity on disk. */
  readonly kind?: MethodKind
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** How a method reads and writes its config file: `peftType` picks it, unknown keys are the caller's to keep. */
export interface MethodKind {
  readonly peftType: string
  /** The method that this config describes. */
  read(json: JsonObject): Method
  /** The config with this method's own keys. */
  write(method: Method): JsonObject
}

/** A piece of the model that runs as one op of the tape: a pure, synchronous function of (stream, parameters, run). */
export interface Stage {
  readonly site: Site<'layer'>
  /** The leaves that `apply` reads; the others pass by untouched. */
  readonly uses: readonly Leaf[]
  /** With a cache it runs in the first call alone (an encoder). */
  readonly once?: boolean
  apply(s: Stream, run: Run): Stream
}

export interface Model {
  /** The architecture, `model_type` of its config.json. */
  readonly type: string
  readonly sites: readonly Site[]
  readonly backbone: Site<'backbone'>
  /** What `targetModules: null` means here (PEFT's table). */
  readonly targetModules: readonly string[]
  begin(batch: Batch, call?: Call): Frame
  readonly embed: Stage
  readonly stages: readonly Stage[]
  readonly head: { readonly site: Site<'head'>; apply(s: Stream, run: Run): Output }
  /** Whether the backbone is causal from its first stage on, so that what stands in front is seen by all and changed by none. */
  readonly causal: boolean
  /** 0: every label is told at its own place. 1 (when absent): from what stands before it, so that the first of a row never counts. */
  readonly labelShift?: 0 | 1
  /** Of an encoder-decoder: the id that its decoder reads first. */
  readonly startId?: number
  /** The module that makes the logits, which `'all-linear'` leaves out, as PEFT does. Default: `lm_head`. */
  readonly outputPath?: string
  /** The same model with some weights replaced (undefined: as it was). What it does not replace it shares, and `dispose` frees its own alone. */
  withWeights(replace: (site: Site<Weighted>) => Dense | undefined): Model
  dispose(): void
}

/** Calling it is reading it; reading it is what ties it to a stage. */
export interface Param {
  (): Tensor
  /** The name on disk, without a format's prefix. */
  readonly path: string
  readonly shape: readonly number[]
  readonly trainable: boolean
}

export type Init = (shape: readonly number[], random: Random) => Tensor

export interface Params {
  /** The tensor comes from the file being loaded, else from `init`. */
  add(path: string, shape: readonly number[], init: Init): Param
  /**
   * Computed from other parameters, once a pass (a prefix MLP, a prompt encoder). The adapter's file holds the result;
   * what it is made of is kept apart (`reparam`), and a file without that still loads, the result then frozen.
   */
  derive(path: string, shape: readonly number[], make: () => Tensor): Param
  /** A view whose paths start with `prefix`; `frozen` ones take no gradient. */
  scope(prefix: string, how?: { frozen?: boolean }): Params
}

/** Keys and values of what was seen before, one entry a layer. Built and owned by `models`, extended by a model's attention alone, never by a patch. */
export interface Cache {
  /** Tokens held, the same for every row, as the caller counts them (no virtual ones). */
  readonly length: number
  /** Counts this call's tokens, once a call (`Model.begin` does). */
  advance(tokens: number): void
  /** Appends k, v [B, T, Hkv, D] and segments int32 [B, T] of this call and returns all of them. */
  extend(layer: number, k: Tensor, v: Tensor, segments: Tensor): { k: Tensor; v: Tensor; segments: Tensor }
  /** What an encoder made in the first call, and is read in the later ones. */
  memory(make: () => Memory): Memory
}

export interface Memory {
  /** [B, S, d] */
  readonly hidden: Tensor
  /** int32 [B, S] */
  readonly segments: Tensor
}

/** What the caller said. */
export interface Call {
  readonly training?: boolean
  /** Of this pass's random masks. */
  readonly seed?: number
  /** What the walk back has at hand: every stage runs again, none does, or as many as fit in so many bytes. Same bits. Default `'none'`. */
  readonly keep?: 'none' | 'all' | number
  readonly cache?: Cache
  /** Which adapter acts: a name, null for the bare base, or one of these for each row. The active one when absent. */
  readonly adapter?: string | null | readonly (string | null)[]
  /**
   * Act in this call alone, outside the adapter's: noise that regularises, probes that watch. Give the same list each time, so
   * that what is known of it (which tensors its patches read) need not be found anew.
   */
  readonly patches?: readonly Patch[]
}

/** A statistic that stages add to and one formula turns into a term of the loss (a router's load balance). */
export interface Tally {
  readonly name: string
  /** The sum over all stages of the pass, and how many there were -> a scalar, added to the loss. */
  finish(sum: Tensor, count: number): Tensor
}

export interface Key<T> {
  readonly name: string
  readonly none: T
}

/** What the code gets: an immutable value, and the draws of its stage. */
export interface Run {
  readonly call: Call
  /** The tokens that the running stage sees. */
  readonly frame: Frame
  /** Tokens that earlier calls put into the cache: 0 in the first, so what acts once a text acts then. */
  readonly past: number
  /** Passes `input` through the patches at `site`, the first listed outermost, and through `base`. */
  at<K extends Kind>(
    site: Site<K>,
    input: Flow[K]['in'],
    base: (input: Flow[K]['in'], run: Run) => Flow[K]['out'],
  ): Flow[K]['out']
  /** Reaches inside one stage. */
  with<T>(key: Key<T>, value: T): Run
  get<T>(key: Key<T>): T
  /** Inverted dropout while training. The mask is a function of (seed, stage, nth draw in this stage), so a replay draws it again. */
  dropout(x: Tensor, rate: number): Tensor
  /** A discrete choice (top-k indices), made without a tape and kept, so that a replay on any backend takes the same one. */
  once(choose: () => Tensor): Tensor
  /** 1 where the row uses the adapter, else 0: [B, 1, 1]. */
  rows(adapter: string): Tensor
  /** Adds to a statistic of this pass. Outside `backward` it does nothing. */
  tally(t: Tally, x: Tensor): void
  /** May a fused kernel take this site? `[]`: it is bare. */
  plan(site: Site<'linear'>): LowRank[] | 'generic'
  /** Whether any patch stands at the site. */
  patched(site: Site): boolean
}
