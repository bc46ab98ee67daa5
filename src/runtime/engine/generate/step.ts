import type { Clock } from '../../../time/clock.ts';
import type { MixedFeeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { AtWork } from '../host/at-work.ts';
import type { StepClock } from '../host/step-clock.ts';
import type { DecodeRun } from '../schedule/decode-plan.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import type { KvRows } from '../session/kv-rows.ts';
import type { Graph, Sequence, StepTimes } from './sequence.ts';

export type Adapter = LoadedAdapter<DecoderSession>;

export type StepParts = {
  /** Undefined where the graphs take one sequence at a time, each with a cache of its own. */
  readonly kv: KvRows | undefined;
  /** For sequences without an adapter. */
  readonly base: Graph;
  /** For rows with different adapters; undefined where such rows cannot run together. */
  readonly mixed: { readonly session: DecoderSession; readonly feeds: MixedFeeds } | undefined;
  readonly clock: Clock;
  readonly times: StepClock;
  readonly atWork: AtWork;
};

/** Logits of a step, valid until the next, and when it ran. */
export type Stepped = { readonly logits: Float32Array; readonly times: StepTimes };

/**
 * Runs one step at a time: chooses graph and feeds, and takes the time.
 * @throws those of the graph
 */
export class StepRunner {
  readonly #parts: StepParts;
  /** What the step before ran with; undefined before the first, and after one of different adapters. */
  #last: { readonly adapter: Adapter | null } | undefined;
  #any = false;

  constructor(parts: StepParts) {
    this.#parts = parts;
  }

  /** Up to `max` of the tokens that are pending of one sequence: logits of the last one, or of each where it is scored. */
  async fill(sequence: Sequence, max: number): Promise<Stepped> {
    this.#parts.atWork.step([sequence.id]);
    const pickedAt = this.#parts.clock.monotonic();
    const ids = sequence.next(Math.min(max, sequence.maxPiece));
    const { session, feeds } = sequence.graph;
    const read = sequence.isScored ? [...ids.keys()] : [ids.length - 1];
    const run = session.prepare(feeds(), ids, sequence.cache, read, sequence.ids.length);
    return await this.#timed(pickedAt, sequence.adapter, { tokens: ids.length, run });
  }

  /** The next token of a sequence, and a draft of those after it: logits of each. */
  async ahead(sequence: Sequence, draft: readonly number[]): Promise<Stepped> {
    this.#parts.atWork.step([sequence.id]);
    const pickedAt = this.#parts.clock.monotonic();
    const ids = [...sequence.next(1), ...draft];
    const { session, feeds } = sequence.graph;
    const run = session.prepare(feeds(), ids, sequence.cache, [...ids.keys()]);
    return await this.#timed(pickedAt, sequence.adapter, { tokens: ids.length, run });
  }

  /**
   * The next token of each row of a run: logits of all its slots, one after the other. `inSlots` are the sequences there,
   * `kept` the tokens that free ones keep.
   */
  async decode(
    run: DecodeRun<Adapter>,
    inSlots: readonly (Sequence | undefined)[],
    kept: readonly number[],
  ): Promise<Stepped> {
    this.#parts.atWork.step(run.rows.flatMap((row) => inSlots[row - run.first]?.id ?? []));
    const pickedAt = this.#parts.clock.monotonic();
    const adapter = run.with.kind === 'one' ? run.with.adapter : undefined;
    const step = this.#prepare(run, inSlots, kept);
    return await this.#timed(pickedAt, adapter, { tokens: run.count, run: step });
  }

  #prepare(
    run: DecodeRun<Adapter>,
    inSlots: readonly (Sequence | undefined)[],
    kept: readonly number[],
  ): () => Promise<Float32Array> {
    const { kv } = this.#parts;
    const wanted = new Set(run.rows);
    // Rows that ride along write beyond their last token, where their own next step writes again; so do free ones.
    const decoding = inSlots.map((sequence, index) => (wanted.has(run.first + index) ? sequence : undefined));
    const { session, feeds } = this.#graphOf(run, decoding);
    if (kv === undefined) {
      const [only] = inSlots;
      if (only === undefined) throw new RangeError(`slot ${run.first} is empty`);
      const { length } = only.cache;
      const rows = { ids: [only.next(1)], before: [length] };
      return session.prepareRows(feeds, rows, only.cache.step(length + 1), [0]);
    }
    const ids = decoding.map((sequence) => sequence?.next(1) ?? [0]);
    const before = inSlots.map((sequence, index) => sequence?.cache.length ?? kept[index] ?? 0);
    for (const [index, length] of before.entries()) kv.writes(run.first + index, length + 1);
    const span = kv.span(run.first, run.count);
    const read = inSlots.flatMap((_, index) => (wanted.has(run.first + index) ? [index] : []));
    return session.prepareRows(feeds, { ids, before, read }, { past: span, present: span }, [0]);
  }

  #graphOf(run: DecodeRun<Adapter>, decoding: readonly (Sequence | undefined)[]) {
    const { base, mixed } = this.#parts;
    if (run.with.kind === 'one') {
      const { adapter } = run.with;
      if (adapter === null) return { session: base.session, feeds: base.feeds() };
      return { session: adapter.graph, feeds: adapter.feeds };
    }
    if (mixed === undefined) throw new RangeError('rows of different adapters cannot run together here');
    // Where rows are padded only those that decode are read.
    const rows = mixed.session.padded ? decoding.filter((sequence) => sequence !== undefined) : decoding;
    const own = rows.map((sequence) => sequence?.adapter?.feeds);
    return { session: mixed.session, feeds: mixed.feeds.of(own) };
  }

  /** `adapter`: undefined where rows have different ones. */
  async #timed(
    pickedAt: number,
    adapter: Adapter | null | undefined,
    { tokens, run }: { readonly tokens: number; readonly run: () => Promise<Float32Array> },
  ): Promise<Stepped> {
    const { clock, times } = this.#parts;
    const switched = this.#any && (adapter === undefined || this.#last?.adapter !== adapter);
    this.#any = true;
    this.#last = adapter === undefined ? undefined : { adapter };
    const runAt = clock.monotonic();
    const logits = await times.time(tokens, run);
    return { logits, times: { pickedAt, runAt, doneAt: clock.monotonic(), switched } };
  }
}
