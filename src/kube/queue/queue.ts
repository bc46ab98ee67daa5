import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs, type Delays } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { Heap } from './queue-heap.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

export type QueueOptions = {
  /** For logs. */
  readonly name: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
  /** Keys that are worked on at the same time. */
  readonly workers: number;
  /** Between the runs of a key that fails. */
  readonly delays?: Delays;
  /** Runs, of all keys together, that follow a failure of their key. */
  readonly retries?: Rate;
};

export type AddOptions = {
  /** Higher ones go first; 0 unless given. */
  readonly priority?: number;
  /** Not before this many milliseconds; now unless given. */
  readonly afterMs?: number;
};

/** What a run of a key may ask for: another one, later. */
export type RunResult = { readonly requeueAfterMs?: number };
/** The signal is aborted when the queue is closed. */
export type Worker<K> = (key: K, signal: AbortSignal) => Promise<RunResult | void>;

/** What a queue says of itself at a scrape. Times in milliseconds. */
export type QueueGauges = {
  /** Keys that could run if there were a worker, or a token for a retry. */
  readonly depth: number;
  /** Keys whose time has not come. */
  readonly delayed: number;
  readonly running: number;
  /** Keys whose last run failed. */
  readonly failing: number;
  /** Failed runs since the start. */
  readonly retries: number;
  readonly oldestWaitMs: number;
  readonly maxRunMs: number;
};

/** The next run of a key, while one is wanted. */
type Next = { dueAt: number; priority: number /** Among those whose time has come. */; turn: number };
type Entry<K> = {
  readonly key: K;
  failures: number;
  next: Next | undefined;
  run:
    | { readonly startedAt: number; readonly stop: AbortController; readonly ended: Promise<void> }
    | undefined;
};
/** An entry that is in one of the heaps. */
type Waiting<K> = Entry<K> & { next: Next };

const usualDelays: Delays = { firstMs: 500, maxMs: 300_000 };
const usualRetries: Rate = { perSecond: 10, burst: 50 };
/** A server may ask for more patience than a backoff has, but not for any. */
const maxRetryAfterMs = 60_000;

const earlier = <K>(a: Waiting<K>, b: Waiting<K>): boolean => a.next.dueAt < b.next.dueAt;
const goesFirst = <K>(a: Waiting<K>, b: Waiting<K>): boolean =>
  a.next.priority === b.next.priority ? a.next.turn < b.next.turn : a.next.priority > b.next.priority;

/**
 * Keys of objects that someone must look at.
 *
 * Guarantees:
 * - Every `add` is followed by a run that starts after it, unless the queue is closed. Adds that no run has taken up
 *   become one run: at the earliest of their times, with the highest of their priorities.
 * - Never two runs of one key at the same time.
 * - Among equal priorities, first come, first served.
 * - A key that failed waits for its backoff, or for the next `add`; and in both cases for a token that all failing keys
 *   share, so that no number of them, and none that wakes itself, can hammer the API server.
 * - A worker that throws is logged; nothing else comes to harm.
 *
 * Runs are started by the event loop, not by `add`: keys added together are taken in order of their priority, and a long
 * queue of short runs leaves room for what else the process does.
 */
