import { describe, expect, it } from 'vitest';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { inputOf } from '../plans/inputs.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { RolloutWorld, sql, steps } from './world.fixture.ts';

const names = ['a', 'b', 'c', 'd', 'e'];
const minute = 60_000;
type Groups = NonNullable<Parameters<RolloutWorld['spec']>[0]['groups']>;
const waves = (more: Partial<Groups[number]> = {}): Groups =>
  [1, 2].map((count, i) => ({ name: `wave-${i + 1}`, limit: { count }, ...more }) as Groups[number]);

/** v1 is stable everywhere, v2 comes in waves of one, two and the rest, and is Resident wherever it is wanted. */
const inWaves = async (more: Partial<Groups[number]> = {}): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...names).adapter('v1').adapter('v2').adapter('v3');
  world.spec({ adapter: 'v1', ...steps(10), groups: waves(more) }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};
const at = (world: RolloutWorld, weight: number): string[] =>
  names.filter((name) => world.weightOf(name) === weight);
const phases = (world: RolloutWorld) =>
  world.status.groups?.map(({ name, phase, weight }) => `${name} ${phase} ${weight}`);
const promote = async (world: RolloutWorld, id: string): Promise<void> => {
  await world.ask(`promote@${id}`).settle();
};

describe('a rollout in groups, over a fleet', () => {
  it('lets a pilot of one be judged by what it counts, and no single one of more', async () => {
    const { strategy } = rolloutSpecSchema.parse({
      adapter: 'v1',
      strategy: { canary: { steps: [{ setWeight: 50 }, { pause: {} }], analysis: {} } },
    });
    const bad = [
      { weight: 50, seq: 1, stable: evenArm(2000, 20).snapshot(), canary: evenArm(2000, 1000).snapshot() },
    ];
    const begun = async (groups: Groups): Promise<RolloutWorld> => {
      const world = new RolloutWorld(...names).adapter('v1').adapter('v2');
      world.spec({ adapter: 'v1', strategy, groups }).state('v1', 'Resident');
      await world.settle();
      world.spec({ adapter: 'v2' }).state('v2', 'Resident');
      await world.settle();
      const [one = ''] = at(world, 50);
      world.sync([one], { counts: bad });
      for (let look = 0; look < 3; look += 1) await world.advance(10_000).run();
      return world;
    };
    expect((await begun(waves())).status.abort?.reason).toContain('metric error-ratio');
    const all = [{ name: 'all', limit: { count: 5 } }] as Groups;
    expect((await begun(all)).status.abort).toBeUndefined();
  });

  it('goes from one runtime to two to all, with their counts', async () => {
    const world = await inWaves();
    expect([at(world, 10).length, at(world, 0).length]).toEqual([1, 4]);
    await world.advance(minute).run();
    await world.advance(minute).run();
    expect(world.status.groups?.[0]?.runtimes).toEqual({
      desired: 1,
      updated: 1,
      ready: 1,
      failed: 0,
      offline: 0,
    });
    expect(world.status.runtimes).toMatchObject({ desired: 5, updated: 5 });
    await promote(world, '1');
    expect([at(world, 100).length, at(world, 10).length, at(world, 0).length]).toEqual([1, 2, 2]);
    await promote(world, '2');
    expect([at(world, 100).length, at(world, 10).length]).toEqual([3, 2]);
    await promote(world, '3');
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    expect(world.reasons.filter((reason) => reason === 'GroupSucceeded')).toHaveLength(3);
  });

  it('waits until the runtimes of the group report the weight, not only that they have the adapter', async () => {
    const world = await inWaves();
    world.ask('promote@1');
    await world.run();
    await world.run();
    expect(phases(world)?.[0]).toBe('wave-1 Baking 100');
    world.sync();
    await world.run();
    expect(phases(world)?.[0]).toBe('wave-1 Succeeded 100');
  });

  it('counts a guard that tripped as a failure of its group, and tries it again after a retry of the group', async () => {
    const world = await inWaves({ errorAction: 'RollbackGroup' });
    const [pilot = ''] = at(world, 10);
    await world.hold(pilot, 'Guard').settle();
    expect(phases(world)).toEqual(['wave-1 RolledBack 0', 'wave-2 Pending 0', 'rest Pending 0']);
    expect(world.status.message).toContain(`edge/${pilot} (the guard tripped: 5 consecutive errors)`);
    expect(world.reasons).toContain('GroupRolledBack');
    await world.ask('retry@1').settle();
    expect(phases(world)?.[0]).toBe('wave-1 Progressing 10');
    expect(world.status.canary?.attempt).toBe(2);
  });

  it('leaves a runtime out that somebody holds by hand', async () => {
    const world = await inWaves();
    const [pilot = ''] = at(world, 10);
    await world.hold(pilot, 'BreakGlass').settle();
    expect(world.status.abort).toBeUndefined();
  });

  it('takes what a runtime says of the canary before for nothing about the next one', async () => {
    const world = await inWaves();
    const [pilot = ''] = at(world, 10);
    world.hold(pilot, 'Guard').spec({ adapter: 'v3' }).state('v3', 'Resident');
    await world.settle();
    expect(world.status).toMatchObject({ canary: { adapter: 'v3' }, weights: { canary: 10 } });
    expect(world.status.abort).toBeUndefined();
  });

  it('gives up a canary whose nodes do not come back, after the deadline, and tells who', async () => {
    const world = await inWaves();
    const [pilot = ''] = at(world, 10);
    world.leave(pilot);
    await world.run();
    expect(world.status.message).toContain(`not edge/${pilot} (went offline)`);
    await world.advance(10 * minute - 1).run();
    expect(world.status.abort).toBeUndefined();
    await world.advance(1).run();
    expect(world.status.abort?.reason).toContain(`edge/${pilot} (went offline and did not come back)`);
  });

  it('does so also under a leader that never saw them: their objects say when they went', async () => {
    const world = await inWaves();
    const [pilot = ''] = at(world, 10);
    const key = runtimeKey(pilot);
    const disconnectedAt = new Date(world.clock.now() + 1000).toISOString();
    world.fleet.forget(key);
    world.cluster.apply(aRuntimeObject(key, {}, { ...aRuntimeStatus(false), disconnectedAt }));
    world.takeOver();
    await world.run();
    expect(world.status.message).toContain(`not edge/${pilot} (went offline)`);
    await world.advance(10 * minute + 1000).run();
    expect(world.status.abort?.reason).toContain('went offline and did not come back');
  });

  it('decides nothing from runtimes that a new leader has not heard of yet', async () => {
    const world = await inWaves();
    for (const name of names) world.fleet.forget(runtimeKey(name));
    world.takeOver();
    const before = world.cluster.writes.length;
    await world.advance(20_000).run();
    expect(world.cluster.writes).toHaveLength(before);
  });

  it('takes counts of groups for observations: no revision, no new plan', async () => {
    const world = await inWaves({ limit: { count: 3 }, successThreshold: '50%' });
    const observed = async () => {
      await world.advance(minute).run();
      await world.advance(minute).run();
      const read = world.cluster.rollouts.server.get(sql);
      return { revision: world.status.revision, input: read && inputOf(read) };
    };
    const before = await observed();
    const [one = ''] = at(world, 10);
    world.state('v2', 'Loaded', [one]);
    expect(await observed()).toEqual(before);
    expect(world.status.groups?.[0]?.runtimes).toMatchObject({ desired: 3, ready: 2 });
  });
});
