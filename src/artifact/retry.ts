import { AdaptletError } from '../errors/adaptlet-error.ts';
import { backoffMs } from '../time/backoff.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';

/** When {@link withRetries} tries again, and how often. */
export type RetryOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Attempts in a row without progress before giving up. */
  readonly attempts: number;
};

const delays = { firstMs: 250, maxMs: 30_000 };
/** A server may ask for more patience than that; the caller's own retry has more. */
const maxRetryAfterMs = 60_000;

/** What the server asks for (Retry-After) counts where it is longer. */
const delayOf = (failures: number, error: AdaptletError, random: () => number): number =>
  Math.max(backoffMs(failures, random, delays), Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs));

/**
 * Runs `attempt` until it succeeds, as long as it fails with REGISTRY_UNAVAILABLE. `progressed` says whether the last
 * attempt got further than all before: then the count starts again.
 */
export const withRetries = async <T>(
  { clock, random, attempts }: RetryOptions,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> => {
  for (let failed = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof AdaptletError) || error.code !== 'REGISTRY_UNAVAILABLE') throw error;
      failed = progressed() ? 1 : failed + 1;
      if (failed >= attempts) throw error;
      await pause(clock, delayOf(failed, error, random), signal);
    }
  }
};