export class WorkQueue<K extends string> {
  readonly #options: QueueOptions;
  readonly #delays: Delays;
  readonly #bucket: TokenBucket;
  readonly #entries = new Map<K, Entry<K>>();
  readonly #running = new Set<Entry<K>>();
  readonly #delayed = new Heap<Waiting<K>>(earlier);
  readonly #fresh = new Heap<Waiting<K>>(goesFirst);
  /** Those that need a token. */
  readonly #failing = new Heap<Waiting<K>>(goesFirst);
  readonly #onIdle: (() => void)[] = [];
  #worker: Worker<K> | undefined;
  #turns = 0;
  #retries = 0;
  #pumping = false;
  #cancelTimer: () => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#delays = options.delays ?? usualDelays;
    this.#bucket = new TokenBucket(options.clock, options.retries ?? usualRetries);
  }

  /** Wants a run of the key. Nothing happens once the queue is closed. */
  add(key: K, { priority = 0, afterMs = 0 }: AddOptions = {}): void {
    if (this.#closing !== undefined) return;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { key, failures: 0, next: undefined, run: undefined };
      this.#entries.set(key, entry);
    }
    this.#want(entry, afterMs, priority);
    if (entry.run === undefined) this.#place(entry);
    this.#pumpSoon();
  }

  /** Starts the workers; keys added before are taken up as well. Once. */
  run(worker: Worker<K>): void {
    if (this.#worker !== undefined) throw new AdaptletError('INTERNAL', 'a queue was started twice');
    this.#worker = worker;
    this.#pumpSoon();
  }

  /** Starts nothing more, forgets what waits, aborts the signals of the runs under way and waits until they ended. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Until nothing is running and nothing can start before time passes or a key is added. For tests. */
  idle(): Promise<void> {
    const idle = new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#pumpSoon();
    return idle;
  }

  gauges(): QueueGauges {
    const now = this.#now();
    const ready = [...this.#fresh.values(), ...this.#failing.values()];
    return {
      depth: ready.length,
      delayed: this.#delayed.size,
      running: this.#running.size,
      failing: [...this.#entries.values()].filter(({ failures }) => failures > 0).length,
      retries: this.#retries,
      oldestWaitMs: ready.reduce((most, { next }) => Math.max(most, now - next.dueAt), 0),
      maxRunMs: [...this.#running].reduce(
        (most, { run }) => Math.max(most, now - (run?.startedAt ?? now)),
        0,
      ),
    };
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  #want(entry: Entry<K>, afterMs: number, priority: number): void {
    // Also for NaN: a time that is none is now.
    const dueAt = this.#now() + (afterMs > 0 ? afterMs : 0);
    entry.next ??= { dueAt, priority, turn: 0 };
    entry.next.dueAt = Math.min(entry.next.dueAt, dueAt);
    entry.next.priority = Math.max(entry.next.priority, priority);
  }

  /** Puts an entry with a next run where it waits for it. */
  #place(entry: Entry<K>): void {
    if (entry.next === undefined) return;
    const waiting = entry as Waiting<K>;
    if (waiting.next.dueAt > this.#now()) {
      this.#delayed.add(waiting);
      return;
    }
    this.#delayed.remove(waiting);
    if (waiting.next.turn === 0) waiting.next.turn = ++this.#turns;
    (waiting.failures > 0 ? this.#failing : this.#fresh).add(waiting);
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (let due = this.#delayed.first; due !== undefined; due = this.#delayed.first) {
      if (due.next.dueAt > this.#now()) break;
      this.#place(due);
    }
    while (this.#running.size < this.#options.workers && this.#worker !== undefined) {
      const entry = this.#takeNext();
      if (entry === undefined) break;
      this.#start(entry, this.#worker);
    }
    this.#arm();
    if (this.#running.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #takeNext(): Waiting<K> | undefined {
    const fresh = this.#fresh.first;
    const failing = this.#failing.first;
    const retry =
      failing !== undefined && (fresh === undefined || goesFirst(failing, fresh)) && this.#bucket.take();
    const taken = retry ? failing : fresh;
    if (taken !== undefined) (retry ? this.#failing : this.#fresh).remove(taken);
    return taken;
  }

  #start(entry: Waiting<K>, worker: Worker<K>): void {
    const { priority } = entry.next;
    const stop = new AbortController();
    const ended = Promise.withResolvers<void>();
    // Before the worker runs: an add that it makes wants another run, after this one.
    entry.run = { startedAt: this.#now(), stop, ended: ended.promise };
    (entry as Entry<K>).next = undefined;
    this.#running.add(entry);
    const work = async (): Promise<RunResult | void> => worker(entry.key, stop.signal);
    void work()
      .then(
        (result) => this.#succeeded(entry, result ?? {}),
        (error: unknown) => this.#failed(entry, error, priority, stop.signal),
      )
      .then(() => this.#ended(entry))
      .then(ended.resolve);
  }

  #succeeded(entry: Entry<K>, { requeueAfterMs }: RunResult): void {
    entry.failures = 0;
    if (requeueAfterMs !== undefined) this.#want(entry, requeueAfterMs, 0);
  }

  #failed(entry: Entry<K>, error: unknown, priority: number, signal: AbortSignal): void {
    const { name, logger, random } = this.#options;
    const keys = { queue: name, key: entry.key, err: error };
    if (signal.aborted) {
      logger.debug(keys, 'run ended by the close of the queue');
      return;
    }
    entry.failures += 1;
    this.#retries += 1;
    const asked = error instanceof AdaptletError ? Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs) : 0;
    const retryInMs = Math.round(Math.max(backoffMs(entry.failures, random, this.#delays), asked));
    this.#want(entry, retryInMs, priority);
    // An object that changed meanwhile is everyday life: its next version is on the way.
    const level = errorCodeOf(error) === 'KUBE_CONFLICT' ? 'debug' : 'warn';
    logger[level]({ ...keys, failures: entry.failures, retryInMs }, 'run failed, will be repeated');
  }

  #ended(entry: Entry<K>): void {
    entry.run = undefined;
    this.#running.delete(entry);
    if (this.#closing !== undefined || entry.next === undefined) {
      this.#entries.delete(entry.key);
      if (this.#closing !== undefined) return;
    } else this.#place(entry);
    this.#pumpSoon();
  }

  /** For what comes due next: a delayed key, or a token for a failing one. */
  #arm(): void {
    this.#cancelTimer();
    const due = this.#delayed.first?.next.dueAt;
    const waits = [
      ...(due === undefined ? [] : [Math.max(0, due - this.#now())]),
      ...(this.#failing.size > 0 && this.#running.size < this.#options.workers
        ? [this.#bucket.waitMs()]
        : []),
    ];
    this.#cancelTimer =
      waits.length === 0 ? () => {} : this.#options.clock.after(Math.min(...waits), () => this.#pumpSoon());
  }

  async #close(): Promise<void> {
    this.#cancelTimer();
    for (const heap of [this.#delayed, this.#fresh, this.#failing]) heap.clear();
    for (const [key, { run }] of this.#entries) if (run === undefined) this.#entries.delete(key);
    const running = [...this.#running].flatMap(({ run }) => (run === undefined ? [] : [run]));
    for (const { stop } of running) stop.abort();
    await Promise.all(running.map(({ ended }) => ended));
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}
