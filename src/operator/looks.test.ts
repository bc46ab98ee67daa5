import { beforeAll, describe, expect, it } from 'vitest';
import { groupsSchema } from '../api/groups.ts';
import { objectKey } from '../api/names.ts';
import { noRevision } from '../control/revision.ts';
import { aRollout, aRoute } from '../plan/manifests.fixture.ts';
import { assignmentOf } from '../rollout/groups/assignment.ts';
import { holdersOf, placementAt, questionOf } from './adapter/observe.ts';
import { sizeOf } from './reconcile/runtime-sets.ts';
import { digestOf, RolloutWorld, steps, uidOf } from './rollout/world.fixture.ts';
import { RouteController } from './route/controller.ts';
import { anAdapterState, aRolloutState, runtimeKey } from './testing/fake-fleet.ts';

const size = 1000;
const count = 200;
/** In that time each rollout has its turn to be written. */
const turnsMs = count * 1000;
const nodes = Array.from({ length: size }, (_, at) => `n${at}`);
const rollouts = Array.from({ length: count }, (_, at) => objectKey('team-a', `r${at}`));
const adapter = objectKey('team-a', 'v1');
const second = objectKey('team-a', 'v2');

/** A thousand runtimes, two hundred rollouts at rest whose Adapter all of them have. */
let world: RolloutWorld;
/** How often somebody looked at what a runtime is or says. */
let looks = 0;

const reports = new Map(
  rollouts.map((key) => {
    const uid = `AdapterRollout-${key.replace('/', '-')}`;
    return [key, aRolloutState(uid, { stableDigest: digestOf('v1') })] as const;
  }),
);
const adapters = new Map([[adapter, anAdapterState(uidOf('v1'), digestOf('v1'), 'Resident')]]);

beforeAll(async () => {
  world = new RolloutWorld(...nodes).adapter('v1').adapter('v2');
  world.spec({ adapter: 'v1', ...steps(10, 50) });
  for (const name of nodes) world.fleet.report(runtimeKey(name), { adapters, rollouts: reports });
  for (const key of rollouts) world.cluster.apply(aRollout({ name: key.slice(7) }, { adapter: 'v1' }));
  // Bound, then at rest, and counted when it is their turn.
  for (let turn = 0; turn < 4; turn++) {
    await lookAtAll();
    world.advance(turnsMs);
  }
  const get = world.fleet.get.bind(world.fleet);
  world.fleet.get = (key) => {
    looks += 1;
    return get(key);
  };
});

const lookAtAll = async (): Promise<void> => {
  for (const key of rollouts) await world.controller.reconcile(key, new AbortController().signal);
};
const looksOf = async (what: () => unknown): Promise<number> => {
  const before = looks;
  await what();
  return looks - before;
};
const statusOf = (key = rollouts[0]) =>
  key === undefined ? undefined : world.cluster.rollouts.server.get(key)?.object?.status;

