import type { Clock } from './clock.ts';
import { pause } from './pause.ts';

/** From one time of the day to another, in minutes after midnight; the end before the beginning is on the next day. */
export type BandwidthWindow = {
  readonly from: number;
  readonly to: number;
  /** 0: nothing is downloaded. */
  readonly bytesPerSecond: number;
};

export type BandwidthPlan = {
  /** The first that a time is in counts. */
  readonly windows: readonly BandwidthWindow[];
  /** At all other times. Infinity: no limit. */
  readonly otherwise: number;
  /** Of the times of the day: a name of the IANA database. */
  readonly timeZone: string;
};

/** Milliseconds between two looks while nothing may be downloaded. A change of the clock is felt within them. */
const lookMs = 5_000;
/** A wait that is shorter is left to the next one: timers are not finer. */
const slackMs = 10;

/** Whether a time of the day is in a window. Equal ends are the whole day. */
const isIn = ({ from, to }: BandwidthWindow, minute: number): boolean =>
  from < to ? minute >= from && minute < to : minute >= from || minute < to;

const minuteOfDay = (timeZone: string): ((ms: number) => number) => {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (ms) => {
    const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    return (parts.get('hour') ?? 0) * 60 + (parts.get('minute') ?? 0);
  };
};

/**
 * How fast a node downloads, all of it together, by the time of the day.
 *
 * Guarantees: what was taken within any time is at most what the limits of that time allow, and a second's worth beside it for each
 * who takes; who waits calls `alive` once in some seconds, as the other side is not to blame.
 */
export class Bandwidth {
  readonly #plan: BandwidthPlan;
  readonly #clock: Clock;
  readonly #minuteOf: (ms: number) => number;
  /** Monotonic time until which everything that was taken is through. */
  #busyUntil = Number.NEGATIVE_INFINITY;

  constructor(plan: BandwidthPlan, clock: Clock) {
    this.#plan = plan;
    this.#clock = clock;
    this.#minuteOf = minuteOfDay(plan.timeZone);
  }

  /** Bytes in a second, now. */
  get bytesPerSecond(): number {
    const { windows, otherwise } = this.#plan;
    if (windows.length === 0) return otherwise;
    const minute = this.#minuteOf(this.#clock.now());
    return windows.find((window) => isIn(window, minute))?.bytesPerSecond ?? otherwise;
  }

  /**
   * Resolves once something may be downloaded.
   * @throws the reason of `signal`
   */
  async open(signal: AbortSignal, alive: () => void): Promise<void> {
    while (this.bytesPerSecond <= 0) {
      alive();
      await pause(this.#clock, lookMs, signal);
    }
  }

  /**
   * Resolves once so many bytes are through. They may have come: who reads no more slows the sender down.
   * @throws the reason of `signal`
   */
  async take(bytes: number, signal: AbortSignal, alive: () => void): Promise<void> {
    for (let left = bytes; left > 0; ) {
      await this.open(signal, alive);
      const rate = this.bytesPerSecond;
      if (!Number.isFinite(rate)) return;
      // A second's worth at a time, so that a limit that rises is felt and nobody is silent for long.
      const piece = Math.min(left, Math.max(1, rate));
      const now = this.#clock.monotonic();
      this.#busyUntil = Math.max(this.#busyUntil, now) + (piece / rate) * 1000;
      left -= piece;
      if (this.#busyUntil - now < slackMs) continue;
      alive();
      await pause(this.#clock, this.#busyUntil - now, signal);
    }
  }
}
