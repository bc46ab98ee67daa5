import type { Clock } from '../../../time/clock.ts';
import type { AdapterRows } from '../adapters/adapter-rows.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import { type DecodeRun, planDecode } from '../schedule/decode-plan.ts';
import { KvMemory } from '../schedule/kv-memory.ts';
import { RowPlaces } from '../schedule/slots.ts';
import type { GraphSession } from '../session/decoder-session.ts';
import { type KvRows, RowCache } from '../session/kv-rows.ts';
import type { Graph, Sequence, StepTimes } from './sequence.ts';

type Adapter = LoadedAdapter<GraphSession>;

/** What became of a sequence in a step. */
export type Outcome =
  | { readonly kind: 'goes-on' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'failed'; readonly error: unknown };

export type RowsParts = {
  /** Sequences that have a place at the same time. */
  readonly places: number;
  /** Undefined where the graphs take one sequence at a time, each with a cache of its own. */
  readonly kv: KvRows | undefined;
  readonly kvBudgetBytes: number;
  /** For sequences without an adapter. */
  readonly base: Graph;
  /** The graph and the copies for rows with different adapters; undefined where such rows cannot run together. */
  readonly mixed: { readonly session: GraphSession; readonly adapters: AdapterRows } | undefined;
  readonly clock: Clock;
};

/** A row less saves each step about what it costs to copy 100 tokens and, in two steps, an adapter. */
const movePays = (sequence: Sequence): boolean =>
  sequence.pending === 1 && sequence.left > 4 + sequence.ids.length / 100;

/** Whose prefixes are whose: the digest is part of an adapter's name. */
const prefixKey = ({ scope, adapter }: Sequence): string | undefined =>
  scope === undefined ? undefined : JSON.stringify([scope, adapter?.name ?? null]);

/**
 * The places in which sequences run, and their steps. Each has a row of keys and values; rows that decode run together,
 * whatever their lengths and adapters.
 *
 * Guarantees: a step of some rows changes nothing of others but what is beyond their last token; an error that one row
 * makes ends that row only. Assumes that calls come one at a time, between changes of adapter memory.
 */
export class Rows {
  readonly #parts: RowsParts;
  readonly #places: RowPlaces<Sequence>;
  readonly #memory: KvMemory | undefined;
  readonly #rowOf = new Map<Sequence, number>();
  #filling: Sequence | undefined;
  /** What the step before ran with; undefined before the first, and after one of different adapters. */
  #last: { readonly adapter: Adapter | null } | undefined;
  #any = false;

  constructor(parts: RowsParts) {
    this.#parts = parts;
    this.#places = new RowPlaces(parts.places);
    this.#memory = parts.kv === undefined ? undefined : new KvMemory(parts.kv, parts.kvBudgetBytes);
  }

  /** Gives the sequence a place, with what is there of its keys and values; false when there is no room now. */
  place(sequence: Sequence): boolean {
    const { kv, mixed } = this.#parts;
    const row = this.#places.choose((at) => mixed?.adapters.holds(at, sequence.adapter) ?? false);
    if (row === undefined) return false;
    const placed =
      kv === undefined || this.#memory === undefined
        ? this.#placeApart(sequence)
        : this.#placeInRow(sequence, { kv, memory: this.#memory, row });
    if (!placed) return false;
    this.#places.take(row, sequence);
    this.#rowOf.set(sequence, row);
    return true;
  }

  /** The sequence is over: its place is free. Its keys and values, if they are good, serve the next request of its conversation. */
  leave(sequence: Sequence, areGood: boolean): void {
    this.#memory?.forget(sequence);
    const row = this.#rowOf.get(sequence);
    if (row === undefined) return;
    const key = areGood ? prefixKey(sequence) : undefined;
    const ids = sequence.ids.slice(0, sequence.cache.length);
    this.#free(sequence, row);
    // What was reserved for the answer is free: it must not push out what is kept.
    if (key !== undefined) this.#memory?.keep(key, ids, row);
  }

