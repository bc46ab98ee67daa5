import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi } from '../client/api.ts';
import { type Rate, TokenBucket } from '../queue/token-bucket.ts';
import { type EventNote, type Reporter, sameEventKey } from './object.ts';
import { RecentMap } from './recent.ts';
import { EventWriter, type ToldEvent } from './writer.ts';

export type EventRecorderOptions = Reporter & {
  readonly api: KubeApi;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
  /** Different events of one object. */
  readonly perObject?: Rate;
  /** Requests. */
  readonly total?: Rate;
};

type Series = ToldEvent & {
  toldCount: number;
  /** Monotonic, like `tellAt`. */
  lastSeen: number;
  tellAt: number;
  everyMs: number;
};

const usualPerObject: Rate = { perSecond: 1 / 60, burst: 25 };
const usualTotal: Rate = { perSecond: 5, burst: 50 };
/** An event that comes again later than this is a new one. */
const gapMs = 600_000;
/** Between two requests that tell how often an event happened: doubled each time. */
const tellEvery = { firstMs: 30_000, maxMs: 1_800_000 };
const sweepEveryMs = 10_000;
const maxSeries = 1024;
const maxWaiting = 256;
const attempts = 3;
const delays = { firstMs: 1000, maxMs: 10_000 };

/**
 * Tells people what happened to an object, as events of events.k8s.io/v1.
 *
 * Guarantees: `record` neither throws nor waits. Equal events are one object with a count, which is written ever more
 * rarely. Requests, memory and what one object can cause are bounded; what is too much is dropped and counted.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new RecentMap<string, Series>(maxSeries, (forgotten) => this.#forget(forgotten));
  readonly #buckets = new RecentMap<string, TokenBucket>(maxSeries);
  readonly #total: TokenBucket;
  readonly #writer: EventWriter;
  readonly #waiting = new Set<Series>();
  readonly #stop = new AbortController();
  #sending: Promise<void> | undefined;
  #cancelSweep: (() => void) | undefined;
  #isClosed = false;
  #dropped = 0;
  #failures = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#total = new TokenBucket(options.clock, options.total ?? usualTotal);
    this.#writer = new EventWriter(options, this.#stop.signal);
  }

  /** How often an event, or its count, was not told: there were too many, or the API server did not take it. */
  get dropped(): number {
    return this.#dropped;
  }

  record(event: EventNote): void {
    if (this.#isClosed) return;
    try {
      this.#record(event);
    } catch (error) {
      this.#drop(error);
    }
  }

  /** Sends what is not told yet, for `deadlineMs` at most, and ends. Later events are left out. */
  async close(deadlineMs = 2000): Promise<void> {
    this.#isClosed = true;
    this.#cancelSweep?.();
    const late = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(deadlineMs, late.resolve);
    for (const series of this.#series.values())
      if (series.count > series.toldCount && !this.#send(series)) this.#dropped += 1;
    await Promise.race([this.#sending, late.promise]);
    cancel();
    this.#stop.abort();
  }

  #record(event: EventNote): void {
    const { clock } = this.#options;
    const key = sameEventKey(event);
    const known = this.#series.get(key);
    const monotonic = clock.monotonic();
    if (known !== undefined && monotonic - known.lastSeen <= gapMs) {
      known.count += 1;
      known.lastAt = clock.now();
      known.lastSeen = monotonic;
      this.#sweepLater();
      return;
    }
    if (!this.#bucketOf(event).take()) {
      this.#dropped += 1;
      return;
    }
    if (known !== undefined && known.count > known.toldCount && !this.#send(known)) this.#dropped += 1;
    const series: Series = {
      event,
      firstAt: clock.now(),
      name: this.#writer.newName(event),
      isThere: false,
      count: 1,
      toldCount: 0,
      lastAt: clock.now(),
      lastSeen: monotonic,
      tellAt: monotonic + tellEvery.firstMs,
      everyMs: tellEvery.firstMs,
    };
    if (this.#send(series)) this.#series.set(key, series);
    else this.#dropped += 1;
  }

  #bucketOf({ regarding: { metadata } }: EventNote): TokenBucket {
    const { clock, perObject = usualPerObject } = this.#options;
    const bucket = this.#buckets.get(metadata.uid) ?? new TokenBucket(clock, perObject);
    this.#buckets.set(metadata.uid, bucket);
    return bucket;
  }

  /** Counts are told from here: of all series that are due, and again while there are some that are not. */
  #sweepLater(): void {
    this.#cancelSweep ??= this.#options.clock.after(sweepEveryMs, () => {
      this.#cancelSweep = undefined;
      const now = this.#options.clock.monotonic();
      let isLeft = false;
      for (const series of this.#series.values()) {
        if (series.count <= series.toldCount) continue;
        if (series.tellAt > now || !this.#send(series)) isLeft = true;
      }
      if (isLeft) this.#sweepLater();
    });
  }

  /** False when too many wait. */
  #send(series: Series): boolean {
    if (this.#waiting.size >= maxWaiting && !this.#waiting.has(series)) return false;
    this.#waiting.add(series);
    this.#sending ??= this.#sendAll();
    return true;
  }

  async #sendAll(): Promise<void> {
    for (let series = this.#next(); series !== undefined; series = this.#next()) {
      if (series.count === series.toldCount) {
        // It was on its way to the server when it was sent once more.
        this.#waiting.delete(series);
        continue;
      }
      await this.#sleep(this.#total.waitMs());
      if (this.#stop.signal.aborted) break;
      this.#total.take();
      this.#waiting.delete(series);
      await this.#tell(series);
    }
    this.#dropped += this.#waiting.size;
    this.#waiting.clear();
    // With nothing in between: whatever comes from now on starts anew.
    this.#sending = undefined;
  }

  #next(): Series | undefined {
    const [first] = this.#waiting;
    return first;
  }

  async #tell(series: Series): Promise<void> {
    const { clock, random } = this.#options;
    const { count } = series;
    series.everyMs = series.toldCount < 2 ? tellEvery.firstMs : Math.min(tellEvery.maxMs, series.everyMs * 2);
    series.tellAt = clock.monotonic() + series.everyMs;
    for (let failures = 1; ; failures += 1) {
      try {
        await this.#writer.write(series, count);
        series.toldCount = count;
        this.#failures = 0;
        return;
      } catch (error) {
        const isOver = this.#stop.signal.aborted || failures === attempts;
        if (isOver || errorCodeOf(error) !== 'KUBE_UNAVAILABLE') {
          this.#drop(error);
          return;
        }
        await this.#sleep(backoffMs(failures, random, delays));
      }
    }
  }

  /** A count that was not told is not told any more. */
  #forget(series: Series): void {
    if (series.count > series.toldCount && !this.#waiting.has(series)) this.#dropped += 1;
  }

  #drop(error: unknown): void {
    this.#dropped += 1;
    this.#failures += 1;
    const level = this.#failures === 1 ? 'warn' : 'debug';
    this.#options.logger[level]({ err: error }, 'an event was not told');
  }

  #sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#stop.signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, end);
      this.#stop.signal.addEventListener('abort', end);
    });
  }
}
