import type { Clock } from '../../../time/clock.ts';
import { unlessAborted } from '../../../time/unless-aborted.ts';

/** Milliseconds after which a party that waits has its turn, whoever else has one. */
const longestWaitMs = 80_000;

type Turn = {
  /** Those of the party that are not done. */
  takers: number;
  readonly cancelEnd: () => void;
};

type Waiting = {
  /** Of the turn that it waits for. */
  readonly ms: number;
  readonly takers: Set<(turn: Turn) => void>;
};

/** Turns of parties that are to run apart from each other: some at a time, first come, first served. Those of one party share its turn. */
export class Turns {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #waiting = new Map<unknown, Waiting>();
  readonly #turns = new Map<unknown, Turn>();
  #places = 1;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** How many have a turn at a time from now on. */
  set places(places: number) {
    this.#places = places;
    this.#next();
  }

  /**
   * Waits for a turn of the party, 80 seconds at most. The turn is over when the results of all that share it were called, or after `ms`.
   * @throws the reason of the signal
   */
  async take(ms: number, signal: AbortSignal, party: unknown = Symbol('alone')): Promise<() => void> {
    const turn = this.#joined(party) ?? (await this.#granted(party, ms, signal));
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      this.#leave(party, turn);
    };
  }

  #joined(party: unknown): Turn | undefined {
    const turn = this.#turns.get(party);
    if (turn !== undefined) turn.takers += 1;
    return turn;
  }

  async #granted(party: unknown, ms: number, signal: AbortSignal): Promise<Turn> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { takers } = this.#waiting.get(party) ?? { takers: new Set() };
    let granted: Turn | undefined;
    const taker = (turn: Turn): void => {
      granted = turn;
      resolve();
    };
    takers.add(taker);
    this.#waiting.set(party, { ms, takers });
    this.#next();
    const cancelWait = this.#clock.after(longestWaitMs, () => this.#grant(party));
    try {
      await unlessAborted(promise, signal);
    } catch (error) {
      takers.delete(taker);
      if (granted !== undefined) this.#leave(party, granted);
      else if (takers.size === 0) this.#waiting.delete(party);
      throw error;
    } finally {
      cancelWait();
    }
    if (granted === undefined) throw new Error('a turn was taken that was not given');
    return granted;
  }

  #next(): void {
    for (const party of this.#waiting.keys()) {
      if (this.#turns.size >= this.#places) return;
      this.#grant(party);
    }
  }

  #grant(party: unknown): void {
    const waiting = this.#waiting.get(party);
    if (waiting === undefined) return;
    this.#waiting.delete(party);
    const turn: Turn = {
      takers: waiting.takers.size,
      cancelEnd: this.#clock.after(waiting.ms, () => this.#end(party, turn)),
    };
    this.#turns.set(party, turn);
    for (const taker of waiting.takers) taker(turn);
  }

  #leave(party: unknown, turn: Turn): void {
    turn.takers -= 1;
    if (turn.takers === 0) this.#end(party, turn);
  }

  /** Whoever is not done goes on without one. */
  #end(party: unknown, turn: Turn): void {
    if (this.#turns.get(party) !== turn) return;
    turn.cancelEnd();
    this.#turns.delete(party);
    this.#next();
  }
}
