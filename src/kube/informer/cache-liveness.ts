import type { Clock } from '../../time/clock.ts';

/** Whether a cache can be relied on. */
export type Health = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export type LivenessLimits = {
  /**
   * Milliseconds for which lists and watches may fail, and for which a cache may be lost. Longer than an API server takes
   * to start again.
   */
  readonly failingMs: number;
  /** Milliseconds without an event, a bookmark or a list. The API server sends a bookmark about once per minute. */
  readonly silentMs: number;
};

const defaultLimits: LivenessLimits = { failingMs: 30_000, silentMs: 300_000 };

type Failing = { readonly since: number; readonly reason: string };

/** How a reflector is doing: since when it fails, and when the server last said something about the collection. */
export class Liveness {
  readonly #clock: Clock;
  readonly #limits: LivenessLimits;
  #hasSynced = false;
  #heardAt: number;
  #failing: Failing | undefined;
  #lost: Failing | undefined;

  constructor(clock: Clock, limits: Partial<LivenessLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...defaultLimits, ...limits };
    this.#heardAt = clock.monotonic();
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
    this.#failing = undefined;
    this.#lost = undefined;
  }
  synced(): void {
    this.#hasSynced = true;
    this.heard();
  }
  /** The server answers again. It has not yet said anything, so a connection that only opens still goes silent. */
  recovered(): void {
    this.#failing = undefined;
  }
  failed(reason: string): void {
    this.#failing = { since: this.#failing?.since ?? this.#clock.monotonic(), reason };
  }
  /** A failure that no further try mends: only a new process, which reads everything anew. */
  failedForGood(reason: string): void {
    this.failed(reason);
    this.#lost = { since: this.#lost?.since ?? this.#clock.monotonic(), reason };
  }

  /** Why only a new process mends it, once that is so for longer than `failingMs`. */
  lost(): string | undefined {
    if (this.#lost === undefined) return undefined;
    return this.#clock.monotonic() - this.#lost.since > this.#limits.failingMs
      ? this.#lost.reason
      : undefined;
  }

  health(): Health {
    const now = this.#clock.monotonic();
    const { failingMs, silentMs } = this.#limits;
    if (!this.#hasSynced) {
      const why = this.#failing === undefined ? '' : `: ${this.#failing.reason}`;
      return { ok: false, reason: `no list was read yet${why}` };
    }
    if (this.#failing !== undefined && now - this.#failing.since > failingMs) {
      return { ok: false, reason: this.#failing.reason };
    }
    if (now - this.#heardAt > silentMs) {
      return { ok: false, reason: `the API server has said nothing for ${now - this.#heardAt} ms` };
    }
    return { ok: true };
  }
}
