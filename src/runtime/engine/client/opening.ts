import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';

/** Milliseconds that each part of opening a base model took. */
export type OpeningTimes = Readonly<Record<string, number>>;

/** What takes longer is told again. */
const sayAgainMs = 15_000;

export type OpeningParts = {
  readonly clock: Clock;
  readonly logger: Log;
  /** Milliseconds that one part may take. */
  readonly limitMs: number;
  /** Called once, with the part that takes longer. */
  readonly onStuck: (what: string) => void;
};

/** Follows a process that opens a base model, from its start: what it does, and for how long. */
export class Opening {
  readonly #parts: OpeningParts;
  readonly #times: Record<string, number> = {};
  #now: { readonly what: string; readonly since: number } | undefined;
  #cancelReminder: () => void = () => undefined;
  #cancelLimit: () => void;

  constructor(parts: OpeningParts) {
    this.#parts = parts;
    this.#cancelLimit = this.#limit('its start');
  }

  doing(what: string): void {
    this.#finish();
    this.#now = { what, since: this.#parts.clock.monotonic() };
    this.#parts.logger.info({ doing: what }, 'the base model is being loaded');
    this.#remind();
    this.#cancelLimit = this.#limit(what);
  }

  /** It is open, or the process is gone. */
  end(): OpeningTimes {
    this.#finish();
    return this.#times;
  }

  #limit(what: string): () => void {
    const { clock, limitMs, onStuck } = this.#parts;
    return clock.after(limitMs, () => onStuck(what));
  }

  #remind(): void {
    this.#cancelReminder = this.#parts.clock.after(sayAgainMs, () => {
      if (this.#now === undefined) return;
      const ms = Math.round(this.#parts.clock.monotonic() - this.#now.since);
      this.#parts.logger.info({ doing: this.#now.what, ms }, 'the base model is still being loaded');
      this.#remind();
    });
  }

  #finish(): void {
    this.#cancelReminder();
    this.#cancelLimit();
    if (this.#now === undefined) return;
    const { what, since } = this.#now;
    this.#times[what] = (this.#times[what] ?? 0) + Math.round(this.#parts.clock.monotonic() - since);
    this.#now = undefined;
  }
}
