import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../support/random.ts';
import type { Reference } from './reference.ts';
import type { Report } from './report.ts';

/** Waits; false when the soak is over, which ends the wait. */
export type Pause = (ms: number) => Promise<boolean>;

export type DisturbanceParts = {
  readonly reference: Reference;
  readonly report: Report;
  readonly random: Seeded;
  /** Sends one request; resolves once its answer was compared. `hot`: see {@link Phase}. */
  readonly send: (hot: number) => Promise<void>;
  /** False: requests would fail, as what is under test was killed. */
  readonly isReady: () => boolean;
  /** Kills the engine process; resolves once there is another one. */
  readonly kill: () => Promise<void>;
  /** What else goes on until it is over. */
  readonly others: readonly ((pause: Pause) => Promise<void>)[];
};

export type DisturbanceOptions = {
  readonly seconds: number;
  /** False: not everything has happened yet, and it goes on, for at most five times as long. A busy machine needs that. */
  readonly isEnough?: (report: Report) => boolean;
  /** Mean time between two kills of the engine process. */
  readonly killEveryMs: number;
  /** Requests per second while traffic is even. */
  readonly evenRate: number;
  /** Called once a minute. */
  readonly onMinute?: (report: Report) => void;
};

/** Answers that wait for their comparison before no more requests are sent: so many seconds of even traffic. */
const uncomparedSeconds = 5;
const leastUncompared = 24;
/** It is over after so many failures: more say nothing new. */
const mostFailures = 5;
const longest = 5;
const lookMs = 200;
const minuteMs = 60_000;

/** A few seconds of traffic of one kind. */
export type Phase = {
  /** Of the even rate. */
  readonly factor: number;
  /** Share of the requests that go to one adapter: rows of one adapter are run in another way than mixed ones. */
  readonly hot: number;
  readonly mostMs: number;
};

const phases: readonly Phase[] = [
  { factor: 0.3, hot: 0, mostMs: 2000 },
  { factor: 1, hot: 0, mostMs: 4000 },
  { factor: 1, hot: 0.9, mostMs: 4000 },
  { factor: 2, hot: 0, mostMs: 4000 },
  // More at once than there are places.
  { factor: 10, hot: 0.3, mostMs: 700 },
];

/** Time to the next of events that come at random, this far apart in the mean. */
export const exponential = (random: Seeded, meanMs: number): number => -Math.log(1 - random.next()) * meanMs;

/** Everything that goes on at the same time in a soak. */
export class Disturbance {
  readonly #parts: DisturbanceParts;
  readonly #options: DisturbanceOptions;
  readonly #over = new AbortController();
  readonly #answers = new Set<Promise<void>>();

  constructor(parts: DisturbanceParts, options: DisturbanceOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Resolves once the time is over and every answer was compared. */
  async run(): Promise<void> {
    const end = this.#end();
    const others = this.#parts.others.map((other) => other(this.#pause));
    try {
      await Promise.all([this.#arrivals(), this.#kills(), this.#minutes(), ...others]);
      await Promise.all(this.#answers);
    } finally {
      this.#over.abort();
      await end;
    }
  }

  async #end(): Promise<void> {
    const { seconds, isEnough = () => true } = this.#options;
    const from = performance.now();
    const share = (): number => (performance.now() - from) / (seconds * 1000);
    while (share() < 1 || (share() < longest && !isEnough(this.#parts.report)))
      if (!(await this.#pause(Math.min(lookMs, seconds * 1000)))) return;
    this.#over.abort();
  }

  readonly #pause: Pause = async (ms) => {
    const { signal } = this.#over;
    if (this.#parts.report.failures.length >= mostFailures) this.#over.abort();
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  };

  async #arrivals(): Promise<void> {
    const { random } = this.#parts;
    for (;;) {
      const phase = random.pick(phases);
      const until = performance.now() + random.between(300, phase.mostMs);
      const meanMs = 1000 / (this.#options.evenRate * phase.factor);
      do {
        if (!(await this.#pause(exponential(random, meanMs)))) return;
        if (await this.#ready()) this.#send(phase);
      } while (performance.now() < until);
    }
  }

  /** Waits until requests can be answered and the reference has not fallen too far behind. */
  async #ready(): Promise<boolean> {
    const { isReady, reference } = this.#parts;
    const mostUncompared = Math.max(leastUncompared, this.#options.evenRate * uncomparedSeconds);
    if (reference.waiting > mostUncompared)
      while (reference.waiting > mostUncompared / 2 && (await this.#pause(20)));
    while (!isReady() && (await this.#pause(20)));
    return !this.#over.signal.aborted;
  }

  #send({ hot }: Phase): void {
    const { report, send } = this.#parts;
    const answer = send(hot).catch((error: unknown) => {
      report.fail({ kind: 'unexpected error', what: String(error), details: {} });
    });
    this.#answers.add(answer);
    void answer.finally(() => this.#answers.delete(answer));
  }

  async #kills(): Promise<void> {
    const { random, report, kill } = this.#parts;
    while (await this.#pause(this.#options.killEveryMs * random.between(0.2, 1.8))) {
      report.counts.kills += 1;
      await kill();
    }
  }

  async #minutes(): Promise<void> {
    while (await this.#pause(minuteMs)) this.#options.onMinute?.(this.#parts.report);
  }
}
