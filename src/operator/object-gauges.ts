import { conditionOf } from '../api/condition.ts';
import type { AdapterObject } from '../api/objects.ts';
import type { MetricFamily } from '../telemetry/exposition.ts';
import type { RuntimeObject } from './objects/objects.ts';

/** Metrics of single objects, told by the leader, of those alone with which something is wrong. */
export const objectMetrics = {
  offlineSince: {
    name: 'adaptlet_runtime_offline_since_timestamp_seconds',
    help: 'When the runtime of a node went offline, in Unix time; by its namespace, name and node. Those that are connected have none.',
  },
  failedRuntimes: {
    name: 'adaptlet_adapter_failed_runtimes',
    help: 'Runtimes on which an Adapter failed, by its namespace and name. Those that failed nowhere have none.',
  },
  notAccepted: {
    name: 'adaptlet_adapters_not_accepted',
    help: 'Adapters that are in no plan, by namespace and reason of their condition Accepted: TooManyAdapters is limits.adapters of their policy. Namespaces that have none have no series.',
  },
} as const;

/** Objects of a kind that have series; a fleet that is offline as a whole is one alert, not thousands. */
export const maxToldObjects = 1000;

/** What alerts are about, from the statuses: another leader tells the same. */
export const objectGauges = (
  runtimes: Iterable<RuntimeObject>,
  adapters: Iterable<AdapterObject>,
): MetricFamily[] => {
  const all = [...adapters];
  return [
    {
      ...objectMetrics.offlineSince,
      samples: Iterator.from(runtimes)
        .flatMap(({ metadata: { namespace, name }, status }) => {
          // A pod that ended is no trouble.
          if (status?.kind === 'Pod') return [];
          const away = conditionOf(status?.conditions, 'Connected')?.status === 'False';
          const since = Date.parse(status?.disconnectedAt ?? '');
          if (!away || Number.isNaN(since)) return [];
          return [{ labels: { namespace, name, node: status?.node ?? '' }, value: since / 1000 }];
        })
        .take(maxToldObjects)
        .toArray(),
    },
    {
      ...objectMetrics.failedRuntimes,
      samples: all
        .flatMap(({ metadata: { namespace, name }, status }) => {
          const value = status?.runtimes.failed ?? 0;
          return value === 0 ? [] : [{ labels: { namespace, name }, value }];
        })
        .slice(0, maxToldObjects),
    },
    { ...objectMetrics.notAccepted, samples: notAccepted(all).slice(0, maxToldObjects) },
  ];
};

const notAccepted = (adapters: readonly AdapterObject[]): MetricFamily['samples'] =>
  [...Map.groupBy(adapters, reasonOf)].flatMap(([key, { length }]) => {
    const [namespace = '', reason = ''] = key.split(' ');
    return reason === '' ? [] : [{ labels: { namespace, reason }, value: length }];
  });

/** `namespace reason`; without one where it is accepted. */
const reasonOf = ({ metadata: { namespace }, status }: AdapterObject): string => {
  const accepted = conditionOf(status?.conditions, 'Accepted');
  return accepted?.status === 'False' ? `${namespace} ${accepted.reason}` : namespace;
};