  /** True when the sequence would have room once the others were paused: else they would be in vain. */
  fitsWithout(sequence: Sequence, others: readonly Sequence[]): boolean {
    const rows = others.map((other) => ({ row: this.#rowOf.get(other) ?? -1, tokens: other.cache.length }));
    return this.#memory?.fitsWithout(sequence, sequence.capacity, rows) ?? false;
  }

  /** Saves a sequence's keys and values and takes its place away; false when that is not possible. */
  pause(sequence: Sequence): boolean {
    const row = this.#rowOf.get(sequence);
    const { length } = sequence.cache;
    if (row === undefined || this.#memory?.canPause(row, length) !== true) return false;
    this.#memory.pause(sequence, row, length);
    this.#free(sequence, row);
    return true;
  }

  /** Ends the step that fills the sequence's prompt, by an error. A step of several goes on. */
  interrupt(sequence: Sequence): void {
    if (this.#filling === sequence) sequence.graph.session.interrupt();
  }

  /** Runs up to `most` of the tokens that are pending. */
  async fill(sequence: Sequence, most: number): Promise<Outcome> {
    const pickedAt = this.#parts.clock.monotonic();
    const ids = sequence.next(most);
    const { session, feeds } = sequence.graph;
    try {
      const run = session.prepare(feeds(), ids, sequence.cache, [ids.length - 1]);
      this.#filling = sequence;
      const { logits, times } = await this.#timed(pickedAt, sequence.adapter, run);
      const complete = sequence.stepped(times, sequence.pending === 0 ? logits : undefined);
      return { kind: complete ? 'complete' : 'goes-on' };
    } catch (error) {
      return { kind: 'failed', error };
    } finally {
      this.#filling = undefined;
    }
  }

  /** Gives each of these sequences, of which one token is pending, its next one. */
  async decode(sequences: readonly Sequence[]): Promise<ReadonlyMap<Sequence, Outcome>> {
    this.#closeGap();
    const { kv, mixed } = this.#parts;
    const rows = sequences.map((sequence) => ({
      row: this.#rowOf.get(sequence) ?? 0,
      adapter: sequence.adapter,
    }));
    const runs = planDecode(rows, {
      together: kv !== undefined,
      mixes: (adapter) => mixed?.adapters.takes(adapter) ?? false,
    });
    const outcomes = new Map<Sequence, Outcome>();
    for (const run of runs) await this.#runEach(run, outcomes);
    return outcomes;
  }

  /** Bytes of keys and values that are reserved or saved for requests. */
  get claimedBytes(): number {
    return this.#memory?.claimedBytes ?? this.#apartBytes();
  }

  /** Between steps, once nothing has a place. */
  release(): void {
    this.#memory?.release();
    this.#parts.mixed?.adapters.release();
    this.#parts.kv?.release();
  }

  #free(sequence: Sequence, row: number): void {
    this.#memory?.free(row);
    if (this.#memory === undefined) sequence.cache.release();
    sequence.leave();
    this.#places.leave(row);
    this.#rowOf.delete(sequence);
  }

  #placeInRow(
    sequence: Sequence,
    { kv, memory, row }: { readonly kv: KvRows; readonly memory: KvMemory; readonly row: number },
  ): boolean {
    const key = prefixKey(sequence);
    if (!memory.reserve(sequence, row, sequence.capacity, key)) return false;
    const cache = new RowCache(kv, row);
    const resumed = memory.resume(sequence, row);
    const reused = resumed > 0 || key === undefined ? 0 : memory.reuse(key, sequence.ids, row);
    cache.advance(resumed + reused);
    sequence.place(cache, reused);
    return true;
  }

  /** A cache of its own, for graphs that append to what they are fed. */
  #placeApart(sequence: Sequence): boolean {
    const { session } = sequence.graph;
    const bytes = session.cacheBytes(sequence.capacity);
    if (this.#apartBytes() + bytes > this.#parts.kvBudgetBytes) return false;
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
    if (kv === undefined || this.#memory === undefined) return;
    const gap = this.#places.gap((sequence) => (movePays(sequence) ? sequence.cache.length : undefined));
    const sequence = gap === undefined ? undefined : this.#places.at(gap.from);
    if (gap === undefined || sequence === undefined) return;
    const { length } = sequence.cache;
    this.#memory.move(gap.from, gap.to, length);
    const cache = new RowCache(kv, gap.to);
    cache.advance(length);
    sequence.place(cache);
    this.#places.leave(gap.from);
    this.#places.take(gap.to, sequence);
    this.#rowOf.set(sequence, gap.to);
  }

  /** One run; when it fails, each of its rows by itself, so that the one that made the error is the one that has it. */
  async #runEach(run: DecodeRun<Adapter>, outcomes: Map<Sequence, Outcome>): Promise<void> {
    const sequences = run.rows.flatMap((row) => this.#places.at(row) ?? []);
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
    const pickedAt = this.#parts.clock.monotonic();
    const { logits, times } = await this.#timed(
      pickedAt,
      run.with.kind === 'one' ? run.with.adapter : undefined,
      this.#prepare(run),
    );
    const size = logits.length / run.count;
    for (const row of run.rows) {
      const sequence = this.#places.at(row);
      if (sequence === undefined) continue;
      const own = logits.subarray((row - run.first) * size, (row - run.first + 1) * size);
      sequence.cache.advance(sequence.cache.length + 1);
      outcomes.set(sequence, taken(sequence, times, own));
    }
  }

  #prepare(run: DecodeRun<Adapter>): () => Promise<Float32Array> {
    const { kv } = this.#parts;
    const numbers = Array.from({ length: run.count }, (_, index) => run.first + index);
    const sequences = numbers.map((row) => this.#places.at(row));
    const { session, feeds } = this.#graphOf(run, sequences);
    const [only] = sequences;
    if (kv === undefined) {
      if (only === undefined) throw new RangeError(`row ${run.first} is empty`);
      const { length } = only.cache;
      const rows = { ids: [only.next(1)], before: [length] };
      return session.prepareRows(feeds, rows, only.cache.step(length + 1), [0]);
    }
    const wanted = new Set(run.rows);
    // Rows that ride along write beyond their last token, where their own next step writes again.
    const ids = sequences.map((sequence, index) =>
      sequence !== undefined && wanted.has(run.first + index) ? sequence.next(1) : [0],
    );
    const before = sequences.map((sequence) => sequence?.cache.length ?? 0);
    for (const [index, row] of numbers.entries()) kv.writes(row, (before[index] ?? 0) + 1);
    const span = kv.span(run.first, run.count);
    return session.prepareRows(feeds, { ids, before }, { past: span, present: span }, [0]);
  }

  #graphOf(run: DecodeRun<Adapter>, sequences: readonly (Sequence | undefined)[]) {
    const { base, mixed } = this.#parts;
    if (run.with.kind === 'one') {
      const { adapter } = run.with;
      if (adapter === null) return { session: base.session, feeds: base.feeds() };
      return { session: adapter.graph, feeds: adapter.feeds };
    }
    if (mixed === undefined) throw new RangeError('rows of different adapters cannot run together here');
    const wanted = new Set(run.rows);
    const adapters = sequences.map((sequence, index) =>
      sequence !== undefined && wanted.has(run.first + index) ? sequence.adapter : undefined,
    );
    return { session: mixed.session, feeds: mixed.adapters.feeds(run.first, adapters) };
  }

  /** `adapter`: undefined where rows have different ones. */
  async #timed(
    pickedAt: number,
    adapter: Adapter | null | undefined,
    run: () => Promise<Float32Array>,
  ): Promise<{ readonly logits: Float32Array; readonly times: StepTimes }> {
    const { clock } = this.#parts;
    const switched = this.#any && (adapter === undefined || this.#last?.adapter !== adapter);
    this.#any = true;
    this.#last = adapter === undefined ? undefined : { adapter };
    const runAt = clock.monotonic();
    const logits = await run();
    return { logits, times: { pickedAt, runAt, doneAt: clock.monotonic(), switched } };
  }
}

/** What a sequence makes of its logits; an error is its own. */
const taken = (sequence: Sequence, times: StepTimes, logits: Float32Array): Outcome => {
  try {
    return { kind: sequence.stepped(times, logits) ? 'complete' : 'goes-on' };
  } catch (error) {
    return { kind: 'failed', error };
  }
};
