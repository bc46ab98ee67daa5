import type { Election } from '../kube/lease/election.ts';
import type { Clock } from '../time/clock.ts';
import type { Term } from './reconcile/controller.ts';
import type { RunningTerm } from './term.ts';

export type LeadershipParts = {
  /** Starts the controllers. */
  readonly start: (term: Term) => RunningTerm;
  readonly clock: Clock;
};

/**
 * Whether this replica leads, and the controllers that run for as long as it does. Before `join` it does not lead, and
 * nobody is known to.
 *
 * Guarantees: each term has controllers of its own; those of a former term are told to end before the next ones start.
 */
export class Leadership {
  readonly #parts: LeadershipParts;
  readonly #listeners = new Set<() => void>();
  #election: Election | undefined;
  #term: { readonly epoch: number; readonly running: RunningTerm } | undefined;
  #ending: Promise<void> = Promise.resolve();

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
  }

  get isLeader(): boolean {
    return this.#election?.isLeader ?? false;
  }
  get epoch(): number {
    return this.#election?.epoch ?? 0;
  }
  readonly holder = (): ReturnType<Election['holder']> => this.#election?.holder();

  gauges(): ReturnType<RunningTerm['gauges']> {
    return this.#term?.running.gauges() ?? [];
  }

  /** What the present term counted of rollouts. */
  eventCounts(): ReturnType<RunningTerm['eventCounts']> {
    return this.#term?.running.eventCounts() ?? [];
  }

  /** Calls back when something that this says may be different; the result ends that. */
  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Takes part in the election. Once. */
  join(election: Election): void {
    this.#election = election;
    election.onChange(() => this.#follow(election));
    election.start();
  }

  async close(): Promise<void> {
    this.#end();
    await this.#ending;
    await this.#election?.close();
  }

  #follow(election: Election): void {
    const { isLeader, epoch } = election;
    if (this.#term !== undefined && (!isLeader || this.#term.epoch !== epoch)) this.#end();
    if (isLeader && this.#term === undefined) {
      const { start, clock } = this.#parts;
      const term = { epoch, since: clock.monotonic(), fence: () => election.fence() };
      this.#term = { epoch, running: start(term) };
    }
    for (const listener of this.#listeners) listener();
  }

  #end(): void {
    if (this.#term === undefined) return;
    const { running } = this.#term;
    this.#term = undefined;
    this.#ending = this.#ending.then(() => running.close());
  }
}
