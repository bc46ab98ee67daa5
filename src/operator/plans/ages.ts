import type { Table } from './table.ts';

/** Milliseconds for which runtimes have lacked something of their plan; 0: they have all of it. */
export type Ages = { readonly p50: number; readonly p99: number; readonly max: number };

/** How old the plans are that runtimes have, over all of them. */
export const agesOf = (tables: Iterable<Pick<Table, 'followers' | 'touchedAt'>>, now: number): Ages => {
  const ages: number[] = [];
  for (const { followers, touchedAt } of tables)
    for (const { staleSince } of followers) ages.push(now - Math.min(staleSince ?? now, touchedAt ?? now));
  ages.sort((a, b) => a - b);
  // The smallest age that is not below that share of them.
  const at = (share: number): number => ages[Math.max(0, Math.ceil(share * ages.length) - 1)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
};
