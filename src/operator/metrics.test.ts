import { expect, it } from 'vitest';
import { metricsText, type OperatorGauges, operatorMetrics } from './metrics.ts';
import { noCounts } from './sync/counts.ts';

const gauges: OperatorGauges = {
  version: '0.1.0',
  identity: 'operator-0',
  isLeader: true,
  epoch: 3,
  objects: [{ kind: 'Adapter', count: 7, synced: true }],
  requests: [{ method: 'PUT', code: 'KUBE_CONFLICT', count: 2 }],
  runtimes: [],
  sync: {
    ...noCounts(),
    accepted: 5,
    replaced: 1,
    bytes: 4096,
    streams: 4,
    moved: 8,
    waiting: 3,
    strangers: { size: 6, ended: { grpc: 7 } },
    relays: 1,
    plans: {
      views: 1,
      compilations: 9,
      resources: 12,
      told: 3,
      milliseconds: 250,
      ages: { p50: 0, p99: 500, max: 1500 },
    },
    gate: { waiting: 2, failures: 1 },
    tokens: { asked: 6, refused: 1, failed: 0, stale: 0 },
    authority: { failures: 0, certificateUntil: 1_800_000_000_000, authorityUntil: 0 },
    relay: { connected: 0, failures: 0 },
  },
  queues: [
    {
      controller: 'rollout',
      depth: 1,
      delayed: 0,
      running: 0,
      failing: 0,
      retries: 0,
      oldestWaitMs: 1500,
      maxRunMs: 250,
    },
  ],
  eventsDropped: 0,
  hasDeviceAuthority: true,
  strangersEnded: { webhook: 2 },
  injections: { Injected: 2, Unchanged: 0, Refused: 1, Failed: 0 },
  led: [],
};

const text = metricsText(gauges);
const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

it('exposes every metric with its sentence and the type that its name tells', () => {
  for (const { name, help } of Object.values(operatorMetrics)) {
    expect(text).toContain(`# HELP ${name} ${help}\n`);
    expect(text).toContain(`# TYPE ${name} ${name.endsWith('_total') ? 'counter' : 'gauge'}\n`);
    expect(samples.some((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))).toBe(true);
  }
});

it('names seconds and bytes in base units', () => {
  expect(text).toContain('adaptlet_operator_plan_compile_seconds_total 0.25\n');
  expect(text).toContain('adaptlet_operator_plan_age_seconds{quantile="0.99"} 0.5\n');
  expect(text).toContain('adaptlet_operator_queue_wait_seconds{controller="rollout"} 1.5\n');
  expect(text).toContain('adaptlet_operator_queue_run_seconds{controller="rollout"} 0.25\n');
  expect(text).toContain('adaptlet_operator_certificate_expiry_timestamp_seconds 1800000000\n');
  expect(text).toContain('adaptlet_operator_sync_sent_bytes_total 4096\n');
});

it('counts connections that were ended by the port that they came to', () => {
  expect(samples.filter((line) => line.includes('strangers_ended'))).toEqual([
    'adaptlet_operator_strangers_ended_total{port="grpc"} 7',
    'adaptlet_operator_strangers_ended_total{port="webhook"} 2',
  ]);
});

it.each([
  [true, ['adaptlet_operator_device_authority 1']],
  [false, ['adaptlet_operator_device_authority 0']],
  [undefined, []],
])('says whether the authority of devices is here: %s', (hasDeviceAuthority, lines) => {
  const told = metricsText({ ...gauges, hasDeviceAuthority }).split('\n');
  expect(told.filter((line) => line.startsWith('adaptlet_operator_device_authority'))).toEqual(lines);
});

it('has no label that grows with objects, runtimes or callers', () => {
  const labels = samples.flatMap((line) => [...line.matchAll(/([a-z]+)="/g)].map(([, key]) => key));
  const known = [
    'code',
    'controller',
    'kind',
    'method',
    'port',
    'quantile',
    'replica',
    'result',
    'state',
    'version',
  ];
  expect(new Set(labels)).toEqual(new Set(known));
});
