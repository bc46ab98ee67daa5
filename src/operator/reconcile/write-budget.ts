import type { ObjectKey } from '../../api/names.ts';
import type { Clock } from '../../time/clock.ts';
import type { ControlledKind } from './controller.ts';
import { Spread } from './spread.ts';

/** What of a status is to be written. Decision: programs act on it, or a person must see it. */
export type News = 'Decision' | 'Observation';

/**
 * How often statuses of one kind are written: of one object not before `pauseMs` after any other write of it, of all together
 * `perSecond` in the long run and `burst` at once after a rest.
 */
type Rate = { readonly pauseMs: number; readonly perSecond: number; readonly burst: number };
/** AtRest: observations of objects of which nobody waits for anything; absent: they wait with those of the others. */
type Rates = Readonly<Record<News, Rate>> & { readonly AtRest?: Rate };

const atOnce = { pauseMs: 0, perSecond: Number.POSITIVE_INFINITY, burst: 1 };
/** A thousand objects of which something is decided together are told of within 45 seconds. */
const paced = { pauseMs: 1000, perSecond: 20, burst: 100 };

/**
 * Observations of all kinds together are 4.75 a second: with a step of a rollout and a flap of a link in every second, which
 * are 5 writes, and the renewals of the lease that is less than ten.
 */
export const writeRates = {
  /** 20 runtimes that change all the time are written each 10 seconds, 1,000 each 500; a hundred at rest at once. */
  AdapterRuntime: { Decision: paced, Observation: { pauseMs: 10_000, perSecond: 2, burst: 100 } },
  /** A runtime that goes or comes for good moves the counts of all Adapters that it should have. */
  Adapter: { Decision: atOnce, Observation: { pauseMs: 1000, perSecond: 1, burst: 20 } },
  /** Ten rollouts that change all the time are written each 10 seconds, 200 each 200; those at rest never delay them. */
  AdapterRollout: {
    Decision: atOnce,
    Observation: { pauseMs: 10_000, perSecond: 1, burst: 20 },
    AtRest: { pauseMs: 10_000, perSecond: 0.25, burst: 20 },
  },
  /** Each runtime that takes a plan over moves the counts of all routes that it has not had before. */
  AdapterRoute: { Decision: paced, Observation: { pauseMs: 1000, perSecond: 0.5, burst: 20 } },
} as const satisfies Record<ControlledKind, Rates>;

/** Observations of all kinds together, a second in the long run. */
export const observationsPerSecond = Object.values<Rates>(writeRates).reduce(
  (sum, { Observation, AtRest }) => sum + Observation.perSecond + (AtRest?.perSecond ?? 0),
  0,
);

/** Monotonic times. */
type Turn = {
  readonly uid: string;
  writtenAt: number;
  place: { readonly news: News; readonly at: number } | undefined;
};

/**
 * When each object of one kind may be written, so that a fleet does not cost more writes the larger it is.
 *
 * Guarantees:
 * - What is only observed is written so often in any time, however many objects there are.
 * - Decisions have a rate of their own and never wait for observations.
 * - Who waits has a place and keeps it, so nobody is passed over: n objects that change all the time are each written
 *   once in n / `perSecond` seconds, or once in `pauseMs` if that is longer.
 * - There is no queue of states: who has a turn writes the newest one.
 */
export class WriteBudget {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #rates: Rates;
  readonly #places: Readonly<Record<News, Spread>>;
  readonly #turns = new Map<ObjectKey, Turn>();

  constructor(clock: Pick<Clock, 'monotonic'>, rates: Rates) {
    this.#clock = clock;
    this.#rates = rates;
    this.#places = {
      Decision: new Spread(clock, rates.Decision),
      Observation: new Spread(clock, rates.Observation),
    };
  }

  /** Milliseconds until the object may be written. 0: now, which takes its place; `written` follows unless the write fails. */
  waitMs(key: ObjectKey, uid: string, news: News): number {
    const now = this.#clock.monotonic();
    const turn = this.#turnOf(key, uid);
    const restMs = turn.writtenAt + this.#rates[news].pauseMs - now;
    if (restMs > 0) return restMs;
    if (turn.place?.news !== news) turn.place = { news, at: now + this.#places[news].delayOf(key) };
    const waitMs = Math.max(0, turn.place.at - now);
    // A write that fails has used its place as well: places do not pile up while the API server takes none.
    if (waitMs === 0) turn.place = undefined;
    return waitMs;
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
