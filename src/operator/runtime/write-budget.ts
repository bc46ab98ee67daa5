import type { ObjectKey } from '../../api/names.ts';
import type { Clock } from '../../time/clock.ts';
import { Spread } from '../reconcile/spread.ts';

/** What of a status is to be written. Decision: programs act on it, or a person must see it. */
export type News = 'Decision' | 'Observation';

/** Milliseconds between two writes of one object: of a decision after any, and of what is only observed after any. */
const pauseMs = { Decision: 1000, Observation: 10_000 } as const;

/** Writes a second of all objects together in the long run, and at once after a rest. */
const rates = {
  /** A thousand runtimes that come or go together are told of within 45 seconds. */
  Decision: { perSecond: 20, burst: 100 },
  /** 40 runtimes that change all the time are written each 10 seconds, 1,000 each 250; a hundred at rest at once. */
  Observation: { perSecond: 4, burst: 100 },
} as const;

/** Monotonic times. */
type Turn = {
  readonly uid: string;
  writtenAt: number;
  place: { readonly news: News; readonly at: number } | undefined;
};

/**
 * When each object may be written, so that a fleet does not cost more writes the larger it is.
 *
 * Guarantees:
 * - What is only observed is written so often in any time, however many objects there are.
 * - Decisions have a rate of their own and never wait for observations.
 * - Who waits has a place and keeps it, so nobody is passed over: n objects that change all the time are each written
 *   once in n / 4 seconds, or 10 if that is more.
 * - There is no queue of states: who has a turn writes the newest one.
 */
export class WriteBudget {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #places: Readonly<Record<News, Spread>>;
  readonly #turns = new Map<ObjectKey, Turn>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
    this.#places = {
      Decision: new Spread(clock, rates.Decision),
      Observation: new Spread(clock, rates.Observation),
    };
  }

  /** Milliseconds until the object may be written; 0: now, and `written` follows. */
  waitMs(key: ObjectKey, uid: string, news: News): number {
    const now = this.#clock.monotonic();
    const turn = this.#turnOf(key, uid);
    const restMs = turn.writtenAt + pauseMs[news] - now;
    if (restMs > 0) return restMs;
    if (turn.place?.news !== news) turn.place = { news, at: now + this.#places[news].delayOf(key) };
    return Math.max(0, turn.place.at - now);
  }

  written(key: ObjectKey, uid: string): void {
    this.#turns.set(key, { uid, writtenAt: this.#clock.monotonic(), place: undefined });
  }

  /** There is nothing to write any more. */
  settled(key: ObjectKey): void {
    const turn = this.#turns.get(key);
    if (turn !== undefined) turn.place = undefined;
  }

  /** The object is gone. */
  forget(key: ObjectKey): void {
    this.#turns.delete(key);
  }

  #turnOf(key: ObjectKey, uid: string): Turn {
    const known = this.#turns.get(key);
    if (known?.uid === uid) return known;
    const turn: Turn = { uid, writtenAt: Number.NEGATIVE_INFINITY, place: undefined };
    this.#turns.set(key, turn);
    return turn;
  }
}
