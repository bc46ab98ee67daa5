import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Condition } from '../../api/condition.ts';
import { objectKey } from '../../api/names.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { noRevision } from '../../control/revision.ts';
import type { HistoryView, TimelineView } from '../../dashboard/views.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { anAdapter, aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { aRuntimeObject, aRuntimeStatus, FakeFleet, runtimeKey } from '../testing/fake-fleet.ts';
import { startDashboard } from './start.ts';

let cluster: FakeCluster;
let fleet: FakeFleet;
let clock: FakeClock;
let leader: string | undefined;
let stack: AsyncDisposableStack;
let base: string;

const parts = () => ({
  version: '0.1.0',
  replica: 'op-0',
  objects: cluster,
  fleet,
  planAges: () => [[runtimeKey('near'), 1500] as const],
  clock,
  logger: silentLog,
  leaderElsewhere: () => leader,
  api: everybody(),
});

/** An API server to which everybody may do everything. */
const everybody = (): FakeApi => {
  const api = new FakeApi();
  api.before = ({ path }) =>
    path.endsWith('/tokenreviews')
      ? { status: { authenticated: true, audiences: ['adaptlet-dashboard'], user: { username: 'anna' } } }
      : { status: { allowed: true } };
  return api;
};

beforeEach(async () => {
  [cluster, fleet, clock, leader] = [new FakeCluster(), new FakeFleet(), new FakeClock(), undefined];
  stack = new AsyncDisposableStack();
  base = `http://127.0.0.1:${await startDashboard({ ...parts(), address: '127.0.0.1:0' }, stack)}/api`;
});
afterEach(() => stack.disposeAsync());

const get = async <T = unknown>(path: string): Promise<T> => {
  const response = await fetch(`${base}/${path}`, { headers: { authorization: 'Bearer t' } });
  return (await response.json()) as T;
};

const with_ = (key: string, ...conditions: Partial<Condition>[]) => ({
  ...aRuntimeObject(runtimeKey(key)),
  status: {
    ...aRuntimeStatus(true),
    conditions: [
      ...aRuntimeStatus(true).conditions,
      ...conditions.map((one) => ({
        type: '',
        status: 'True' as const,
        reason: '',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
        ...one,
      })),
    ],
  },
});

it('listens where nobody outside of the pod can reach it, and nowhere else', async () => {
  for (const address of ['0.0.0.0:0', ':0', '[::]:0'])
    await expect(startDashboard({ ...parts(), address }, stack)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
});

it('shows runtimes by what they report where it is newer than what is written', async () => {
  cluster.apply(with_('near'));
  cluster.apply(with_('far'));
  cluster.apply(aRuntimeObject(runtimeKey('held'), {}, aRuntimeStatus(true), { held: true }));
  fleet.report(runtimeKey('far'), { connected: false, disconnectedAt: 5 });
  fleet.report(runtimeKey('near'));
  expect(await get('runtimes')).toMatchObject({
    total: 3,
    items: [
      { key: 'edge/far', state: 'Away', since: 5 },
      { key: 'edge/held', state: 'Held' },
      { key: 'edge/near', state: 'Ready', planAgeMs: 1500 },
    ],
  });
  expect(await get('fleet')).toMatchObject({ total: { runtimes: 3, ages: { known: 1, oldest: 1500 } } });
});

it('shows the objects of one namespace, and of no other whose name begins alike', async () => {
  for (const namespace of ['team-a', 'team-ab']) {
    cluster.apply(anAdapter({ name: 'v1', namespace }));
    cluster.apply(aRollout({ name: 'sql', namespace }, { adapter: 'v1' }, aStatus()));
  }
  expect(await get('adapters?namespace=team-a')).toMatchObject({ total: 1, items: [{ key: 'team-a/v1' }] });
  expect(await get('rollouts?namespace=team-a')).toMatchObject({ total: 1, items: [{ key: 'team-a/sql' }] });
  expect(await get('rollouts?limit=1')).toMatchObject({
    total: 2,
    items: [{}],
    phases: { Degraded: 0, Paused: 0, Progressing: 0, Healthy: 2 },
  });
});

it('remembers the weights of a rollout and what its judge found', async () => {
  const at = (canary: number, value: number): RolloutStatus =>
    aStatus({
      phase: 'Progressing',
      canary: { ...bound('v2'), seed: '0'.repeat(16), attempt: 1 },
      weights: { canary, stable: 100 - canary },
      analysis: [
        {
          name: 'errors',
          phase: 'Running',
          measured: 1,
          taken: 1,
          failed: 0,
          inconclusive: 0,
          consecutiveErrors: 0,
          waitedMs: 0,
          value,
          bound: value - 0.01,
          message: 'looks well',
        },
      ],
    });
  const started = clock.now();
  const sql = { name: 'sql' };
  cluster.apply(aRollout(sql, { adapter: 'v2' }, at(10, 0.02)));
  clock.advance(60_000);
  cluster.apply(aRollout(sql, { adapter: 'v2' }, at(50, 0.01)));
  const { since, samples, rollout } = await get<HistoryView>('history?name=team-a/sql');
  expect([since, rollout.weight]).toEqual([started, 50]);
  expect(samples.map(({ at: when, weight }) => [when - started, weight])).toEqual([
    [0, 10],
    [60_000, 50],
  ]);
  expect(samples[1]?.metrics).toEqual([{ name: 'errors', value: 0.01, bound: 0 }]);
});

it('remembers what happened to a runtime: connections, plans, refusals, holds', async () => {
  const key = runtimeKey('near');
  cluster.apply(with_('near'));
  fleet.report(key);
  fleet.report(key, { acknowledged: { ...noRevision, adapters: 7n } });
  const refusal = {
    type: 'InSync',
    status: 'False',
    reason: 'Refused',
    message: 'it refuses Route team-a/x',
  } as const;
  cluster.apply(with_('near', refusal));
  cluster.apply({
    ...with_('near', refusal),
    status: { ...with_('near', refusal).status, heldRollouts: ['team-a/sql'] },
  });
  const { happenings } = await get<TimelineView>('timeline?name=edge/near');
  expect(happenings.map(({ what }) => what)).toEqual([
    'Holds a canary or stable back',
    'Refused parts of its plan',
    'Plan taken',
    'Connected',
  ]);
  cluster.remove('AdapterRuntime', key);
  clock.advance(1_001);
  expect(await get('timeline?name=edge/near')).toMatchObject({ code: 'VIEW_NOT_FOUND' });
});

it('collects what waits for a person over all kinds, also what cannot be read', async () => {
  cluster.apply(with_('near', { type: 'RemovalsHeld', reason: 'ManyRemovals', message: 'annotate it' }));
  cluster.apply(anAdapter({ name: 'bad' }), {}, [
    { path: 'spec', reason: 'spec.source is missing' } as never,
  ]);
  expect(await get('waiting')).toMatchObject({
    total: 2,
    items: [
      { kind: 'Adapter', key: objectKey('team-a', 'bad'), reason: 'InvalidSpec' },
      { kind: 'AdapterRuntime', key: 'edge/near', reason: 'ManyRemovals', message: 'annotate it' },
    ],
  });
});

it('says which replica leads where it does not', async () => {
  leader = 'op-1';
  expect(await get('fleet')).toMatchObject({ code: 'NOT_LEADER', message: expect.stringContaining('op-1') });
});
