import { AdaptletError } from '../errors/adaptlet-error.ts';
import { backoffMs } from '../time/backoff.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';
import { patienceMs, type RetryBudget } from './retry-budget.ts';

/** When {@link withRetries} tries again, and how often. */
export type RetryOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Attempts in a row without progress before giving up. */
  readonly attempts: number;
  /** What all who ask share. Absent: attempts alone count. */
  readonly budget?: RetryBudget;
};

const delays = { firstMs: 250, maxMs: 30_000 };
type Attempts = {
  /** Whom the attempts ask, for the budget. */
  readonly host: string;
  /** Whether the last attempt got further than all before: then the count starts again. Default: never. */
  readonly progressed?: () => boolean;
};

/**
 * Runs `attempt` until it succeeds, as long as it fails with REGISTRY_UNAVAILABLE, and no sooner than the server asks for
 * (Retry-After); one that asks for more than {@link patienceMs} is left to the caller.
 */
export const withRetries = async <T>(
  { clock, random, attempts, budget }: RetryOptions,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  { host, progressed = () => false }: Attempts = { host: '' },
): Promise<T> => {
  for (let failed = 0; ; ) {
    try {
      await budget?.rested(host, signal);
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof AdaptletError) || error.code !== 'REGISTRY_UNAVAILABLE') throw error;
      const { retryAfterMs = 0 } = error;
      budget?.rest(host, retryAfterMs);
      const isFurther = progressed();
      failed = isFurther ? 1 : failed + 1;
      if (failed >= attempts || retryAfterMs > patienceMs) throw error;
      // A link that breaks again and again is no fault of the host, as long as it brings something.
      if (!isFurther && budget?.spend(host) === false) throw error;
      await pause(clock, Math.max(backoffMs(failed, random, delays), retryAfterMs), signal);
    }
  }
};
