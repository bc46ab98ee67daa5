import type { EngineLoad, Limit } from '../engine.ts';
import { type DecodeRun, planDecode } from '../schedule/decode-plan.ts';
import { KvMemory } from '../schedule/kv-memory.ts';
import { bySimilarLength } from '../schedule/similar-lengths.ts';
import { Slots } from '../schedule/slots.ts';
import { type KvRows, RowCache } from '../session/kv-rows.ts';
import type { Sequence, StepTimes } from './sequence.ts';
import { Speculation } from './speculation.ts';
import { type Adapter, type StepParts, StepRunner } from './step.ts';

/** What became of a sequence in a step. `tokens`: that it gave, where it is not one of a row, or none of a prompt. */
export type Outcome = { readonly tokens?: number } & (
  | { readonly kind: 'goes-on' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'failed'; readonly error: unknown }
);

export type RunningBatchParts = StepParts & {
  /** Sequences that run at the same time. */
  readonly slots: number;
  readonly kvBudgetBytes: number;
};

/** A row less saves each step about what it costs to copy 100 tokens. */
const movePays = (sequence: Sequence, alsoCopied: number): boolean =>
  sequence.pending === 1 && sequence.left > (sequence.ids.length + alsoCopied) / 100;

/**
 * The sequences that run, each in a slot with a row of keys and values, and their steps. Those that decode run together,
 * whatever their lengths and adapters.
 *
 * Guarantees: a step of some rows changes nothing of others but what is beyond their last token; an error that one row
 * makes ends that row only. Assumes that calls come one at a time, between changes of adapter memory.
 */
export class RunningBatch {
  readonly #parts: RunningBatchParts;
  readonly #slots: Slots<Sequence>;
  readonly #steps: StepRunner;
  readonly #memory: KvMemory | undefined;
  readonly #speculation: Speculation;
  readonly #rowOf = new Map<Sequence, number>();
  readonly #limits = new Map<Limit['flag'], Limit>();
  readonly #did = { decodeSteps: 0, decodedTokens: 0, promptTokens: 0, cachedTokens: 0 };
  #filling: Sequence | undefined;
  #limitBytes: number;

  constructor(parts: RunningBatchParts) {
    this.#parts = parts;
    this.#limitBytes = parts.kvBudgetBytes;
    this.#slots = new Slots(parts.slots);
    this.#steps = new StepRunner(parts);
    this.#memory = parts.kv === undefined ? undefined : new KvMemory(parts.kv, parts.kvBudgetBytes);
    this.#speculation = new Speculation(this.#steps);
  }

