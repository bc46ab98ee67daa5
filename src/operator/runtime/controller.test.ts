import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { RolloutState, RuntimeState } from '../fleet/fleet.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeStatus,
  FakeFleet,
  runtimeKey,
} from '../testing/fake-fleet.ts';
import { FakeNodes } from '../testing/fake-nodes.ts';
import { RuntimeController } from './controller.ts';

const key = runtimeKey('a');
const start = ({ written = false } = {}) => {
  const cluster = new FakeCluster();
  const fleet = new FakeFleet();
  const clock = new FakeClock();
  const nodes = new FakeNodes();
  cluster.apply(aRuntimeObject(key, {}, written ? aRuntimeStatus(true) : undefined));
  const term = { epoch: 1, since: clock.monotonic(), fence: () => 1 };
  const { writer, recorder } = cluster;
  const controller = new RuntimeController({ clock, term, objects: cluster, fleet, nodes, writer, recorder });
  const run = () => controller.reconcile(key, new AbortController().signal);
  const status = () => cluster.runtimes.server.get(key)?.object?.status;
  return { cluster, fleet, nodes, clock, controller, run, status };
};

describe('the runtime controller', () => {
  it('writes what a runtime reports, and an event that it connected', async () => {
    const { fleet, run, status, cluster } = start();
    fleet.report(key);
    await run();
    expect(status()).toMatchObject({ version: '0.1.0' });
    expect(cluster.events.map(({ reason }) => reason)).toEqual(['Connected']);
  });

  it('leaves the status of a runtime alone that is not heard of yet, for thirty seconds', async () => {
    const { run, status, cluster, clock } = start({ written: true });
    expect(await run()).toEqual({ requeueAfterMs: 30_000 });
    expect(cluster.writes).toEqual([]);
    clock.advance(30_000);
    await run();
    expect(status()?.conditions[0]).toMatchObject({ type: 'Connected', status: 'False' });
    expect(cluster.events.map(({ reason }) => reason)).toEqual(['Disconnected']);
    await run();
    expect(cluster.writes).toHaveLength(1);
  });

  it('writes counts at most every ten seconds, and what matters soon', async () => {
    const { run, fleet, cluster, clock } = start();
    fleet.report(key);
    await run();
    for (let second = 1; second <= 9; second++) {
      clock.advance(1000);
      const name = objectKey('team-a', `v${second}`);
      const adapters = new Map(fleet.get(key)?.adapters).set(
        name,
        anAdapterState('u', fakeDigest('1'), 'Stored'),
      );
      fleet.report(key, { adapters });
      expect(await run()).toEqual({ requeueAfterMs: (10 - second) * 1000 });
    }
    expect(cluster.writes).toHaveLength(1);
    fleet.report(key, { ready: false, message: 'engine is down' });
    await run();
    expect(cluster.writes).toHaveLength(2);
    expect(cluster.events.at(-1)).toMatchObject({ reason: 'NotServing', note: 'engine is down' });
  });

  it('writes two a second of 200 runtimes that change all the time, and in the end the newest state of each', async () => {
    const { cluster, fleet, clock, controller } = start();
    const keys = Array.from({ length: 200 }, (_, i) => runtimeKey(`n${i}`));
    for (const one of keys) cluster.apply(aRuntimeObject(one, {}, aRuntimeStatus(true)));
    const dueAt = new Map<ObjectKey, number>();
    const change = (count: number): void => {
      const names = Array.from({ length: count }, (_, i) => objectKey('team-a', `v${i}`));
      const adapters = new Map(names.map((name) => [name, anAdapterState('u', fakeDigest('1'), 'Stored')]));
      for (const one of keys) {
        fleet.report(one, { adapters });
        dueAt.set(one, clock.monotonic());
      }
    };
    const pass = async (seconds: number): Promise<number> => {
      const before = cluster.writes.length;
      for (let second = 0; second < seconds; second++) {
        for (const [one, at] of dueAt) {
          if (at > clock.monotonic()) continue;
          const { requeueAfterMs = Infinity } = await controller.reconcile(one, new AbortController().signal);
          dueAt.set(one, clock.monotonic() + requeueAfterMs);
        }
        clock.advance(1000);
      }
      return cluster.writes.length - before;
    };
    change(1);
    // All of them connected: a hundred at once, then twenty a second.
    expect(await pass(20)).toBe(200);
    let writes = 0;
    for (let step = 2; step <= 61; step++) {
      change(step);
      writes += await pass(1);
    }
    expect(writes).toBeLessThanOrEqual(100 + 60 * 2 + 1);
    await pass(120);
    const known = [...cluster.runtimes.server.values()].map(({ object }) => object?.status?.adapters.known);
    expect(known.filter((count) => count === 61)).toHaveLength(200);
  });

  const v2 = objectKey('team-a', 'v2');
  const anV2 = (state: string) => new Map([[v2, anAdapterState('u2', fakeDigest('2'), state)]]);
  /** With a canary of the rollout team-a/sql. */
  const startWithCanary = () => {
    const world = start();
    const { cluster, clock, fleet, run, status } = world;
    const canary = { adapter: 'v2', uid: 'u2', digest: fakeDigest('2'), seed: '0', attempt: 1 };
    const rollout = aRollout({ name: 'sql' }, { adapter: 'v2' }, aStatus({ canary }));
    const sql = cluster.apply(rollout);
    /** Reports, and has what is written of it. */
    const report = async (said: Partial<RolloutState>, more: Partial<RuntimeState> = {}) => {
      const { length } = cluster.writes;
      const { uid } = rollout.metadata;
      const told = aRolloutState(uid, {
        canaryDigest: fakeDigest('2'),
        effectiveWeight: said.weight ?? 0,
        ...said,
      });
      fleet.report(key, { rollouts: new Map([[sql, told]]), ...more });
      clock.advance(10_000);
      await run();
      return { writes: cluster.writes.length - length, ...status()?.rollouts?.[0] };
    };
    fleet.report(key, { adapters: anV2('Resident') });
    return { ...world, report };
  };

  it('shows canaries under way by the names that rollouts have for them', async () => {
    const { report, status } = startWithCanary();
    await report({ effectiveWeight: 7 }, { adapters: anV2('Loaded') });
    expect(status()?.rollouts).toEqual([
      { rollout: 'team-a/sql', adapter: 'v2', state: 'Loaded', weight: 7 },
    ]);
    // Of a former rollout of that name.
    await report({ uid: 'former', effectiveWeight: 8 });
    expect(status()?.rollouts).toEqual([]);
  });

  it('shows the first of many canaries by their names, in that order', async () => {
    const { cluster, fleet, run, status } = start();
    const canary = { adapter: 'v2', uid: 'u2', digest: fakeDigest('2'), seed: '0', attempt: 1 };
    const names = Array.from({ length: 100 }, (_, at) => `r${199 - at}`);
    const rollouts = names.map((name) => {
      const rollout = aRollout({ name }, { adapter: 'v2' }, aStatus({ canary }));
      const report = aRolloutState(rollout.metadata.uid, { canaryDigest: fakeDigest('2') });
      return [cluster.apply(rollout), report] as const;
    });
    fleet.report(key, { rollouts: new Map(rollouts) });
    await run();
    expect(status()?.rollouts?.map(({ rollout }) => rollout)).toEqual(
      Array.from({ length: 64 }, (_, at) => `team-a/r${100 + at}`),
    );
  });

  it('writes no weight of a canary where the runtime follows the rollout, and each where it does not', async () => {
    const { report, cluster, status } = startWithCanary();
    expect(await report({ weight: 10 })).toMatchObject({ writes: 1, weight: 10, follows: true });
    for (let weight = 11; weight <= 60; weight++)
      expect(await report({ weight })).toMatchObject({ writes: 0 });
    expect(await report({ weight: 61, effectiveWeight: 0 })).toMatchObject({ writes: 1, weight: 0 });
    expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
    expect(await report({ weight: 62 })).toMatchObject({ writes: 1, weight: 62, follows: true });
    // What it refuses may be what says the weight.
    const refused = new Map([['Split team-a/sql', 'no']]);
    expect(await report({ weight: 62 }, { refused })).toMatchObject({ writes: 1 });
    expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
    expect(await report({ weight: 63 })).toMatchObject({ writes: 1, weight: 63 });
    expect(await report({ weight: 63 }, { refused: new Map() })).toMatchObject({ writes: 1, follows: true });
    for (const spec of [{ held: true }, { cordoned: true }]) {
      const object = cluster.runtimes.server.get(key)?.object;
      cluster.apply({ ...(object ?? expect.fail()), spec });
      expect(await report({ weight: 63 })).toMatchObject({ writes: 1, weight: 63 });
      expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
    }
  });

  it.each(['Remote', 'Stored', 'Failed'])(
    'says of no canary that is %s that it is followed',
    async (state) => {
      const { report, status } = startWithCanary();
      // At weight 0 each gets what its plan says.
      expect(await report({ weight: 0 }, { adapters: anV2(state) })).toMatchObject({ writes: 1, state });
      expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
      expect(await report({ weight: 0 }, { adapters: anV2('Resident') })).toMatchObject({ follows: true });
    },
  );

  it('says of no canary that is held that it is followed', async () => {
    const { report, status } = startWithCanary();
    const hold = { digest: fakeDigest('2'), cause: 'Guard', reason: 'errors', attempt: 1 } as const;
    expect(await report({ weight: 0, holds: [hold] })).toMatchObject({ writes: 1 });
    expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
  });

  it('writes each weight where the CRDs do not have that it follows, and nothing for a byte more', async () => {
    const { report, cluster, status } = startWithCanary();
    cluster.unknownFields.add('follows');
    const using = (usedBytes: number) => ({ memory: { budgetBytes: 1000, usedBytes } });
    expect(await report({ weight: 10 }, using(1))).toMatchObject({ writes: 1, weight: 10 });
    expect(status()?.rollouts?.[0]).not.toHaveProperty('follows');
    for (let usedBytes = 2; usedBytes < 9; usedBytes++)
      expect(await report({ weight: 10 }, using(usedBytes))).toMatchObject({ writes: 0 });
    expect(await report({ weight: 11 }, using(9))).toMatchObject({ writes: 1, weight: 11 });
  });

  it('wants a runtime for each thing that happens to it, and nothing after its end', () => {
    const { controller, fleet, cluster } = start();
    const wanted: string[] = [];
    const stop = controller.follow((which, afterMs) => void wanted.push(`${which} ${afterMs}`));
    fleet.report(key);
    fleet.report(key, { refused: new Map() });
    fleet.report(key, { message: '' });
    cluster.apply(aRuntimeObject(key, { zone: 'north' }));
    stop();
    fleet.report(key, { ready: false });
    expect(wanted).toEqual(['edge/a 0', 'edge/a 500', 'edge/a 200', 'edge/a 2000', 'edge/a 0']);
  });

  it('follows the cordon of its Node', async () => {
    const { fleet, run, status, nodes, controller, clock } = start();
    fleet.report(key);
    await run();
    const wanted: string[] = [];
    const stop = controller.follow((one) => wanted.push(one));
    wanted.length = 0;
    nodes.cordon('b');
    expect(wanted).toEqual([]);
    nodes.cordon('a');
    expect(wanted).toEqual([key]);
    stop();
    clock.advance(2000);
    await run();
    expect(status()?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Cordoned', status: 'True', reason: 'NodeCordoned' }),
    );
  });
});
