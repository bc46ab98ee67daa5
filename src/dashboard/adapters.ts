import { conditionOf } from '../api/condition.ts';
import { objectKey } from '../api/names.ts';
import type { AdapterObject } from '../api/objects.ts';
import type { AdapterRow, AdaptersView, Tiers } from './views.ts';

/** Each runtime that should have an adapter, or has it, in one tier; the counts of a status contain one another. */
const tiersOf = ({ desired, stored, resident, failed }: Counts): Tiers => ({
  Remote: Math.max(0, desired - stored - failed),
  Stored: Math.max(0, stored - resident),
  Resident: resident,
  Failed: failed,
});
type Counts = NonNullable<AdapterObject['status']>['runtimes'];

const none: Counts = { desired: 0, stored: 0, resident: 0, serving: 0, failed: 0 };

export const adapterRow = ({ metadata, spec, status }: AdapterObject): AdapterRow => {
  const counts = status?.runtimes ?? none;
  return {
    key: objectKey(metadata.namespace, metadata.name),
    baseModel: spec.baseModel,
    digest: spec.digest ?? status?.digest ?? '',
    tiers: tiersOf(counts),
    serving: counts.serving,
    message: conditionOf(status?.conditions, 'Ready')?.message ?? '',
  };
};

/** Those that failed somewhere come first. */
export const adaptersView = (rows: readonly AdapterRow[], limit: number): AdaptersView => {
  const tiers = { Remote: 0, Stored: 0, Resident: 0, Failed: 0 };
  for (const row of rows)
    for (const tier of Object.keys(tiers) as (keyof Tiers)[]) tiers[tier] += row.tiers[tier];
  const sorted = rows.toSorted((a, b) => b.tiers.Failed - a.tiers.Failed || (a.key < b.key ? -1 : 1));
  return { total: rows.length, tiers, items: sorted.slice(0, limit) };
};
