import type { RuntimeKey } from '../fleet/fleet.ts';
import type { PresentRuntime, RuntimeSet } from '../reconcile/presence.ts';

const keyOf = (one: RuntimeKey | PresentRuntime): RuntimeKey => (typeof one === 'string' ? one : one.key);

/** For tests: these runtimes, in the order of their names. */
export const setOf = (...runtimes: readonly (RuntimeKey | PresentRuntime)[]): RuntimeSet => {
  return {
    size: runtimes.length,
    keys: () => runtimes.map(keyOf).sort(),
    each: () => runtimes.flatMap((one) => (typeof one === 'string' ? [] : [one])),
    only: (names) => setOf(...runtimes.filter((one) => names.has(keyOf(one)))),
    without: (names) => setOf(...runtimes.filter((one) => !names.has(keyOf(one)))),
  };
};
