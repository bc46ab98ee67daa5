import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { closing } from '../failures.ts';
import { FairQueue, type Flow } from '../schedule/fair-queue.ts';

/** One piece of a request, and what it may be run together with: pieces of the same key only. */
export type Piece<Work> = {
  /** Undefined: it is run by itself. */
  readonly key: unknown;
  readonly rows: number;
  /** Tokens of its longest row; 1 where there are none. */
  readonly length: number;
  /** What is done for it, compared with other pieces: turns are given by that. */
  readonly cost: number;
  readonly work: Work;
};

/** Whose pieces they are. */
export type Asked = {
  /** Number of the request. */
  readonly request: number;
  readonly flow: Flow;
  /** What was done for it already, in the measure of the pieces. Absent: nothing. */
  readonly cost?: number;
};

export type BatchLimits = {
  readonly maxRows: number;
  /** Rows times the longest of them: what is run, padding included. */
  readonly maxTokens: number;
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
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/** What waits of a request; its first piece is the next one. */
type Waiting<Work, Result> = Asked & {
  readonly first: Entry<Work, Result>;
  readonly others: readonly Entry<Work, Result>[];
  readonly since: number;
};

/** What pieces take together. */
class Size {
  #rows = 0;
  #length = 0;

  /** With one more piece. */
  add({ rows, length }: Pick<Piece<unknown>, 'rows' | 'length'>): void {
    this.#rows += rows;
    this.#length = Math.max(this.#length, length);
  }

  /** Room for one more, by its rows and length. */
  fits(
    { rows, length }: Pick<Piece<unknown>, 'rows' | 'length'>,
    { maxRows, maxTokens }: BatchLimits,
  ): boolean {
    const all = this.#rows + rows;
    return all <= maxRows && all * Math.max(this.#length, length) <= maxTokens;
  }
}

/**
 * Runs pieces together that wait at the same time, one batch at a time. Whose piece is first in a batch, and whose are with it, is
 * said by {@link FairQueue}: namespaces, their tenants and adapters get alike, and requests of one of them take turns, piece by
 * piece, so that a large one does not hold up a small one. While a batch runs, what comes waits and makes the next one.
 *
 * Namespaces to which pieces are guaranteed come first in a batch. Where such a batch passes over whoever had least, the next one
 * goes by service alone: no two in a row are without the piece whose turn it is.
 *
 * A piece of another key does not hold up those that can be run with the first one. One that does not fit ends the batch; one that
 * is over the limits by itself runs by itself.
 *
 * Assumes that whoever adds pieces bounds their number.
 */
export class Batcher<Work, Result> {
  readonly #options: BatcherOptions<Work, Result>;
  readonly #waiting: FairQueue<Waiting<Work, Result>>;
  #running = false;
  /** The last batch was without the piece whose turn it was by service. */
  #passedOver = false;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: BatcherOptions<Work, Result>) {
    this.#options = options;
    this.#waiting = new FairQueue({ maxLength: Infinity, now: () => options.clock.monotonic() });
  }

  /**
   * Results of the pieces of one request, in order. Settles once none of them runs any more.
   * @throws those of `run`; ENGINE_DOWN after `stop`
   */
  async add(asked: Asked, pieces: readonly Piece<Work>[]): Promise<readonly Result[]> {
    if (this.#stopped) throw closing('The engine is closing');
    const since = this.#options.clock.monotonic();
    const results: Promise<Result>[] = [];
    const [first, ...others] = pieces.map((piece): Entry<Work, Result> => {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      results.push(promise);
      return { piece, resolve, reject };
    });
    if (first !== undefined) {
      this.#waiting.push({ ...asked, first, others, since });
      this.#waiting.charge(asked.flow, asked.cost ?? 0);
      this.#wake();
    }
    await Promise.allSettled(results);
    return await Promise.all(results);
  }

  /** What still waits of a request is not run; its `add` rejects, after the batch that has a piece of it. */
  cancel(
    request: number,
    error = new AdaptletError('REQUEST_CANCELLED', `Request ${request} was given up`),
  ): void {
    this.#drop((waiting) => waiting.request === request, error);
  }

  /** Nothing runs after the present batch. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#drop(() => true, closing('The engine is closing'));
  }

  #drop(of: (waiting: Waiting<Work, Result>) => boolean, error: unknown): void {
    for (const waiting of this.#waiting.items().filter(of)) {
      this.#waiting.remove(waiting);
      for (const { reject } of [waiting.first, ...waiting.others]) reject(error);
    }
  }

  #wake(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#running || this.#waiting.size === 0) return;
    const { clock, maxDelayMs } = this.#options;
    const since = Math.min(...this.#waiting.items().map((waiting) => waiting.since));
    const left = since + maxDelayMs - clock.monotonic();
    if (left <= 0 || this.#isFull()) {
      this.#running = true;
      // It reports through the entries.
      void this.#run();
    } else {
      this.#cancelTimer = clock.after(left, () => {
        this.#wake();
      });
    }
  }

  /** Who is next in the batch, of those that may. */
  #next(mayGo?: (waiting: Waiting<Work, Result>) => boolean): Waiting<Work, Result> | undefined {
    return this.#waiting.next(mayGo, { owedFirst: !this.#passedOver });
  }

  /** Waiting longer would add nothing to the batch. */
  #isFull(): boolean {
    const { limits } = this.#options;
    const key = this.#next()?.first.piece.key;
    if (key === undefined) return true;
    const size = new Size();
    for (const { first, others } of this.#waiting.items()) {
      if (first.piece.key !== key) continue;
      for (const { piece } of [first, ...others]) {
        if (!size.fits(piece, limits)) return true;
        size.add(piece);
      }
    }
    return !size.fits({ rows: 1, length: 1 }, { ...limits, maxTokens: Infinity });
  }

  #take(): readonly Waiting<Work, Result>[] {
    const batch: Waiting<Work, Result>[] = [];
    const size = new Size();
    const due = this.#waiting.next(undefined, { owedFirst: false });
    const head = this.#next();
    const key = head?.first.piece.key;
    for (let next = head; next !== undefined; ) {
      batch.push(next);
      size.add(next.first.piece);
      this.#start(next);
      if (key === undefined) break;
      next = this.#next(({ first }) => first.piece.key === key);
      if (next !== undefined && !size.fits(next.first.piece, this.#options.limits)) break;
    }
    this.#passedOver = due !== undefined && !batch.includes(due);
    return batch;
  }

  /** The first piece runs; the others wait behind those of other requests. */
  #start(waiting: Waiting<Work, Result>): void {
    const [first, ...others] = waiting.others;
    this.#waiting.started(waiting, waiting.first.piece.cost);
    if (first !== undefined) this.#waiting.push({ ...waiting, first, others });
  }

  async #run(): Promise<void> {
    const batch = this.#take();
    try {
      const results = await this.#options.run(batch.map(({ first }) => first.piece));
      for (const [index, { first }] of batch.entries()) {
        const result = results[index];
        if (result === undefined) first.reject(new AdaptletError('INTERNAL', 'A batch gave too few results'));
        else first.resolve(result);
      }
    } catch (error) {
      for (const { first } of batch) first.reject(error);
      const failed = new Set(batch.map(({ request }) => request));
      this.#drop(({ request }) => failed.has(request), error);
    }
    for (const waiting of batch) this.#waiting.ended(waiting);
    this.#running = false;
    this.#wake();
  }
}
