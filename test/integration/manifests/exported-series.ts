import { objectKey } from '../../../src/api/names.ts';
import { metricsText } from '../../../src/operator/metrics.ts';
import { objectGauges } from '../../../src/operator/object-gauges.ts';
import { RolloutEventCounts } from '../../../src/operator/rollout/event-counts.ts';
import { noCounts } from '../../../src/operator/sync/counts.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../../../src/operator/testing/fake-fleet.ts';
import { anAdapter, aRollout, aStatus } from '../../../src/plan/manifests.fixture.ts';
import { rolloutGauges } from '../../../src/rollout/gauges.ts';
import { createTelemetry } from '../../../src/runtime/server/telemetry/telemetry.ts';
import { fakeDigest } from '../../../src/runtime/server/testing/fake-serving.ts';
import { fakeGauges } from '../../../src/runtime/server/testing/parts.ts';
import { FakeClock } from '../../../src/time/fake-clock.ts';

/** A runtime that answered a request, and has something of everything. */
const runtimeText = async (): Promise<string> => {
  const telemetry = createTelemetry({
    version: '0.1.0',
    instance: 'i1',
    clock: new FakeClock(),
    gauges: () => ({
      ...fakeGauges,
      connected: true,
      adapters: { Resident: 1 },
      rollouts: [{ key: 'team-a/sql', weight: 10, effectiveWeight: 10 }],
    }),
  });
  const request = telemetry.request({ protocol: 'grpc', method: 'm', headers: new Map() });
  request.acquired('r1', {
    adapter: 'v1',
    digest: fakeDigest('a'),
    rollout: 'sql',
    arm: 'canary',
    rule: 'r',
  });
  request.token();
  request.end({ code: 'OK', promptTokens: 5, completionTokens: 2 });
  telemetry.transition({ from: 'Stored', to: 'Resident', cause: 'Loaded' });
  const text = await telemetry.metricsText();
  await telemetry.close();
  return text;
};

const metric = {
  name: 'errors',
  step: 0,
  phase: 'Running',
  measured: 1,
  taken: 1,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
  waitedMs: 0,
  value: 0.1,
  message: '',
} as const;
const counted = { desired: 1, updated: 1, ready: 1, failed: 0, held: 0, offline: 0 };

/** A leader that has something of everything. */
const operatorText = (): string => {
  const rollout = aRollout(
    { name: 'sql' },
    { adapter: 'v1' },
    aStatus({ runtimes: counted, analysis: [metric] }),
  );
  const events = new RolloutEventCounts();
  events.event(objectKey('team-a', 'sql'), { type: 'Normal', reason: 'Promoted' });
  const away = { ...aRuntimeStatus(false), node: 'far', disconnectedAt: '2026-01-01T00:00:00Z' };
  const failing = {
    ...anAdapter({ name: 'v1' }),
    status: {
      observedGeneration: 1,
      runtimes: { desired: 1, stored: 0, resident: 0, serving: 0, failed: 1 },
      failures: [],
      conditions: [],
    },
  };
  return metricsText({
    version: '0.1.0',
    identity: 'op-0',
    isLeader: true,
    epoch: 1,
    objects: [{ kind: 'Adapter', count: 1, synced: true }],
    requests: [{ method: 'GET', code: 'OK', count: 1 }],
    runtimes: [],
    sync: {
      ...noCounts(),
      streams: 0,
      moved: 0,
      waiting: 0,
      strangers: { size: 0, ended: { grpc: 0 } },
      relays: 0,
      plans: {
        views: 0,
        compilations: 0,
        resources: 0,
        told: 0,
        milliseconds: 0,
        ages: { p50: 0, p99: 0, max: 0 },
      },
      gate: { waiting: 0, failures: 0 },
      tokens: { asked: 0, refused: 0, failed: 0, stale: 0 },
      authority: { failures: 0, certificateUntil: 0, authorityUntil: 0 },
      relay: { connected: 0, failures: 0 },
    },
    queues: [
      {
        controller: 'rollout',
        depth: 0,
        delayed: 0,
        running: 0,
        failing: 0,
        retries: 0,
        oldestWaitMs: 0,
        maxRunMs: 0,
      },
    ],
    eventsDropped: 0,
    hasDeviceAuthority: true,
    strangersEnded: { http: 0 },
    injections: undefined,
    led: [
      ...rolloutGauges([rollout]),
      ...events.metrics(),
      ...objectGauges([aRuntimeObject(runtimeKey('far'), {}, away)], [failing]),
    ],
  });
};

/** The labels of each series that an operator and a runtime really export, by its name. */
export const exportedLabels = async (): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
  const found = new Map<string, Set<string>>();
  for (const line of `${await runtimeText()}\n${operatorText()}`.split('\n')) {
    const [, name = '', labels = ''] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === '') continue;
    const known = found.get(name) ?? new Set();
    found.set(name, known);
    for (const [, label = ''] of labels.matchAll(/([A-Za-z_]\w*)="(?:[^"\\]|\\.)*"/g)) known.add(label);
  }
  return found;
};
