import { setTimeout as sleep } from 'node:timers/promises';
import type { Seeded } from '../support/random.ts';

/** Waits a random time, at most until the signal fires. */
export const rest = async (
  random: Seeded,
  [least, most]: readonly [least: number, most: number],
  signal: AbortSignal,
): Promise<void> => {
  await sleep(random.between(least, most), undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
};

/** One of these, each as often as its weight says. */
export const choose = <T>(random: Seeded, from: readonly (readonly [weight: number, choice: T])[]): T => {
  let left = random.next() * from.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, choice] of from) {
    left -= weight;
    if (left < 0) return choice;
  }
  throw new RangeError('there is nothing to choose from');
};
