import { expect, it } from 'vitest';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, uidOf } from './world.fixture.ts';

const nodes = ['a', 'b', 'c', 'd', 'e'];
const boundTo = (adapter: string) => ({ adapter, uid: uidOf(adapter), digest: digestOf(adapter) });
const refusal = () => new AdaptletError('KUBE_UNAVAILABLE', 'too many requests');
const underWay = aStatus({
  stable: boundTo('v1'),
  canary: { ...boundTo('v2'), seed: '00', attempt: 1 },
  weights: { stable: 90, canary: 10 },
});

/**
 * How often each of so many rollouts is written in so many seconds, in which runtimes come and go all the time. `refusedFor`: seconds
 * before that in which the API server takes no write.
 */
const writesOf = async (
  rollouts: number,
  seconds: number,
  refusedFor = 0,
): Promise<ReadonlyMap<ObjectKey, number>> => {
  const world = new RolloutWorld(...nodes).adapter('v1').adapter('v2');
  const keys = Array.from({ length: rollouts }, (_, at) => objectKey('team-a', `r${at}`));
  for (const key of keys)
    world.cluster.apply(aRollout({ name: key.slice(7) }, { adapter: 'v2', paused: true }, underWay));
  const writes = new Map(keys.map((key) => [key, 0]));
  const versionOf = (key: ObjectKey) => world.cluster.rollouts.server.get(key)?.resourceVersion;
  const look = async (): Promise<void> => {
    for (const key of keys) {
      const before = versionOf(key);
      const looked = world.controller.reconcile(key, new AbortController().signal);
      if (world.cluster.failures.length > 0) await looked.catch(() => undefined);
      else await looked;
      if (versionOf(key) !== before) writes.set(key, (writes.get(key) ?? 0) + 1);
    }
  };
  // What is decided is written at once.
  await look();
  expect([...writes.values()].every((count) => count === 1)).toBe(true);
  for (const key of keys) writes.set(key, 0);
  for (let second = -refusedFor; second < seconds; second++) {
    const refused = second < 0 ? 2 * rollouts : 0;
    world.cluster.failures.splice(0, Number.POSITIVE_INFINITY, ...Array.from({ length: refused }, refusal));
    const here = 1 + (Math.floor(second / 5) % nodes.length);
    for (const [at, name] of nodes.entries()) {
      const connected = at < here;
      if (world.fleet.get(runtimeKey(name))?.connected !== connected)
        world.fleet.report(runtimeKey(name), { connected, disconnectedAt: world.clock.now() });
    }
    world.advance(1000);
    await look();
  }
  return writes;
};

it('what is only observed of rollouts is written once a second in all, and of each in its turn', async () => {
  const writes = [...(await writesOf(40, 120)).values()];
  expect(writes.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(20 + 120);
  expect(Math.min(...writes)).toBeGreaterThanOrEqual(1);
});

it('what is observed while the API server takes no write is written once a second in all when it takes them again', async () => {
  const writes = [...(await writesOf(40, 120, 60)).values()];
  expect(writes.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(121);
  expect(Math.min(...writes)).toBeGreaterThanOrEqual(1);
});

it('what is observed of few rollouts is written every ten seconds', async () => {
  const writes = [...(await writesOf(8, 120)).values()];
  expect(Math.min(...writes)).toBeGreaterThanOrEqual(120 / 15);
});

it('what is observed while others write the same rollouts all the time is tried once a second in all', async () => {
  const world = new RolloutWorld(...nodes).adapter('v1').adapter('v2');
  const rollouts = Array.from({ length: 40 }, (_, at) =>
    aRollout({ name: `r${at}` }, { adapter: 'v2', paused: true }, underWay),
  );
  const keys = rollouts.map((rollout) => world.cluster.apply(rollout));
  const look = async (): Promise<void> => {
    for (const key of keys) await world.controller.reconcile(key, new AbortController().signal);
  };
  await look();
  world.fleet.report(runtimeKey('a'), { connected: false, disconnectedAt: world.clock.now() });
  let tried = 0;
  for (let second = 0; second < 60; second++) {
    for (const key of keys) {
      const object = world.cluster.rollouts.server.get(key)?.object;
      if (object !== undefined) world.cluster.apply(object);
    }
    const conflicts = keys.map(() => new AdaptletError('KUBE_CONFLICT', 'somebody was faster'));
    world.cluster.failures.splice(0, Number.POSITIVE_INFINITY, ...conflicts);
    world.advance(1000);
    await look();
    tried += conflicts.length - world.cluster.failures.length;
  }
  expect(tried).toBeGreaterThanOrEqual(40);
  expect(tried).toBeLessThanOrEqual(20 + 60);
});

it('turns that come while there is nothing to write are not kept for later', async () => {
  const world = new RolloutWorld(...nodes).adapter('v1').adapter('v2');
  const keys = Array.from({ length: 60 }, (_, at) =>
    world.cluster.apply(aRollout({ name: `r${at}` }, { adapter: 'v2', paused: true }, underWay)),
  );
  const pass = async (seconds: number): Promise<number> => {
    const { length } = world.cluster.writes;
    for (let second = 0; second < seconds; second++) {
      world.advance(1000);
      for (const key of keys) await world.controller.reconcile(key, new AbortController().signal);
    }
    return world.cluster.writes.length - length;
  };
  await pass(1);
  const [node = ''] = nodes;
  world.leave(node);
  // Twenty are written, the others have their turns in the next forty seconds, when nothing of them is other than is written.
  await pass(3);
  world.fleet.report(runtimeKey(node), { connected: true });
  await pass(90);
  world.leave(node);
  expect(await pass(5)).toBeLessThanOrEqual(20 + 5);
});
