import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';

/** Milliseconds that each part of opening a base model took. */
export type OpeningTimes = Readonly<Record<string, number>>;

/** What takes longer is told again. */
const sayAgainMs = 15_000;

/** Follows a process that opens a base model: what it does, and for how long. */
export class Opening {
  readonly #parts: { readonly clock: Clock; readonly logger: Log };
  readonly #times: Record<string, number> = {};
  #now: { readonly what: string; readonly since: number } | undefined;
  #cancel: () => void = () => undefined;

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Log }) {
    this.#parts = { clock, logger };
  }

  doing(what: string): void {
    this.#finish();
    this.#now = { what, since: this.#parts.clock.monotonic() };
    this.#parts.logger.info({ doing: what }, 'the base model is being loaded');
    this.#remind();
  }

  /** It is open, or the process is gone. */
  end(): OpeningTimes {
    this.#finish();
    return this.#times;
  }

  #remind(): void {
    this.#cancel = this.#parts.clock.after(sayAgainMs, () => {
      if (this.#now === undefined) return;
      const ms = Math.round(this.#parts.clock.monotonic() - this.#now.since);
      this.#parts.logger.info({ doing: this.#now.what, ms }, 'the base model is still being loaded');
      this.#remind();
    });
  }

  #finish(): void {
    this.#cancel();
    if (this.#now === undefined) return;
    const { what, since } = this.#now;
    this.#times[what] = (this.#times[what] ?? 0) + Math.round(this.#parts.clock.monotonic() - since);
    this.#now = undefined;
  }
}
