import type { Report } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { reportSince, wholeReport } from './report-diff.ts';
import type { Snapshot } from './snapshot.ts';

/** Least milliseconds between two reports of changed states. */
const stateMs = 50;
/** Least milliseconds between two reports of counts alone, or of how far a fetch is. */
const counterMs = 2_000;

export type ReportsParts = {
  readonly clock: Clock;
  readonly snapshot: () => Snapshot;
  /** A report is due: `next` has it. */
  readonly due: () => void;
};

/**
 * When to report, and what: first everything, then what changed since. A report is made at the moment when it can be
 * sent, so that what changes meanwhile is in it. A runtime where nothing changes sends nothing.
 */
export class Reports {
  readonly #parts: ReportsParts;
  /** What the other end knows; undefined before the first report of a stream. */
  #told: Snapshot | undefined;
  #open = false;
  #lastState = Number.NEGATIVE_INFINITY;
  #cancelState: (() => void) | undefined;
  #cancelCounters: (() => void) | undefined;
  #countersDue = false;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** A stream begins, whose other end knows nothing. */
  open(): void {
    this.close();
    this.#open = true;
  }

  close(): void {
    this.#open = false;
    this.#told = undefined;
    this.#countersDue = false;
    this.#cancelState?.();
    this.#cancelCounters?.();
    this.#cancelState = undefined;
    this.#cancelCounters = undefined;
  }

  /** A state changed: an adapter's, a rollout's, the runtime's. */
  changed(): void {
    if (!this.#open || this.#cancelState !== undefined) return;
    const { clock, due } = this.#parts;
    const wait = Math.max(0, this.#lastState + stateMs - clock.monotonic());
    this.#cancelState = clock.after(wait, () => {
      this.#cancelState = undefined;
      this.#lastState = clock.monotonic();
      due();
    });
  }

  /** A request was answered. */
  counted(): void {
    if (!this.#open || this.#cancelCounters !== undefined) return;
    const { clock, due } = this.#parts;
    this.#cancelCounters = clock.after(counterMs, () => {
      this.#cancelCounters = undefined;
      this.#countersDue = true;
      due();
    });
  }

  /** What to send now; undefined: nothing. It counts as sent. */
  next(): Report | undefined {
    if (!this.#open) return undefined;
    const now = this.#parts.snapshot();
    // Bytes arrive without a change of state.
    const isArriving = now.baseModel.state === 'Downloading';
    if (isArriving || [...now.adapters.values()].some(({ state }) => state === 'Fetching')) this.counted();
    const told = this.#told;
    if (told === undefined) {
      this.#told = now;
      return wholeReport(now);
    }
    const since = reportSince(told, now, this.#countersDue);
    this.#countersDue = false;
    if (since === undefined) return undefined;
    this.#told = since.told;
    return since.report;
  }
}