describe('what a look at counts costs', () => {
  it('is no look at any runtime, for two hundred rollouts at rest', async () => {
    expect(statusOf()).toMatchObject({
      phase: 'Healthy',
      runtimes: { desired: size, updated: size, ready: size },
    });
    expect(await looksOf(lookAtAll)).toBe(0);
  });

  it('is a look at the one runtime that comes or goes', async () => {
    // Two controllers follow the fleet; each asks once or twice for the runtime that an event is about.
    expect(await looksOf(() => world.leave('n7'))).toBeLessThanOrEqual(8);
    world.advance(turnsMs);
    expect(await looksOf(lookAtAll)).toBe(0);
    world.advance(2000);
    await lookAtAll();
    expect(statusOf()?.runtimes).toMatchObject({ desired: size - 1, ready: size - 1, offline: 1 });
    expect(
      await looksOf(() => world.fleet.report(runtimeKey('n7'), { connected: true })),
    ).toBeLessThanOrEqual(8);
  });

  it('is a look at each runtime that counted something of a canary since the last look', async () => {
    const [key] = rollouts;
    const object = key && world.cluster.rollouts.server.get(key)?.object;
    if (key === undefined || object?.status === undefined) throw new Error('it is not there');
    const canary = { adapter: 'v2', uid: uidOf('v2'), digest: digestOf('v2'), seed: '00', attempt: 1 };
    const status = { ...object.status, canary, weights: { stable: 90, canary: 10 } };
    world.cluster.apply({ ...object, spec: { ...object.spec, adapter: 'v2' }, status });
    const look = () => world.controller.reconcile(key, new AbortController().signal);
    // Nobody follows the canary yet.
    expect(await looksOf(look)).toBe(0);
    const follows = { canaryDigest: digestOf('v2'), attempt: 1, weight: 0, effectiveWeight: 0 };
    const report = (name: string, served = { stable: 9, canary: 1 }) => {
      const state = aRolloutState(object.metadata.uid, { stableDigest: digestOf('v1'), ...follows, served });
      world.fleet.report(runtimeKey(name), { rollouts: new Map([...reports, [key, state]]) });
    };
    for (const name of nodes) report(name);
    expect(await looksOf(look)).toBe(size);
    expect(await looksOf(look)).toBe(0);
    report('n3', { stable: 0, canary: 10_000 });
    expect(await looksOf(look)).toBe(1);
    const settled = async () => {
      world.advance(turnsMs);
      await look();
      return statusOf(key)?.weights;
    };
    expect(await settled()).toMatchObject({ canary: 0, observedCanary: 55 });
    // Another process says the same: it is asked all the same.
    world.leave('n4').fleet.report(runtimeKey('n4'), { connected: true, instance: 'another' });
    expect(await looksOf(look)).toBe(1);
    world.leave('n3');
    expect(await looksOf(look)).toBe(0);
    expect(await settled()).toMatchObject({ canary: 0, observedCanary: 10 });
    world.fleet.report(runtimeKey('n3'), { connected: true });
  });

  it('is a look at each runtime for a rollout in groups when a group begins, and at who says something after that', async () => {
    const key = rollouts[1] ?? expect.fail();
    const object = world.cluster.rollouts.server.get(key)?.object ?? expect.fail();
    const { uid } = object.metadata;
    const groups = groupsSchema.parse([{ name: 'pilot', limit: { percentage: '50%' } }]);
    const metadata = { ...object.metadata, generation: 2 };
    const spec = { ...object.spec, adapter: 'v2', groups };
    world.cluster.apply({ ...object, metadata, spec }, { generation: 2 });
    const look = () => world.controller.reconcile(key, new AbortController().signal);
    while (statusOf(key)?.groups?.[0]?.phase !== 'Progressing') await look();
    expect(await looksOf(look)).toBe(0);
    const pilots = nodes.filter((name) => {
      const status = statusOf(key) ?? expect.fail();
      return assignmentOf(status, uid, { key: runtimeKey(name), labels: {} }).isLoaded;
    });
    expect(pilots).toHaveLength(size / 2);
    const has = new Map([...adapters, [second, anAdapterState(uidOf('v2'), digestOf('v2'), 'Resident')]]);
    const { canary } = statusOf(key) ?? {};
    const follows = { canaryDigest: digestOf('v2'), attempt: canary?.attempt ?? 0 };
    const state = aRolloutState(uid, { stableDigest: digestOf('v1'), ...follows });
    for (const [at, name] of pilots.entries()) {
      world.fleet.report(runtimeKey(name), { adapters: has, rollouts: new Map([...reports, [key, state]]) });
      if (at === 100) expect(await looksOf(look)).toBe(at + 1);
      if (at === 101) expect(await looksOf(look)).toBe(1);
    }
    await look();
    world.advance(turnsMs);
    await look();
    expect(statusOf(key)?.groups?.[0]?.runtimes).toMatchObject({ desired: size / 2, ready: size / 2 });
  });

  it('is a look at those that went since the first group began, for a rollout in groups', async () => {
    const key = rollouts[2] ?? expect.fail();
    const object = world.cluster.rollouts.server.get(key)?.object ?? expect.fail();
    // They went long before, one after the other.
    for (const [at, name] of nodes.slice(0, 300).entries())
      world.fleet.report(runtimeKey(name), { connected: false, disconnectedAt: world.clock.now() - at });
    world.advance(1000);
    const groups = groupsSchema.parse([{ name: 'pilot', limit: { percentage: '50%' } }]);
    const metadata = { ...object.metadata, generation: 2 };
    world.cluster.apply(
      { ...object, metadata, spec: { ...object.spec, adapter: 'v2', groups } },
      { generation: 2 },
    );
    const look = () => world.controller.reconcile(key, new AbortController().signal);
    while (statusOf(key)?.groups?.[0]?.phase !== 'Progressing') await look();
    expect(statusOf(key)?.runtimes).toMatchObject({ desired: size - 300, offline: 300 });
    expect(await looksOf(look)).toBe(0);
    for (const name of nodes.slice(300, 303)) world.leave(name);
    expect(await looksOf(look)).toBe(3);
    world.advance(turnsMs);
    await look();
    expect(statusOf(key)?.runtimes).toMatchObject({ offline: 303 });
    for (const name of nodes.slice(0, 303)) world.fleet.report(runtimeKey(name), { connected: true });
    expect(await looksOf(look)).toBe(0);
  });

  it('is none for a route that a thousand runtimes answered', async () => {
    const key = objectKey('team-a', 'assistant');
    const controller = new RouteController(world.parts);
    world.cluster.apply(aRoute({ name: 'assistant' }));
    const look = async () => {
      world.advance(1000);
      await controller.reconcile(key, new AbortController().signal);
      return world.cluster.routes.server.get(key)?.object?.status?.runtimes;
    };
    expect(await looksOf(look)).toBe(0);
    const routes = BigInt(world.cluster.routes.server.get(key)?.resourceVersion ?? '0');
    for (const name of nodes)
      world.fleet.report(runtimeKey(name), { acknowledged: { ...noRevision, routes } });
    const before = looks;
    expect(await look()).toEqual({ desired: size, programmed: size });
    world.fleet.report(runtimeKey('n5'), { refused: new Map([[`Route ${key}`, 'too many rules']]) });
    expect(await look()).toEqual({ desired: size, programmed: size - 1 });
    // Who is told of the fleet asks for the runtime that refused; the routes ask for none.
    expect(looks - before).toBeLessThanOrEqual(8);
  });

  it('is none for an Adapter that a thousand runtimes have', async () => {
    const { presences } = world.parts;
    const object = world.cluster.adapters.get(adapter)?.object;
    if (object === undefined) throw new Error('it is not there');
    const looked = await looksOf(() => {
      const { groups } = presences.groups('team-a', questionOf(object, []));
      const holders = holdersOf(object, digestOf('v1'), [], groups, presences);
      expect(holders.map(({ runtimes, state }) => [runtimes.size, state?.state])).toEqual([
        [size, 'Resident'],
      ]);
      expect(placementAt(object, groups)).toMatchObject({ status: 'True' });
      // Of a rollout in groups half of them have the canary, and the others have it near.
      const inGroups =
        world.cluster.rollouts.server.get(rollouts[1] ?? expect.fail())?.object ?? expect.fail();
      const canary = world.cluster.adapters.get(second)?.object ?? expect.fail();
      const asked = presences.groups('team-a', questionOf(canary, [inGroups])).groups;
      const tiers = Map.groupBy(
        holdersOf(canary, digestOf('v2'), [inGroups], asked, presences),
        ({ tier }) => tier,
      );
      expect(Object.fromEntries([...tiers].map(([tier, all]) => [tier, sizeOf(all)]))).toEqual({
        Disk: size / 2,
        Memory: size / 2,
      });
    });
    expect(looked).toBe(0);
  });
});
