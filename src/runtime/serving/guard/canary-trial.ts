import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Transition } from '../../residency/core.ts';
import type { Trial } from '../../state/memory.ts';

/** Unclean ends of the runtime in a row, each within a trial, after which the canary is taken for the cause. */
export const maxEnds = 3;
/** How long a canary answers, in milliseconds, before it is committed; and how long it is Resident before ends are forgotten. */
export const bakeMs = 60_000;

/** Of what an earlier process remembered: one that was on trial then, without the word of a shutdown, counts an end. */
export const afterRestart = (found: Trial): Trial =>
  found.state === 'OnTrial' ? { ...found, state: 'Idle', ends: found.ends + 1 } : found;

/** The trial of one canary: its record, and the times after which that changes by itself. */
export class CanaryTrial {
  readonly #clock: Clock;
  readonly #changed: () => void;
  #record: Trial;
  /** The disk says that it is on trial: only then may it be tried. */
  #isDurable = false;
  #hasAnswered = false;
  #timers: (() => void)[] = [];

  /** `changed` is called when the record has to be written. */
  constructor(record: Trial, clock: Clock, changed: () => void) {
    this.#record = record;
    this.#clock = clock;
    this.#changed = changed;
  }

  get record(): Trial {
    return this.#record;
  }

  /** It may be loaded and asked: the disk knows, or need not. */
  get isCovered(): boolean {
    return this.#record.state === 'Committed' || this.#isDurable;
  }

  /** Why the canary is to be held; undefined while it is not taken for the cause of anything. */
  get suspicion(): string | undefined {
    const { ends } = this.#record;
    return ends < maxEnds
      ? undefined
      : `the runtime ended ${ends} times in a row, without a shutdown, while this adapter was on trial`;
  }

  isOf(canary: { readonly digest: Digest; readonly attempt: number } | undefined): boolean {
    return canary?.digest === this.#record.digest && canary.attempt === this.#record.attempt;
  }

  /** It is on trial once the disk says so, which is told by {@link recorded}. */
  begin(isResident: boolean): void {
    const isFirst = this.#record.state !== 'OnTrial';
    this.#record = { ...this.#record, state: 'OnTrial' };
    if (isFirst && isResident) this.#bake();
  }

  /** The disk has the record. */
  recorded(): void {
    if (this.#record.state === 'OnTrial') this.#isDurable = true;
  }

  /** The canary answered a request: from the first one on its time to be committed runs. */
  answered(): void {
    if (this.#record.state !== 'OnTrial' || this.#hasAnswered) return;
    this.#hasAnswered = true;
    this.#after(() => this.commit());
  }

  /** The adapter changed its state. */
  transition({ from, to, cause }: Pick<Transition, 'from' | 'to' | 'cause'>): void {
    if (from === 'Resident' || to === 'Resident') this.stopTimers();
    if (to === 'Resident') this.#bake();
    if (to === 'Failed' || to === 'Remote') this.idle();
    // Where adapters take turns in RAM, it is back soon: the disk is not to be written with each turn.
    if (cause === 'Unloaded') this.#after(() => this.idle());
  }

  commit(): void {
    if (this.#record.state === 'Committed') return;
    this.stopTimers();
    this.#record = { ...this.#record, state: 'Committed', ends: 0 };
    this.#changed();
  }

  /** Nothing of it runs: an end of the runtime is not its fault. */
  idle(): void {
    if (this.#record.state !== 'OnTrial') return;
    this.stopTimers();
    this.#record = { ...this.#record, state: 'Idle' };
    this.#isDurable = false;
    this.#changed();
  }

  /** Its minutes are counted anew. */
  stopTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    this.#hasAnswered = false;
  }

  /** It is Resident: when it stays so, the ends before were of something else. */
  #bake(): void {
    this.#after(() => {
      if (this.#record.ends === 0) return;
      this.#record = { ...this.#record, ends: 0 };
      this.#changed();
    });
  }

  #after(run: () => void): void {
    this.#timers.push(this.#clock.after(bakeMs, run));
  }
}
