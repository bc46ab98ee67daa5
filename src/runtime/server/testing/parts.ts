import { silentLog } from '../../../telemetry/log.fixture.ts';
import type { Clock } from '../../../time/clock.ts';
import { systemClock } from '../../../time/clock.ts';
import type { Parts } from '../exchange.ts';
import type { RuntimeGauges } from '../telemetry/gauges.ts';
import { createTelemetry, type TelemetryOptions } from '../telemetry/telemetry.ts';
import { FakeAdmin, fakePressure } from './fake-admin.ts';
import { FakeServing } from './fake-serving.ts';
import { openIdentify } from './identify.ts';

export const fakeGauges: RuntimeGauges = {
  store: { usedBytes: 0, budgetBytes: 0, damaged: 0, awaited: 0 },
  ready: true,
  connected: true,
  provider: {
    inUse: 'OpenVINOExecutionProvider',
    refused: ['CUDAExecutionProvider'],
    operators: { OpenVINOExecutionProvider: 33, CPUExecutionProvider: 31 },
  },
  memory: { usedBytes: 100, budgetBytes: 1000 },
  pressure: fakePressure,
  disk: { usedBytes: 200, budgetBytes: 2000 },
  model: { receivedBytes: 0, totalBytes: 0 },
  adapters: { Resident: 2, Failed: 1 },
  rollouts: [{ key: 'default/sql', weight: 20, effectiveWeight: 10 }],
  requests: { running: 3, waiting: 4 },
  engine: {
    running: 2,
    waiting: 1,
    kvUsedBytes: 30,
    kvBudgetBytes: 120,
    kvHeldBytes: 50,
    kvSparableBytes: 20,
    preemptions: 4,
    overdueTurns: 3,
    fairness: { jain: 0.75, lag: 40 },
    decodeSteps: 10,
    decodedTokens: 35,
    promptTokens: 90,
    cachedTokens: 60,
    speculation: { drafts: 5, draftTokens: 12, acceptedTokens: 7 },
    limits: [],
  },
  mirrored: { equal: 5, dropped: 2 },
  deltas: { results: { applied: 3, late: 1 }, savedBytes: 4000 },
  peers: { came: { peer: 90, source: 10 }, sent: 7, aside: { away: 1, liar: 0 } },
  prefetched: {
    disk: { broughtBytes: 900, wastedBytes: 300, hits: 2 },
    ram: { broughtBytes: 500, wastedBytes: 100, hits: 1 },
  },
  quotas: [
    { namespace: 'team-a', limit: 'requests', used: 2, guaranteed: 1, most: 4, refused: 7 },
    { namespace: 'team-b', limit: 'adapterMemory', used: 0, guaranteed: 100, most: Infinity, refused: 0 },
  ],
  certificateUntil: 1_800_000_000_000,
  sessions: { sessions: 6, tokens: { accepted: 5, foreign: 1 } },
  classifiers: { answers: { OK: 9, DEADLINE_EXCEEDED: 2 }, states: { Ready: 1, Pending: 0, Failed: 1 } },
  lora: { max: 8, running: ['upper', 'sql'], waiting: [] },
  cacheBlocks: 40,
};

export type FakeParts = Parts & {
  readonly hasMetrics: boolean;
  readonly serving: FakeServing;
  readonly admin: FakeAdmin;
  readonly version: string;
  readonly defaultNamespace: string;
};

/** Everything that a server needs, with nothing behind it. */
export const fakeParts = (
  overrides: Partial<Omit<Parts, 'serving' | 'clock'>> & {
    readonly hasMetrics?: boolean;
    readonly serving?: FakeServing;
    readonly clock?: Clock;
    readonly traces?: NonNullable<TelemetryOptions['traces']>;
  } = {},
): FakeParts => {
  const { traces, clock = systemClock, ...rest } = overrides;
  const telemetry = createTelemetry({
    version: '0.1.0',
    instance: 'i1',
    clock,
    gauges: () => fakeGauges,
    ...(traces === undefined ? {} : { traces }),
  });
  return {
    serving: new FakeServing(),
    admin: new FakeAdmin(),
    telemetry,
    clock,
    log: silentLog,
    identify: openIdentify(),
    hasMetrics: true,
    timeouts: { firstTokenMs: 10_000, tokenMs: 10_000, requestMs: 0 },
    slowClientMs: 5_000,
    limits: { maxConnections: 1000, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 64 << 20 },
    version: '0.1.0',
    defaultNamespace: 'default',
    ...rest,
  };
};
