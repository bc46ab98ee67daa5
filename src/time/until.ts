import type { Clock } from './clock.ts';

/**
 * Resolves with true once `holds` does, which is looked at now and whenever `wake` says so; with false after `ms`.
 * @throws the reason of the signal
 */
export const until = (
  holds: () => boolean,
  wake: (look: () => void) => () => void,
  { clock, ms, signal }: { readonly clock: Clock; readonly ms: number; readonly signal: AbortSignal },
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    if (holds()) {
      resolve(true);
      return;
    }
    const stopWaking = wake(() => {
      if (holds()) finish(() => resolve(true));
    });
    const stopTimer = clock.after(ms, () => finish(() => resolve(holds())));
    const aborted = (): void => finish(() => reject(signal.reason as Error));
    const finish = (how: () => void): void => {
      stopWaking();
      stopTimer();
      signal.removeEventListener('abort', aborted);
      how();
    };
    signal.addEventListener('abort', aborted, { once: true });
  });
