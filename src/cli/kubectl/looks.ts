import { setTimeout as sleep } from 'node:timers/promises';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import { textOf } from './output.ts';

/**
 * Looks now and every `everyMs` milliseconds until its user has seen enough. An API server that goes away after the
 * first look is waited for, and that is said once on stderr.
 * @throws those of `look`; the reason of the signal
 */
export const looks = async function* <T>(
  look: () => Promise<T>,
  everyMs: number,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  let isAway = false;
  yield await look();
  for (;;) {
    await sleep(everyMs, undefined, signal === undefined ? {} : { signal });
    try {
      yield await look();
      isAway = false;
    } catch (error) {
      if (errorCodeOf(error) !== 'KUBE_UNAVAILABLE') throw error;
      if (!isAway) process.stderr.write(`${textOf(error)} Looking again until it answers.\n`);
      isAway = true;
    }
  }
};
