import { expect, it } from 'vitest';
import type { AdapterObject } from '../api/objects.ts';
import { exposition } from '../telemetry/exposition.ts';
import { maxToldObjects, objectGauges } from './object-gauges.ts';
import type { RuntimeObject } from './objects/objects.ts';

const metadata = (name: string) => ({
  namespace: 'team-a',
  name,
  uid: name,
  generation: 1,
  creationTimestamp: '2026-01-01T00:00:00Z',
  annotations: {},
  labels: {},
});

const runtime = (name: string, connected: 'True' | 'False', disconnectedAt?: string): RuntimeObject => ({
  kind: 'AdapterRuntime',
  metadata: metadata(name),
  spec: {},
  status: {
    kind: 'Node',
    node: name,
    version: '0.1.0',
    baseModel: { name: 'tiny' },
    executionProvider: 'CPUExecutionProvider',
    memory: { budgetBytes: 1, usedBytes: 0 },
    disk: { budgetBytes: 1, usedBytes: 0 },
    adapters: { known: 0, stored: 0, resident: 0, failed: 0 },
    refused: [],
    rollouts: [],
    heldRollouts: [],
    connectedSince: '2026-01-01T00:00:00Z',
    ...(disconnectedAt === undefined ? {} : { disconnectedAt }),
    conditions: [
      {
        type: 'Connected',
        status: connected,
        reason: 'x',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  },
});

const adapter = (name: string, failed: number): AdapterObject => ({
  kind: 'Adapter',
  metadata: metadata(name),
  spec: { baseModel: 'tiny' } as AdapterObject['spec'],
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
  const away = runtime('edge-1', 'False', '2026-01-01T01:00:00Z');
  const back = runtime('edge-2', 'True', '2026-01-01T01:00:00Z');
  expect(lines([away, back, { ...away, status: undefined } as unknown as RuntimeObject], [])).toEqual([
    'adaptlet_runtime_offline_since_timestamp_seconds{namespace="team-a",name="edge-1",node="edge-1"} 1767229200',
  ]);
});

it('tells on how many runtimes an Adapter failed, and of those alone', () => {
  expect(lines([], [adapter('sql-v1', 0), adapter('sql-v2', 3)])).toEqual([
    'adaptlet_adapter_failed_runtimes{namespace="team-a",name="sql-v2"} 3',
  ]);
});

it('has at most a thousand series of a kind', () => {
  const fleet = Array.from({ length: maxToldObjects + 5 }, (_, i) =>
    runtime(`edge-${i}`, 'False', '2026-01-01T01:00:00Z'),
  );
  expect(lines(fleet, [])).toHaveLength(maxToldObjects);
});
