import type { Condition } from '../../../src/api/condition.ts';
import type { RolloutStatus } from '../../../src/api/rollout-status.ts';
import { noRevision } from '../../../src/control/revision.ts';
import { AdaptletError } from '../../../src/errors/adaptlet-error.ts';
import { FakeApi } from '../../../src/kube/testing/fake-api.ts';
import { startDashboard } from '../../../src/operator/dashboard/start.ts';
import { FakeCluster } from '../../../src/operator/testing/fake-cluster.ts';
import {
  aRuntimeObject,
  aRuntimeStatus,
  FakeFleet,
  runtimeKey,
} from '../../../src/operator/testing/fake-fleet.ts';
import { anAdapter, aRollout, aStatus, bound } from '../../../src/plan/manifests.fixture.ts';
import { silentLog } from '../../../src/telemetry/log.fixture.ts';
import { FakeClock } from '../../../src/time/fake-clock.ts';

/** What somebody writes who wants to run something in the browser of another. */
export const hostile = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

const zones = ['plant-north', 'plant-south', 'ship-1', 'warehouse'];
const earlier = new Date(Date.now() - 5_400_000).toISOString();
const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message: string,
): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: earlier,
});

const metric = (value: number, bound_: number) =>
  ({
    name: 'error-rate',
    phase: 'Running',
    measured: 9,
    taken: 9,
    failed: 0,
    inconclusive: 0,
    consecutiveErrors: 0,
    waitedMs: 0,
    value,
    bound: bound_,
    message: `the canary fails ${(value * 100).toFixed(1)} % more; that is no harm at the bound ${bound_.toFixed(3)}`,
  }) as const;

const reward = (mean: number, half: number) =>
  ({
    ...metric(mean, mean - half),
    name: 'reward',
    message: 'so far neither side earns surely more',
    variants: {
      stable: { count: 900, mean: 0.5, low: 0.5 - half, high: 0.5 + half },
      canary: { count: 900, mean, low: mean - half, high: mean + half },
    },
  }) as const;

const said = {
  Healthy: 'v2 serves',
  Progressing: 'waits until v3 is Resident',
  Degraded: 'canary was given up, stable serves every request: 9 % of its requests failed',
};

const statusAt = (canary: number, i: number): RolloutStatus =>
  aStatus({
    phase: 'Paused',
    message: 'waits for somebody to promote the canary, at step 3/5',
    stable: bound('sql-v7'),
    canary: { ...bound('sql-v8'), seed: '0'.repeat(16), attempt: 1 },
    weights: { canary, stable: 100 - canary, observedCanary: Math.max(0, canary - (i % 3)) },
    step: { index: 2, total: 5, hash: 'h', elapsedMs: 0, promoted: false },
    runtimes: { desired: 940, updated: 940, ready: 931, failed: 4, held: 2, offline: 31 },
    analysis: [
      metric(0.02 - i * 0.0004 + Math.sin(i) * 0.002, -0.03 + i * 0.0006),
      reward(0.5 + i * 0.004, 0.25 / Math.sqrt(i + 1)),
    ],
    conditions: [
      condition(
        'Paused',
        'True',
        'AwaitingPromotion',
        'a pause without a duration waits for somebody to promote',
      ),
    ],
  });

/** Whether the runtime of that number is away: it has no stream, and so no age of its plan. */
const isAway = (i: number): boolean => i % 29 === 7;

export type BigFleet = AsyncDisposable & {
  readonly url: string;
  readonly cluster: FakeCluster;
  readonly fleet: FakeFleet;
  /** Whether the API server accepts tokens. */
  accepts: boolean;
  /** Whether it does not answer at all. */
  fails: boolean;
  /** Of the operator, which looks anew at what it knows when it advances. */
  readonly clock: FakeClock;
};

