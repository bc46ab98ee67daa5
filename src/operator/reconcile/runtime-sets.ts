import type { RuntimeKey } from '../fleet/fleet.ts';
import type { RuntimeSet } from './presence.ts';

type Group = { readonly runtimes: RuntimeSet };

/** How many runtimes are in some groups. */
export const sizeOf = (groups: readonly Group[]): number =>
  groups.reduce((sum, { runtimes }) => sum + runtimes.size, 0);

/** Their names, in order. Takes a look at each of them. */
export const keysOf = (groups: readonly Group[]): readonly RuntimeKey[] => {
  const [first, ...more] = groups;
  if (first === undefined || more.length === 0) return first?.runtimes.keys() ?? [];
  return groups.flatMap(({ runtimes }) => runtimes.keys()).sort();
};

/** The first runtime of some groups that are not empty, by its name, with its group. */
export const firstOf = <G extends Group>(
  groups: readonly G[],
): { readonly key: RuntimeKey; readonly group: G } | undefined => {
  let first: { readonly key: RuntimeKey; readonly group: G } | undefined;
  for (const group of groups) {
    const [key] = group.runtimes.keys();
    if (key !== undefined && (first === undefined || key < first.key)) first = { key, group };
  }
  return first;
};
