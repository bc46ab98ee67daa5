import { startDiskThread } from '../../artifact/disk-thread.ts';
import type { ContentStore } from '../../artifact/store.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { pause } from '../../time/pause.ts';
import type { Residency } from '../residency/manager.ts';

/** From the end of one check of everything to the next one, in milliseconds. */
const betweenMs = 24 * 3_600_000;
/** After one that did not end. */
const afterFailureMs = 600_000;

export type ScrubParts = {
  readonly store: Pick<ContentStore, 'scrub'>;
  /** Brings back what was lost. */
  readonly residency: Pick<Residency, 'lostOnDisk'>;
  /** Bytes read per second at most. */
  readonly rate: number;
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn' | 'error'>;
};

/**
 * Reads every stored blob, again and again, in the background, off the serving thread and slowly. What is damaged is set aside and
 * fetched again; what is in RAM serves on. The stack stops it.
 */
export const scrubInBackground = (
  { store, residency, rate, clock, log }: ScrubParts,
  stack: AsyncDisposableStack,
): void => {
  const stop = new AbortController();
  const reader = stack.use(startDiskThread({ bytesPerSecond: rate }));
  const once = async (): Promise<number> => {
    try {
      await store.scrub(stop.signal, {
        reader,
        onDamage: (damage) => {
          log.warn(damage, 'a stored artifact is damaged and was set aside');
          residency.lostOnDisk([damage.digest]);
        },
      });
      return betweenMs;
    } catch (error) {
      if (!stop.signal.aborted) log.error({ err: error }, 'the check of stored artifacts did not end');
      return afterFailureMs;
    }
  };
  const scrub = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const waitMs = await once();
      await pause(clock, waitMs, stop.signal).catch(() => undefined);
    }
  };
  const scrubbing = scrub();
  stack.defer(async () => {
    stop.abort();
    await scrubbing;
  });
};
