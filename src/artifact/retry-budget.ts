import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';

type Host = {
  /** Retries that may be spent, as of `at`. */
  left: number;
  at: number;
  /** Monotonic time before which the host does not want to be asked. */
  restsUntil: number;
};

/** Most hosts that are remembered: tenants name them. */
export const maxHosts = 256;
/** A host that rests for longer is left to the caller's own retry: a fetch that is silent for a minute counts as stalled. */
export const patienceMs = 30_000;

/**
 * How often a node asks a host again that failed, whatever number of downloads ask it: a burst of retries, then `perMinute`. And what the
 * host itself wants (Retry-After), which holds for all of them.
 */
export class RetryBudget {
  readonly #perMinute: number;
  readonly #clock: Clock;
  /** In the order of their use. */
  readonly #hosts = new Map<string, Host>();

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  get size(): number {
    return this.#hosts.size;
  }

  /** Takes a retry; false: there is none left. */
  spend(name: string): boolean {
    const host = this.#of(name);
    if (host.left < 1) return false;
    host.left -= 1;
    return true;
  }

  /** The host does not want to be asked for so many milliseconds. */
  rest(name: string, ms: number): void {
    if (ms <= 0) return;
    const host = this.#of(name);
    host.restsUntil = Math.max(host.restsUntil, this.#clock.monotonic() + ms);
  }

  /**
   * Resolves once the host may be asked.
   * @throws REGISTRY_UNAVAILABLE when that takes longer than {@link patienceMs}; the reason of `signal`
   */
  async rested(name: string, signal: AbortSignal): Promise<void> {
    const ms = (this.#hosts.get(name)?.restsUntil ?? 0) - this.#clock.monotonic();
    if (ms <= 0) return;
    if (ms > patienceMs)
      throw new AdaptletError('REGISTRY_UNAVAILABLE', `${name} asked to be left alone for a while`, {
        retryAfterMs: ms,
      });
    await pause(this.#clock, ms, signal);
  }

  #of(name: string): Host {
    const now = this.#clock.monotonic();
    const known = this.#hosts.get(name) ?? { left: this.#perMinute, at: now, restsUntil: 0 };
    this.#hosts.delete(name);
    this.#hosts.set(name, known);
    known.left = Math.min(this.#perMinute, known.left + ((now - known.at) / 60_000) * this.#perMinute);
    known.at = now;
    for (const [oldest] of this.#hosts) {
      if (this.#hosts.size <= maxHosts) break;
      this.#hosts.delete(oldest);
    }
    return known;
  }
}
