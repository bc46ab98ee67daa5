import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { HistoryView, Page, RuntimeRow, TimelineView } from '../../dashboard/views.ts';
import { aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { RuntimeStatus } from '../admin/views.ts';
import { FakeAdmin } from '../server/testing/fake-admin.ts';
import { type NodeDashboard, startNodeDashboard } from './start.ts';

let clock: FakeClock;
let status: RuntimeStatus;
let stack: AsyncDisposableStack;
let dashboard: NodeDashboard;
let base: string;

const sql = (canary: number): RuntimeStatus['rollouts'][number] => {
  const paused = {
    type: 'Paused',
    status: 'True',
    reason: 'AwaitingPromotion',
    message: 'promote it',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const;
  const object = aRollout(
    { name: 'sql' },
    { adapter: 'v2' },
    aStatus({
      phase: 'Paused',
      stable: bound('v1'),
      weights: { canary, stable: 100 - canary },
      conditions: [paused],
    }),
  );
  const [first] = new FakeAdmin().status().rollouts;
  if (first === undefined) throw new Error('the fake has no rollout');
  return { ...first, key: objectKey('team-a', 'sql'), held: '', object };
};

beforeEach(async () => {
  clock = new FakeClock();
  status = { ...new FakeAdmin().status(), rollouts: [sql(10)] };
  stack = new AsyncDisposableStack();
  const parts = { status: () => status, clock, logger: silentLog };
  dashboard = await startNodeDashboard({ ...parts, address: '127.0.0.1:0' }, stack);
  base = `http://127.0.0.1:${dashboard.port}`;
});
afterEach(() => stack.disposeAsync());

const get = async (path: string): Promise<unknown> => (await fetch(`${base}/api/${path}`)).json();

it('shows the node itself, its adapters and what waits for a person', async () => {
  const { items } = (await get('runtimes')) as Page<RuntimeRow>;
  expect(items).toMatchObject([{ baseModel: 'tiny', state: 'Ready', version: '0.1.0' }]);
  expect(await get('about')).toMatchObject({ kind: 'Node' });
  expect(await get('adapters')).toMatchObject({ total: 1 });
  const { items: waiting } = (await get('waiting')) as Page<{ reason: string; message: string }>;
  expect(waiting.map(({ reason }) => reason).toSorted()).toEqual([
    'AwaitingPromotion',
    'InvalidManifest',
    'ManyRemovals',
  ]);
});

it('remembers the weights of a rollout, and what happened on the node', async () => {
  status = { ...status, rollouts: [sql(50)], engine: 'down' };
  clock.advance(5_000);
  dashboard.transition({ key: 'team-a/v2', to: 'Failed', reason: 'the digest differs' });
  const history = (await get('history?name=team-a/sql')) as HistoryView;
  expect(history.samples.map(({ weight }) => weight)).toEqual([10, 50]);
  const { items } = (await get('runtimes')) as Page<RuntimeRow>;
  const timeline = (await get(`timeline?name=${items[0]?.key}`)) as TimelineView;
  expect(timeline.happenings.map(({ what }) => what)).toEqual([
    'team-a/v2: Failed',
    'Engine: down',
    'Plan taken',
    'Operator: connected',
    'Engine: ready',
  ]);
});

it('of a rollout that an operator decides about, shows what the node does with it', async () => {
  const { object: _, ...followed } = sql(10);
  status = {
    ...status,
    rollouts: [{ ...followed, weight: 20, effectiveWeight: 0, held: 'the guard tripped' }],
  };
  expect(await get('rollouts')).toMatchObject({ items: [{ weight: 0, message: 'the guard tripped' }] });
  expect(await get('rollouts?namespace=team-b')).toMatchObject({ total: 0 });
});

it.each(['evil.example', 'evil.example:80', '10.0.0.1', '127.0.0.1.evil.example'])(
  'shows nothing to a page that calls this machine %s',
  async (host) => {
    const asked = request(`${base}/api/rollouts`, { headers: { host } }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(403);
  },
);

it('listens on loopback alone', async () => {
  const parts = { status: () => status, clock, logger: silentLog };
  for (const address of ['0.0.0.0:0', ':0'])
    await expect(startNodeDashboard({ ...parts, address }, stack)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
});

it('begins anew with a rollout that was gone and came again by the same name', async () => {
  status = { ...status, rollouts: [] };
  clock.advance(5_000);
  status = { ...status, rollouts: [sql(50)] };
  clock.advance(5_000);
  const { samples } = (await get('history?name=team-a%2Fsql')) as HistoryView;
  expect(samples.map(({ weight }) => weight)).toEqual([50]);
});