/** The dashboard of a leader that knows `size` runtimes, as people with the token `t` see it. */
export const bigFleet = async (size: number): Promise<BigFleet> => {
  const [cluster, fleet, clock] = [new FakeCluster(), new FakeFleet(), new FakeClock(Date.now() - 3_600_000)];
  const stack = new AsyncDisposableStack();
  const api = new FakeApi();
  api.before = ({ path, body }) => {
    if (it.fails) throw new AdaptletError('KUBE_UNAVAILABLE', 'the API server does not answer');
    const { token } = (body as { spec: { token?: string } }).spec;
    return path.endsWith('/tokenreviews')
      ? {
          status: {
            authenticated: it.accepts && token === 't',
            audiences: ['adaptlet-dashboard'],
            user: { username: 'anna' },
          },
        }
      : { status: { allowed: true } };
  };
  const keys = Array.from({ length: size }, (_, i) =>
    runtimeKey(`adaptlet-system/edge-${String(i).padStart(4, '0')}`),
  );
  const port = await startDashboard(
    {
      version: '0.1.0',
      replica: 'adaptlet-operator-6c9f7-x2x4v',
      objects: cluster,
      fleet,
      planAges: () =>
        keys
          .slice(0, size * 0.9)
          .flatMap((key, i) =>
            isAway(i) ? [] : [[key, i % 97 === 0 ? 4_200 : i % 11 === 0 ? 180 : 0] as const],
          ),
      clock,
      logger: silentLog,
      leaderElsewhere: () => undefined,
      api,
      address: '127.0.0.1:0',
    },
    stack,
  );
  const it: BigFleet = {
    url: `http://127.0.0.1:${port}/`,
    cluster,
    fleet,
    accepts: true,
    fails: false,
    clock,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  for (const [i, key] of keys.entries()) {
    const labels = {
      zone: zones[i % zones.length] ?? '',
      'kubernetes.io/arch': i % 3 === 0 ? 'arm64' : 'amd64',
    };
    const spec = i % 250 === 3 ? { cordoned: true } : i % 333 === 5 ? { held: true } : {};
    const status = {
      ...aRuntimeStatus(!isAway(i)),
      node: `edge-${String(i).padStart(4, '0')}`,
      baseModel: { name: i % 5 === 0 ? 'minilm' : 'smollm2-135m' },
    };
    const more = [
      ...(i === 42
        ? [
            condition(
              'RemovalsHeld',
              'True',
              'ManyRemovals',
              '12 removals take away more than half of what it holds and are held back for a while; to let them happen now: kubectl annotate adr edge-0042 adaptlet.io/confirm-removals=8f2c',
            ),
          ]
        : []),
      ...(spec.held === true
        ? [condition('Held', 'True', 'HeldBySpec', 'spec.held: its plan stays as it is')]
        : []),
      ...(spec.cordoned === true
        ? [
            condition(
              'Cordoned',
              'True',
              'CordonedBySpec',
              'spec.cordoned: it keeps and serves what it has, and gets nothing new',
            ),
          ]
        : []),
    ];
    const written = { ...status, conditions: [...status.conditions, ...more] };
    const object = aRuntimeObject(
      key,
      labels,
      isAway(i) ? { ...written, disconnectedAt: earlier } : written,
      spec,
    );
    cluster.apply(object);
    if (!isAway(i)) fleet.report(key, { info: { ...infoOf(status.node, status.baseModel.name) } });
  }
  const sql = { name: 'sql', namespace: 'team-a' };
  for (let i = 0; i < 50; i++) {
    cluster.apply(aRollout(sql, { adapter: 'sql-v8' }, statusAt(i < 12 ? 5 : i < 30 ? 20 : 50, i)));
    clock.advance(60_000);
  }
  for (let i = 0; i < 24; i++) {
    const name = `support-${i}`;
    const phase = i === 3 ? 'Degraded' : i < 6 ? 'Progressing' : 'Healthy';
    const conditions =
      i === 3
        ? [condition('Stalled', 'True', 'Aborted', 'canary was given up: 9 % of its requests failed')]
        : [];
    cluster.apply(
      aRollout(
        { name, namespace: 'team-b' },
        { adapter: 'v2' },
        aStatus({
          phase,
          conditions,
          stable: bound('v2'),
          runtimes: { desired: 800, updated: 800, ready: 800 - i, failed: 0, held: 0, offline: 9 },
          message: said[phase],
        }),
      ),
    );
    cluster.apply({
      ...anAdapter({ name: `support-${i}-v2`, namespace: 'team-b' }, { baseModel: 'smollm2-135m' }),
      status: {
        observedGeneration: 1,
        runtimes: { desired: 800, stored: 790 - i, resident: 600, serving: 600, failed: i % 6 === 0 ? 3 : 0 },
        failures: [],
        conditions: [condition('Ready', 'True', 'EverywhereReady', 'every runtime that should hold it does')],
      },
    });
  }
  cluster.apply(
    aRollout(
      { name: 'hostile', namespace: 'team-x' },
      { adapter: 'v2' },
      aStatus({ message: hostile, stable: { ...bound('v2'), adapter: hostile } }),
    ),
  );
  for (const [key = runtimeKey('x'), zone, refused] of [
    [keys[0], hostile, `Route team-a/assistant: ${hostile}`],
    [keys[1], 'plant-south', 'Adapter team-b/support-3-v2: its rank is 128, and 64 is the most here'],
  ] as const) {
    fleet.report(key, {
      acknowledged: { ...noRevision, adapters: 71n, rollouts: 93n, routes: 4n, runtimes: 88n },
    });
    clock.advance(300_000);
    const message = `it refuses ${refused}; its former version goes on`;
    const status = aRuntimeStatus(true);
    const conditions = [...status.conditions, condition('InSync', 'False', 'Refused', message)];
    cluster.apply(aRuntimeObject(key, { zone }, { ...status, node: key.split('/')[1] ?? '', conditions }));
  }
  return it;
};

const infoOf = (node: string, baseModel: string) => ({
  version: '0.1.0',
  baseModel,
  baseDigest: '' as const,
  executionProvider: 'CPUExecutionProvider',
  node,
  pod: '',
  ownerUid: '',
  maxRank: 64,
});
