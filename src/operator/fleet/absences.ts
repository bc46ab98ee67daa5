import type { Clock } from '../../time/clock.ts';
import type { RuntimeKey } from './fleet.ts';

/** A runtime that no replica has for so long is shown as disconnected. */
export const disconnectedAfterMs = 10_000;
/** And so long at most, where many are away and come back one after another. */
export const longestAbsenceMs = 60_000;
/** So many away at once are a crowd: more than a twentieth of all that are not shown as disconnected, and more than this. */
const crowd = 16;
const crowdShare = 1 / 20;

type Absence = {
  /** Monotonic time. */
  readonly since: number;
  readonly isOver: () => void;
  stop: () => void;
};

/**
 * Runtimes that nobody has at this moment, and when each of them is shown as disconnected.
 *
 * Links of many that are cut at once come back as fast as an operator takes them. Who waits for its turn there is not away, and to show it as
 * such costs the operator a write and a look at each of its rollouts, twice, while others wait. Crowds are of a whole fleet, whatever namespace
 * their runtimes are in.
 *
 * Guarantees: a runtime that comes back within 10 s was never away; one that does not is shown 10 s after it left, or after the last
 * one of a crowd came back, and a minute after it left at most.
 */
export class Absences {
  readonly #clock: Clock;
  readonly #runtimes: () => number;
  readonly #away = new Map<RuntimeKey, Absence>();
  /** When one came back that was away with a crowd. Monotonic. */
  #returnedAt = Number.NEGATIVE_INFINITY;

  /** `runtimes`: how many there are that are not shown as disconnected. */
  constructor(clock: Clock, runtimes: () => number) {
    this.#clock = clock;
    this.#runtimes = runtimes;
  }

  /** Nobody has it. `isOver` is called when it is away for too long, unless it comes back before. */
  begin(key: RuntimeKey, isOver: () => void): void {
    this.#away.get(key)?.stop();
    const absence = { since: this.#clock.monotonic(), isOver, stop: () => undefined };
    this.#away.set(key, absence);
    this.#wait(key, absence);
  }

  /** Somebody has it. `goesOn`: it is the process that left: one that was started anew says nothing of the links of others. */
  end(key: RuntimeKey, goesOn: boolean): void {
    const absence = this.#away.get(key);
    if (absence === undefined) return;
    absence.stop();
    if (goesOn && this.#away.size > Math.max(crowd, this.#runtimes() * crowdShare))
      this.#returnedAt = this.#clock.monotonic();
    this.#away.delete(key);
  }

  close(): void {
    for (const { stop } of this.#away.values()) stop();
    this.#away.clear();
  }

  #wait(key: RuntimeKey, absence: Absence): void {
    const { since } = absence;
    const dueAt = Math.min(Math.max(since, this.#returnedAt) + disconnectedAfterMs, since + longestAbsenceMs);
    const leftMs = dueAt - this.#clock.monotonic();
    if (leftMs > 0) {
      absence.stop = this.#clock.after(leftMs, () => this.#wait(key, absence));
      return;
    }
    this.#away.delete(key);
    absence.isOver();
  }
}
