import { expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import type { AdapterObject } from '../api/objects.ts';
import { anAdapter } from '../plan/manifests.fixture.ts';
import { exposition } from '../telemetry/exposition.ts';
import { maxToldObjects, objectGauges } from './object-gauges.ts';
import type { RuntimeObject } from './objects/objects.ts';
import { aRuntimeObject, aRuntimeStatus } from './testing/fake-fleet.ts';

const runtime = (name: string, connected: boolean): RuntimeObject =>
  aRuntimeObject(
    objectKey('team-a', name),
    {},
    {
      ...aRuntimeStatus(connected),
      node: name,
      disconnectedAt: '2026-01-01T01:00:00Z',
    },
  );

const adapter = (name: string, failed: number): AdapterObject => ({
  ...anAdapter({ name }),
  status: {
    observedGeneration: 1,
    runtimes: { desired: 5, stored: 5, resident: 5 - failed, serving: 0, failed },
    failures: [],
    conditions: [],
  },
});

const lines = (...given: Parameters<typeof objectGauges>): string[] =>
  exposition(objectGauges(...given))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

it('tells since when runtimes are offline, and of those alone', () => {
  const unwritten = aRuntimeObject(objectKey('team-a', 'edge-3'));
  expect(lines([runtime('edge-1', false), runtime('edge-2', true), unwritten], [])).toEqual([
    'adaptlet_runtime_offline_since_timestamp_seconds{namespace="team-a",name="edge-1",node="edge-1"} 1767229200',
  ]);
});

it('tells nothing of a pod that is away: it may have ended', () => {
  const { status, ...pod } = runtime('app-1', false);
  expect(lines([{ ...pod, ...(status && { status: { ...status, kind: 'Pod' } }) }], [])).toEqual([]);
});

it('tells on how many runtimes an Adapter failed, and of those alone', () => {
  expect(lines([], [adapter('sql-v1', 0), adapter('sql-v2', 3)])).toEqual([
    'adaptlet_adapter_failed_runtimes{namespace="team-a",name="sql-v2"} 3',
  ]);
});

it('tells how many Adapters are in no plan, by the reason, as limits.adapters of a policy', () => {
  const condition = (reason: string, status: 'True' | 'False') =>
    ({ type: 'Accepted', status, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }) as const;
  const judged = (name: string, ...given: Parameters<typeof condition>) => {
    const { status, ...rest } = adapter(name, 0);
    return { ...rest, ...(status && { status: { ...status, conditions: [condition(...given)] } }) };
  };
  const adapters = [
    judged('sql-v1', 'Accepted', 'True'),
    judged('sql-v2', 'TooManyAdapters', 'False'),
    judged('sql-v3', 'TooManyAdapters', 'False'),
    judged('sql-v4', 'SourceNotAllowed', 'False'),
  ];
  expect(lines([], adapters)).toEqual([
    'adaptlet_adapters_not_accepted{namespace="team-a",reason="TooManyAdapters"} 2',
    'adaptlet_adapters_not_accepted{namespace="team-a",reason="SourceNotAllowed"} 1',
  ]);
});

it('has at most a thousand series of a kind', () => {
  const fleet = Array.from({ length: maxToldObjects + 5 }, (_, i) => runtime(`edge-${i}`, false));
  expect(lines(fleet, [])).toHaveLength(maxToldObjects);
});
