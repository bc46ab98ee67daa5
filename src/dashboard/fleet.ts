import {
  type FleetView,
  type GroupView,
  type Page,
  type PlanAges,
  type RuntimeRow,
  type RuntimeStateName,
  type RuntimesQuery,
  runtimeStates,
} from './views.ts';

/** Groups of one answer. */
const maxGroups = 200;
/** Label keys to choose from. */
const maxLabels = 50;

/** The value by which a runtime is grouped; '' where it has none. */
const groupOf = ({ baseModel, labels }: RuntimeRow, by: string): string =>
  by === 'baseModel' ? baseModel : (labels[by] ?? '');

const agesOf = (rows: readonly RuntimeRow[]): PlanAges => {
  const ages = rows.flatMap(({ planAgeMs }) => planAgeMs ?? []).sort((a, b) => a - b);
  // The smallest age that is not below that share of them.
  const at = (share: number): number =>
    Math.round(ages[Math.max(0, Math.ceil(share * ages.length) - 1)] ?? 0);
  return { known: ages.length, p50: at(0.5), p99: at(0.99), oldest: at(1) };
};

const summed = (name: string, rows: readonly RuntimeRow[]): GroupView => {
  const states: Record<RuntimeStateName, number> = { Away: 0, Held: 0, Cordoned: 0, NotReady: 0, Ready: 0 };
  for (const { state } of rows) states[state] += 1;
  return { name, runtimes: rows.length, states, ages: agesOf(rows) };
};

/** The runtimes by groups, in the order of their names. */
export const fleetView = (rows: readonly RuntimeRow[], by: string): FleetView => {
  const groups = Map.groupBy(rows, (row) => groupOf(row, by));
  const labels = new Set(rows.flatMap((row) => Object.keys(row.labels)));
  const names = [...groups.keys()].sort();
  return {
    by,
    labels: [...labels].sort().slice(0, maxLabels),
    total: summed('', rows),
    groups: names.slice(0, maxGroups).map((name) => summed(name, groups.get(name) ?? [])),
    leftOut: Math.max(0, names.length - maxGroups),
  };
};

const order = (row: RuntimeRow): number => runtimeStates.indexOf(row.state);

/** Those that a person looks for; who is away or restrained comes first. */
export const runtimesPage = (
  rows: readonly RuntimeRow[],
  { state, group, by, text, limit }: RuntimesQuery,
): Page<RuntimeRow> => {
  const found = rows.filter(
    (row) =>
      (state === undefined || row.state === state) &&
      (group === undefined || groupOf(row, by) === group) &&
      (text === '' || row.key.includes(text) || row.node.includes(text)),
  );
  found.sort((a, b) => order(a) - order(b) || (a.key < b.key ? -1 : 1));
  return { total: found.length, items: found.slice(0, limit) };
};
