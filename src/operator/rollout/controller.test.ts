import { describe, expect, it } from 'vitest';
import { kstatusOf } from '../../api/kstatus.fixture.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { anAdapter, aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { RolloutWorld, sql, steps, underWay } from './world.fixture.ts';

const statusWrites = (world: RolloutWorld): number => world.cluster.writes.length;

describe('the rollout controller', () => {
  it('makes the first adapter stable once every runtime has it', async () => {
    const world = new RolloutWorld('a', 'b').adapter('v1').spec({ adapter: 'v1' });
    await world.run();
    expect(world.status).toMatchObject({ phase: 'Progressing', leaderEpoch: 1 });
    await world.state('v1', 'Resident').run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1' } });
    await world.sync().advance(10_000).run();
    await world.advance(1000).run();
    expect(world.status.runtimes).toEqual({
      desired: 2,
      updated: 2,
      ready: 2,
      failed: 0,
      held: 0,
      offline: 0,
    });
  });

  it('says of its own status that nobody follows it yet', async () => {
    const world = await underWay('a', 'b');
    expect(world.status).toMatchObject({
      weights: { canary: 10 },
      runtimes: { desired: 2, updated: 0, ready: 2 },
    });
  });

  it('gives the canary up when the guard trips on one node, in one write', async () => {
    const world = (await underWay('a', 'b', 'c')).hold('b', 'Guard');
    const before = statusWrites(world);
    await world.run();
    expect(statusWrites(world)).toBe(before + 1);
    expect(world.status).toMatchObject({
      phase: 'Degraded',
      weights: { canary: 0, stable: 100 },
      abort: { reason: 'the guard tripped on edge/b: 5 consecutive errors' },
    });
    expect(world.cluster.events.at(-1)).toMatchObject({ type: 'Warning', reason: 'Aborted' });
  });

  it('goes on when somebody rolled back on one node by hand', async () => {
    const world = (await underWay('a', 'b')).hold('b', 'BreakGlass');
    await world.ask('promote@1').run();
    expect(world.status).toMatchObject({ weights: { canary: 50 }, phase: 'Paused' });
  });

  it('tries a canary that is bound again although a node that was away still holds the attempt before', async () => {
    const world = (await underWay('a', 'b')).sync().hold('b', 'Guard');
    await world.run();
    await world.spec({ adapter: 'v1' }).run();
    await world.sync(['a']).spec({ adapter: 'v2' }).run();
    await world.sync(['a']).run();
    expect(world.status).toMatchObject({
      phase: 'Paused',
      canary: { adapter: 'v2', attempt: 2 },
      weights: { canary: 10 },
      runtimes: { held: 0 },
    });
    await world.sync().hold('b', 'Guard').run();
    expect(world.status).toMatchObject({ phase: 'Degraded', attempts: 2, weights: { canary: 0 } });
  });

  it('retries although the runtimes still report the failure of the attempt before', async () => {
    const world = (await underWay('a', 'b')).state('v2', 'Failed', ['b'], {
      isFinal: true,
      reason: 'ADAPTER_SHAPE',
    });
    world.hold('a', 'Guard');
    await world.run();
    await world.sync().ask('retry@1').run();
    expect(world.status).toMatchObject({
      phase: 'Progressing',
      canary: { attempt: 2 },
      lastHandledRequest: 'retry@1',
    });
    expect(world.status.abort).toBeUndefined();
    await world.state('v2', 'Resident').sync().run();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
  });

  it('gives up again when the next attempt fails as well', async () => {
    const world = (await underWay('a', 'b')).hold('a', 'Guard');
    await world.run();
    await world.sync().ask('retry@1').run();
    await world.sync().run();
    await world.hold('a', 'Guard').run();
    expect(world.status).toMatchObject({ phase: 'Degraded', canary: { attempt: 2 }, weights: { canary: 0 } });
  });

  it('answers a request that cannot be read by one event and nothing else', async () => {
    const world = await underWay('a');
    const { writes } = world.cluster;
    const before = writes.length;
    await world.ask('promote').run();
    await world.run();
    expect(world.cluster.events.at(-1)).toMatchObject({
      reason: 'RequestRefused',
      note: expect.stringMatching(/write <verb>@<id>/),
    });
    expect(world.reasons.filter((reason) => reason === 'RequestRefused')).toHaveLength(1);
    expect(writes).toHaveLength(before);
  });

  it('does not decide about a rollout that cannot be read, and says so once', async () => {
    const world = await underWay('a');
    const before = statusWrites(world);
    const rollout = aRollout({ name: 'sql' }, { adapter: 'v3' });
    world.cluster.apply(rollout, {}, [{ path: ['status'], reason: 'unknown field status.future' }]);
    await world.run();
    await world.run();
    expect(statusWrites(world)).toBe(before);
    expect(world.reasons.filter((reason) => reason === 'InvalidSpec')).toHaveLength(1);
  });

  it('is not accepted while an older object has its name', async () => {
    const world = new RolloutWorld('a').adapter('v1').state('v1', 'Resident');
    world.cluster.apply(aRoute({ name: 'other', at: -10 }, { model: 'sql' }));
    await world.spec({ adapter: 'v1' }).run();
    await world.advance(20_000).run();
    expect(world.status.conditions.find(({ type }) => type === 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'NameConflict',
    });
    expect(world.status.stable).toBeUndefined();
    expect(kstatusOf(1, world.status)).toBe('Failed');
    expect(world.reasons.filter((reason) => reason === 'NameConflict')).toHaveLength(1);
    world.cluster.remove(
      'AdapterRoute',
      world.cluster.apply(aRoute({ name: 'other', at: -10 }, { model: 'sql' })),
    );
    await world.run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1' } });
    expect(kstatusOf(1, world.status)).toBe('Current');
  });

  it('leaves a rollout that is being deleted alone', async () => {
    const world = await underWay('a');
    const before = statusWrites(world);
    const object = world.cluster.rollouts.get(sql)?.object;
    if (object !== undefined) world.cluster.apply(object, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await world.hold('a', 'Guard').run();
    expect(statusWrites(world)).toBe(before);
  });
});

describe('the finalizer of an Adapter', () => {
  it('is waited for before the Adapter is bound', async () => {
    const world = new RolloutWorld('a')
      .adapter('v1', { kept: false })
      .state('v1', 'Resident')
      .spec({ adapter: 'v1' });
    expect(await world.run()).toEqual({ requeueAfterMs: 1000 });
    expect(statusWrites(world)).toBe(0);
    await world.advance(2000).run();
    expect(world.status).toMatchObject({
      phase: 'Progressing',
      message: expect.stringMatching(/NotProtected/),
    });
    await world.adapter('v1').run();
    expect(world.status).toMatchObject({ stable: { adapter: 'v1' } });
  });

  it('cannot come to an Adapter that is being deleted: it is not bound', async () => {
    const world = new RolloutWorld('a')
      .adapter('v1', { kept: false })
      .state('v1', 'Resident')
      .spec({ adapter: 'v1' });
    world.cluster.apply(anAdapter({ name: 'v1' }), { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await world.run();
    expect(world.status).toMatchObject({ message: expect.stringMatching(/Deleting/) });
    expect(world.status.stable).toBeUndefined();
  });
});

describe('writes', () => {
  it('are not made when nothing changed, nor by another leader', async () => {
    const world = await underWay('a');
    world.sync().advance(20_000);
    await world.run();
    await world.advance(2000).run();
    const before = statusWrites(world);
    await world.run();
    world.takeOver();
    await world.run();
    expect(statusWrites(world)).toBe(before);
  });

  it('carry observations at most every ten seconds', async () => {
    const world = await underWay('a');
    const times: number[] = [];
    for (let second = 0; second < 60; second++) {
      const before = statusWrites(world);
      await world
        .served('a', 100 - second, second)
        .advance(1000)
        .run();
      if (statusWrites(world) > before) times.push(second);
    }
    expect(times.length).toBeGreaterThan(3);
    expect(times.slice(1).every((time, index) => time - (times[index] ?? 0) >= 10)).toBe(true);
  });

  it('bring decisions at once, also right after an observation', async () => {
    const world = (await underWay('a')).served('a', 50, 50);
    await world.advance(10_000).run();
    await world.advance(1000).run();
    expect(world.status.weights.observedCanary).toBe(50);
    await world.ask('promote@1').run();
    expect(world.status.weights).toEqual({ canary: 50, stable: 50 });
  });

  it('that lose against another writer are decided anew once the cache has moved on, with one event', async () => {
    const world = await underWay('a');
    const events = world.reasons.length;
    const { rollouts } = world.cluster;
    world.hold('a', 'Guard');
    rollouts.lags = true;
    world.ask('noise@1');
    expect(await world.run()).toEqual({ requeueAfterMs: 1000 });
    expect(await world.run()).toEqual({ requeueAfterMs: 1000 });
    expect(world.reasons).toHaveLength(events);
    rollouts.catchUp();
    await world.run();
    expect(world.reasons.slice(events).filter((reason) => reason === 'Aborted')).toHaveLength(1);
    expect(world.status.weights.canary).toBe(0);
  });

  it('are not repeated from a cache that does not show them yet', async () => {
    const world = (await underWay('a')).hold('a', 'Guard');
    world.cluster.rollouts.lags = true;
    const before = statusWrites(world);
    await world.run();
    await world.run();
    await world.advance(3000).run();
    expect(statusWrites(world)).toBe(before + 1);
    expect(world.reasons.filter((reason) => reason === 'Aborted')).toHaveLength(1);
  });

  it('that fail are thrown, leave no event and are made again', async () => {
    const world = (await underWay('a')).hold('a', 'Guard');
    world.cluster.failures.push(new AdaptletError('KUBE_UNAVAILABLE', 'no answer'));
    await expect(world.run()).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' });
    expect(world.reasons).not.toContain('Aborted');
    await world.run();
    expect(world.reasons.filter((reason) => reason === 'Aborted')).toHaveLength(1);
  });

  it('are not made once the lease is lost', async () => {
    const world = (await underWay('a')).hold('a', 'Guard');
    const before = statusWrites(world);
    world.loseLease();
    await expect(world.run()).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(statusWrites(world)).toBe(before);
    expect(world.reasons).not.toContain('Aborted');
  });

  it('to an object that is gone are forgotten', async () => {
    const world = (await underWay('a')).hold('a', 'Guard');
    world.cluster.rollouts.server.delete(sql);
    expect(await world.run()).toEqual({});
    expect(world.reasons).not.toContain('Aborted');
  });
});

describe('the time of a pause', () => {
  const timed = {
    strategy: {
      canary: { steps: [{ setWeight: 10 }, { pause: { duration: '2m' } }], hashOn: 'User' as const },
    },
  };
  const paused = async (): Promise<RolloutWorld> => {
    const world = new RolloutWorld('a')
      .adapter('v1')
      .adapter('v2')
      .spec({ adapter: 'v1', ...timed });
    await world.state('v1', 'Resident').settle();
    world.spec({ adapter: 'v2' }).state('v2', 'Resident');
    await world.settle();
    await world.advance(10_000).run();
    await world.advance(1000).run();
    return world;
  };

  it('is written every thirty seconds, and ends the pause', async () => {
    const world = await paused();
    const before = statusWrites(world);
    for (let second = 0; second < 70; second++) await world.advance(1000).run();
    expect(statusWrites(world) - before).toBe(2);
    expect(world.status.step?.elapsedMs).toBeGreaterThan(60_000);
    for (let second = 0; second < 50; second++) await world.advance(1000).run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('does not count while nobody leads', async () => {
    const world = await paused();
    for (let second = 0; second < 31; second++) await world.advance(1000).run();
    const { step } = world.status;
    world.advance(3_600_000).takeOver();
    await world.run();
    expect(world.status.step).toEqual(step);
    await world.advance(30_000).run();
    expect(world.status.step?.elapsedMs).toBe((step?.elapsedMs ?? 0) + 30_000);
  });
});

describe('a new leader', () => {
  it('decides nothing from the silence of runtimes that were connected', async () => {
    const world = await underWay('a', 'b', 'c');
    world.cluster.rollouts.server.get(sql);
    const before = statusWrites(world);
    for (const name of ['b', 'c']) world.fleet.forget(runtimeKey(name));
    world.takeOver();
    await world.advance(20_000).run();
    expect(statusWrites(world)).toBe(before);
    await world.advance(11_000).run();
    await world.advance(11_000).run();
    expect(world.status.runtimes).toMatchObject({ desired: 1, offline: 2 });
  });

  it('does not take the first runtime that reports for all of them', async () => {
    const world = new RolloutWorld('a', 'b').adapter('v1').spec({ adapter: 'v1' });
    world.state('v1', 'Resident', ['a']);
    world.fleet.forget(runtimeKey('b'));
    world.takeOver();
    await world.run();
    expect(world.status.stable).toBeUndefined();
  });

  it('gives a canary up at once when a guard tripped, whoever is silent', async () => {
    const world = (await underWay('a', 'b')).hold('a', 'Guard');
    world.fleet.forget(runtimeKey('b'));
    world.takeOver();
    await world.run();
    expect(world.status).toMatchObject({ weights: { canary: 0 }, leaderEpoch: 2 });
  });
});

it('is in step with steps of any length', async () => {
  const world = new RolloutWorld('a')
    .adapter('v1')
    .spec({ adapter: 'v1', ...steps() })
    .state('v1', 'Resident');
  await world.settle();
  await world.adapter('v2').spec({ adapter: 'v2' }).state('v2', 'Resident').settle();
  expect(world.status).toMatchObject({
    phase: 'Healthy',
    stable: { adapter: 'v2' },
    history: [{ adapter: 'v1' }],
  });
});
