import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { closing } from '../failures.ts';

/** One piece of a request, and what it may be run together with: pieces of the same key only. */
export type Piece<Work> = {
  /** Number of the request that it is of. */
  readonly request: number;
  /** Undefined: it is run by itself. */
  readonly key: unknown;
  readonly rows: number;
  /** Tokens of its longest row; 1 where there are none. */
  readonly length: number;
  readonly work: Work;
};

export type BatchLimits = {
  readonly maxRows: number;
  /** Rows times the longest of them: what is run, padding included. */
  readonly maxTokens: number;
};

/**
 * The pieces that run next: the first one and, in their order, those of its key that fit.
 * One that is over the limits by itself runs by itself.
 */
export const nextBatch = <P extends Pick<Piece<unknown>, 'key' | 'rows' | 'length'>>(
  waiting: readonly P[],
  limits: BatchLimits,
): readonly P[] => {
  const batch: P[] = [];
  let rows = 0;
  let maxLength = 0;
  const [first] = waiting;
  if (first !== undefined && first.key === undefined) return [first];
  for (const piece of waiting) {
    if (piece.key !== first?.key) continue;
    const length = Math.max(maxLength, piece.length);
    const fits = rows + piece.rows <= limits.maxRows && (rows + piece.rows) * length <= limits.maxTokens;
    if (batch.length > 0 && !fits) break;
    batch.push(piece);
    rows += piece.rows;
    maxLength = length;
  }
  return batch;
};

export type BatcherOptions<Work, Result> = {
  readonly limits: BatchLimits;
  /** Milliseconds that the first piece waits for others when the batch is not full. */
  readonly maxDelayMs: number;
  readonly clock: Clock;
  /** Runs a batch: one result for each piece, in order. */
  readonly run: (batch: readonly Piece<Work>[]) => Promise<readonly Result[]>;
};

type Entry<Work, Result> = {
  readonly piece: Piece<Work>;
  /** Its place in the order: requests take turns, piece by piece, so that a large one does not hold up a small one. */
  readonly turn: number;
  readonly since: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Runs pieces together that wait at the same time: one batch at a time, in an order in which requests take turns. While a
 * batch runs, what comes waits and makes the next one.
 *
 * Assumes that whoever adds pieces bounds their number.
 */
export class Batcher<Work, Result> {
  readonly #options: BatcherOptions<Work, Result>;
  #waiting: Entry<Work, Result>[] = [];
  #running = false;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: BatcherOptions<Work, Result>) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Results of the pieces of one request, in order.
   * @throws those of `run`; ENGINE_DOWN after `stop`
   */
  async add(pieces: readonly Piece<Work>[]): Promise<readonly Result[]> {
    if (this.#stopped) throw closing('The engine is closing');
    const since = this.#options.clock.monotonic();
    const now = this.#waiting[0]?.turn ?? 0;
    const results = pieces.map((piece, index) => {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      this.#waiting.push({ piece, turn: now + index, since, resolve, reject });
      return promise;
    });
    // Of the same turn, the one that came first is first.
    this.#waiting.sort((a, b) => a.turn - b.turn);
    this.#wake();
    return await Promise.all(results);
  }

  /** What still waits of a request is not run; its `add` rejects. */
  cancel(request: number): void {
    this.#drop(
      (entry) => entry.piece.request === request,
      new AdaptletError('REQUEST_CANCELLED', `Request ${request} was given up`),
    );
  }

  /** Nothing runs after the present batch. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#drop(() => true, closing('The engine is closing'));
  }

  #drop(of: (entry: Entry<Work, Result>) => boolean, error: Error): void {
    const dropped = this.#waiting.filter(of);
    this.#waiting = this.#waiting.filter((entry) => !of(entry));
    for (const { reject } of dropped) reject(error);
  }

  #wake(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const [first] = this.#waiting;
    if (this.#running || first === undefined) return;
    const { clock, maxDelayMs, limits } = this.#options;
    const left = first.since + maxDelayMs - clock.monotonic();
    if (left <= 0 || this.#isFull(limits)) {
      this.#running = true;
      // It reports through the entries.
      void this.#run();
    } else {
      this.#cancelTimer = clock.after(left, () => {
        this.#wake();
      });
    }
  }

  /** Waiting longer would add nothing to the batch. */
  #isFull(limits: BatchLimits): boolean {
    const pieces = this.#waiting.map(({ piece }) => piece);
    const batch = nextBatch(pieces, limits);
    const rows = batch.reduce((sum, piece) => sum + piece.rows, 0);
    const same = pieces.filter(({ key }) => key === pieces[0]?.key);
    return rows >= limits.maxRows || batch.length < same.length || batch[0]?.key === undefined;
  }

  #take(): readonly Entry<Work, Result>[] {
    const entryOf = new Map(this.#waiting.map((entry) => [entry.piece, entry]));
    const batch = nextBatch([...entryOf.keys()], this.#options.limits);
    const taken = new Set(batch);
    this.#waiting = this.#waiting.filter(({ piece }) => !taken.has(piece));
    return batch.flatMap((piece) => entryOf.get(piece) ?? []);
  }

  async #run(): Promise<void> {
    const entries = this.#take();
    try {
      const results = await this.#options.run(entries.map(({ piece }) => piece));
      for (const [index, { resolve, reject }] of entries.entries()) {
        const result = results[index];
        if (result === undefined) reject(new AdaptletError('INTERNAL', 'A batch gave too few results'));
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of entries) reject(error);
    }
    this.#running = false;
    this.#wake();
  }
}
