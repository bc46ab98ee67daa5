import type { ObjectKey } from '../../api/names.ts';
import type { Table } from './table.ts';

/** Milliseconds for which runtimes have lacked something of their plan; 0: they have all of it. */
export type Ages = { readonly p50: number; readonly p99: number; readonly max: number };

type Tables = Iterable<Pick<Table, 'followers' | 'touchedAt'>>;

/** For how many milliseconds each runtime has lacked something of its plan. */
export const agesByRuntime = function* (tables: Tables, now: number): Generator<[ObjectKey, number]> {
  for (const { followers, touchedAt } of tables)
    for (const { key, staleSince } of followers)
      yield [key, now - Math.min(staleSince ?? now, touchedAt ?? now)];
};

/** How old the plans are that runtimes have, over all of them. */
export const agesOf = (tables: Tables, now: number): Ages => {
  const ages = [...agesByRuntime(tables, now)].map(([, age]) => age).sort((a, b) => a - b);
  // The smallest age that is not below that share of them.
  const at = (share: number): number => ages[Math.max(0, Math.ceil(share * ages.length) - 1)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
};