  /** Gives the sequence a slot, with what is there of its keys and values; false when there is no room now. */
  place(sequence: Sequence): boolean {
    const { kv } = this.#parts;
    const row = this.#memory?.restingRow(sequence) ?? this.#slots.choose((at) => this.#costOf(at));
    if (row === undefined) return false;
    const placed =
      kv === undefined || this.#memory === undefined
        ? this.#placeApart(sequence)
        : this.#placeInRow(sequence, { kv, memory: this.#memory, row });
    if (!placed) {
      this.#noteMemory(
        this.#memory?.neededFor(sequence) ??
          this.claimedBytes + sequence.graph.session.cacheBytes(sequence.capacity),
      );
      return false;
    }
    this.#slots.take(row, sequence);
    this.#rowOf.set(sequence, row);
    return true;
  }

  /** Room for the next step of a sequence; false when others have to make way. */
  grow(sequence: Sequence): boolean {
    const row = this.#rowOf.get(sequence);
    if (row === undefined || this.#memory?.grow(row, sequence.ids.length) !== false) return true;
    this.#noteMemory(this.#memory.neededFor());
    return false;
  }

  /** The sequence is over: its slot is free. Its keys and values, if they are good, serve those that begin like it. */
  leave(sequence: Sequence, areGood: boolean): void {
    if (areGood && sequence.speculates) this.#speculation.ended(sequence);
    const row = this.#rowOf.get(sequence);
    if (row === undefined) this.#memory?.forget(sequence);
    else this.#free(sequence, row, { kept: areGood });
  }

  /** True when the sequence would have room once the others were paused: else they would be in vain. */
  fitsWithout(sequence: Sequence, others: readonly Sequence[]): boolean {
    const rows = others.flatMap((other) => this.#rowOf.get(other) ?? []);
    return this.#memory?.fitsWithout(sequence, rows) ?? false;
  }

  /** True when it has room beside these alone, and what other namespaces keep for sure. Without rows nothing is kept. */
  fitsBeside(sequence: Sequence, others: readonly Sequence[]): boolean {
    const rows = others.flatMap((other) => this.#rowOf.get(other) ?? []);
    return this.#memory?.fitsBeside(sequence, rows) ?? true;
  }

  /** Bytes of keys and values that its next step needs. */
  kvBytes(sequence: Sequence): number {
    const row = this.#rowOf.get(sequence);
    return (row === undefined ? undefined : this.#memory?.bytesOf(row)) ?? 0;
  }

  /** Its namespace is sure to have room for it. */
  isOwed(sequence: Sequence): boolean {
    return this.#memory?.isOwed(sequence) ?? false;
  }

  /**
   * Takes a sequence's slot away, and keeps its keys and values for as long as there is room; false where sequences have
   * no rows.
   */
  pause(sequence: Sequence): boolean {
    const row = this.#rowOf.get(sequence);
    if (row === undefined || this.#memory === undefined) return false;
    this.#free(sequence, row, { kept: true, paused: true });
    return true;
  }

  /** Another sequence may have computed meanwhile what this one begins with. */
  reuse(sequence: Sequence): void {
    const row = this.#rowOf.get(sequence);
    if (row === undefined || this.#memory === undefined) return;
    this.#did.cachedTokens += sequence.reuse(this.#memory.reuse(row));
  }

  /** Ends the step that fills the sequence's prompt, by an error. A step of several goes on. */
  interrupt(sequence: Sequence): void {
    if (this.#filling === sequence) sequence.graph.session.interrupt();
  }

  /** Runs up to `max` of the tokens that are pending. */
  async fill(sequence: Sequence, max: number): Promise<Outcome> {
    this.#filling = sequence;
    // The first token of an answer comes with its prompt.
    const before = sequence.ids.length + (sequence.begun ? 0 : 1);
    const gave = (): number => Math.max(0, sequence.ids.length - before);
    try {
      const { logits, times } = await this.#steps.fill(sequence, max);
      const complete = sequence.steppedPiece(times, logits);
      return { kind: complete ? 'complete' : 'goes-on', tokens: gave() };
    } catch (error) {
      return { kind: 'failed', error, tokens: gave() };
    } finally {
      this.#filling = undefined;
    }
  }

  /** Gives each of these sequences, of which one token is pending, its next one. */
  async decode(sequences: readonly Sequence[]): Promise<ReadonlyMap<Sequence, Outcome>> {
    this.#closeGap();
    const alone = this.#alone(sequences);
    if (alone !== undefined) return new Map([[alone, await this.#decodeAlone(alone)]]);
    const { kv } = this.#parts;
    const rows = sequences.map((sequence) => ({
      row: this.#rowOf.get(sequence) ?? 0,
      adapter: sequence.adapter,
    }));
    const runs = planDecode(rows, {
      together: kv !== undefined,
      mixed: this.#parts.mixed !== undefined,
    }).flatMap((run) =>
      bySimilarLength(run, {
        lengthOf: (row) => this.#slots.at(row)?.cache.length ?? 0,
        perStep: this.#parts.base.session.paddingPerStep,
      }),
    );
    this.#did.decodeSteps += runs.length;
    const outcomes = new Map<Sequence, Outcome>();
    for (const run of runs) await this.#runEach(run, outcomes);
    for (const { tokens = 1 } of outcomes.values()) this.#did.decodedTokens += tokens;
    return outcomes;
  }

  /** What it did so far, and the budgets that kept sequences from running together. */
  get done(): Pick<
    EngineLoad,
    'decodeSteps' | 'decodedTokens' | 'promptTokens' | 'cachedTokens' | 'speculation' | 'limits'
  > {
    return { ...this.#did, speculation: this.#speculation.done, limits: [...this.#limits.values()] };
  }

  /** Bytes of keys and values of what runs. */
  get claimedBytes(): number {
    return this.#memory?.claimedBytes ?? this.#apartBytes();
  }

  /** With what is kept of sequences that are over or paused. */
  get heldBytes(): number {
    return this.#memory?.usedBytes ?? this.#apartBytes();
  }

  /** Of that what is kept and guaranteed to nobody. */
  get sparableBytes(): number {
    return this.#memory?.sparableBytes ?? 0;
  }

  /** No more than that is used from now on; what runs stays. Between steps. */
  limit(bytes: number): void {
    this.#limitBytes = Math.min(bytes, this.#parts.kvBudgetBytes);
    this.#memory?.limit(this.#limitBytes);
  }

  /** Between steps, once nothing has a slot. */
  release(): void {
    this.#memory?.release();
    this.#parts.mixed?.feeds.release();
    this.#parts.kv?.release();
  }

  /** The only one that runs, if it may speculate: what several rows have in common is worth more. */
  #alone(sequences: readonly Sequence[]): Sequence | undefined {
    const [only] = sequences;
    if (this.#memory === undefined || only?.speculates !== true) return undefined;
    const others = this.#rowOf.keys().some((other) => other !== only && other.runnable);
    return others ? undefined : only;
  }

  async #decodeAlone(sequence: Sequence): Promise<Outcome> {
    const row = this.#rowOf.get(sequence) ?? 0;
    const outcome = await this.#speculation.step(
      sequence,
      (tokens) => this.#memory?.grow(row, tokens) === true,
    );
    this.#did.decodeSteps += 1;
    this.#did.decodedTokens += outcome.tokens ?? 1;
    return outcome;
  }

  #limited(flag: Limit['flag'], effect: string, neededBytes: number, budgetBytes: number): void {
    const before = this.#limits.get(flag)?.neededBytes ?? budgetBytes;
    if (neededBytes > before) this.#limits.set(flag, { flag, effect, neededBytes, budgetBytes });
  }

  #noteMemory(neededBytes: number): void {
    this.#limited('--kv-memory', 'requests wait while rows are free', neededBytes, this.#parts.kvBudgetBytes);
  }

  /** A row for a newcomer: one that keeps something is taken last, of those the one that was used longest ago first. */
  #costOf(row: number): number {
    return this.#memory?.restCost(row) ?? 0;
  }

  #free(sequence: Sequence, row: number, how: { readonly kept: boolean; readonly paused?: boolean }): void {
    this.#memory?.leave(row, how);
    if (this.#memory === undefined) sequence.cache.release();
    sequence.leave();
    this.#slots.leave(row);
    this.#rowOf.delete(sequence);
  }

  #placeInRow(
    sequence: Sequence,
    { kv, memory, row }: { readonly kv: KvRows; readonly memory: KvMemory; readonly row: number },
  ): boolean {
    const there = memory.take(sequence, row);
    if (there === undefined) return false;
    sequence.place(new RowCache(kv, row));
    if (sequence.isFresh) this.#did.promptTokens += sequence.promptTokens;
    this.#did.cachedTokens += sequence.reuse(there);
    return true;
  }

  /** A cache of its own, for graphs that take one sequence at a time. */
  #placeApart(sequence: Sequence): boolean {
    const { session } = sequence.graph;
    const bytes = session.cacheBytes(sequence.capacity);
    const apart = this.#apartBytes();
    // One by itself always can.
    if (apart + bytes > (apart === 0 ? this.#parts.kvBudgetBytes : this.#limitBytes)) return false;
    sequence.place(session.newCache(sequence.capacity));
    return true;
  }

  #apartBytes(): number {
    return [...this.#rowOf.keys()].reduce(
      (sum, { graph, capacity }) => sum + graph.session.cacheBytes(capacity),
      0,
    );
  }

  /** A row at an end moves into a free one between the others: each step is shorter then. */
  #closeGap(): void {
    const { kv } = this.#parts;
    const memory = this.#memory;
    if (kv === undefined || memory === undefined) return;
    const gap = this.#slots.gap(
      (sequence, to) => (movePays(sequence, memory.restingTokens(to)) ? sequence.cache.length : undefined),
      (row) => memory.restCost(row),
    );
    const sequence = gap === undefined ? undefined : this.#slots.at(gap.from);
    if (gap === undefined || sequence === undefined) return;
    const { length } = sequence.cache;
    if (!memory.move(gap.from, gap.to, length)) return;
    const cache = new RowCache(kv, gap.to);
    cache.advance(length);
    sequence.place(cache);
    this.#slots.leave(gap.from);
    this.#slots.take(gap.to, sequence);
    this.#rowOf.set(sequence, gap.to);
  }

  /** One run; when it fails, each of its rows by itself, so that the one that made the error is the one that has it. */
  async #runEach(run: DecodeRun<Adapter>, outcomes: Map<Sequence, Outcome>): Promise<void> {
    const sequences = run.rows.flatMap((row) => this.#slots.at(row) ?? []);
    try {
      await this.#run(run, outcomes);
    } catch (error) {
      const [only, ...others] = sequences;
      if (only === undefined) return;
      if (others.length === 0) outcomes.set(only, { kind: 'failed', error });
      else for (const sequence of sequences) outcomes.set(sequence, await this.fill(sequence, 1));
    }
  }

  async #run(run: DecodeRun<Adapter>, outcomes: Map<Sequence, Outcome>): Promise<void> {
    const inSlots = Array.from({ length: run.count }, (_, index) => this.#slots.at(run.first + index));
    const kept = inSlots.map((_, index) => this.#memory?.restingTokens(run.first + index) ?? 0);
    const { logits, times } = await this.#steps.decode(run, inSlots, kept);
    const size = logits.length / run.count;
    for (const row of run.rows) {
      const sequence = this.#slots.at(row);
      if (sequence === undefined) continue;
      const own = logits.subarray((row - run.first) * size, (row - run.first + 1) * size);
      sequence.cache.advance(sequence.cache.length + 1);
      outcomes.set(sequence, taken(sequence, times, own));
    }
  }
}

/** What a sequence makes of its logits; an error is its own. */
const taken = (sequence: Sequence, times: StepTimes, logits: Float32Array): Outcome => {
  const { length } = sequence.ids;
  try {
    const kind = sequence.stepped(times, logits) ? 'complete' : 'goes-on';
    return { kind, tokens: sequence.ids.length - length };
  } catch (error) {
    return { kind: 'failed', error };
  }
};
