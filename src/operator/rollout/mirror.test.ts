import { describe, expect, it } from 'vitest';
import { type CopyCounts, noCopyCounts } from '../../rollout/copies.ts';
import { digestOf, RolloutWorld } from './world.fixture.ts';

const counts = (change: Partial<CopyCounts>, percentage = 10) => ({
  mirror: { ...noCopyCounts, ...change, percentage },
});

/** v1 is stable on every runtime; v2 is the canary and gets copies of every tenth request. */
const mirroring = async (...runtimes: string[]): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...runtimes).adapter('v1').adapter('v2').adapter('v3');
  const steps = [{ setMirrorRoute: { percentage: 10 } }, { pause: {} }];
  world.spec({ adapter: 'v1', strategy: { canary: { steps, hashOn: 'User' } } }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};
const observed = async (world: RolloutWorld) => {
  await world.advance(20_000).run();
  await world.advance(20_000).run();
  return world.status.mirror;
};

describe('the status of a rollout that mirrors', () => {
  it('has what all runtimes report together, as an observation', async () => {
    const world = await mirroring('a', 'b', 'c');
    const { revision, weights } = world.status;
    expect(weights).toEqual({ canary: 0, stable: 100, mirror: 10 });
    world.sync(['a'], counts({ requests: 4, compared: 4, equal: 4, similarity: 4 }));
    world.sync(['b'], counts({ requests: 6, failed: 2, dropped: 1, compared: 4, equal: 0, similarity: 2 }));
    expect(await observed(world)).toEqual({
      requests: 10,
      failed: 2,
      dropped: 1,
      compared: 8,
      equal: 0.5,
      similarity: 0.75,
    });
    expect(world.status.revision).toBe(revision);
  });

  it('is not written at once, and not again while little is different', async () => {
    const world = await mirroring('a');
    await observed(world);
    const writes = () => world.cluster.writes.length;
    const before = writes();
    world.sync(['a'], counts({ requests: 1000, compared: 1000, equal: 1000, similarity: 1000 }));
    await world.run();
    expect(writes()).toBe(before);
    await observed(world);
    expect(writes()).toBe(before + 1);
    world.sync(['a'], counts({ requests: 1010, compared: 1010, equal: 1010, similarity: 1010 }));
    await observed(world);
    expect(writes()).toBe(before + 1);
  });

  it('leaves out what a runtime says of another canary or of an earlier attempt', async () => {
    const world = await mirroring('a', 'b');
    const { mirror } = counts({ requests: 4, failed: 4 });
    world.sync(['a'], { mirror, canaryDigest: digestOf('v3') });
    world.sync(['b'], { mirror, attempt: 0 });
    expect(await observed(world)).toBeUndefined();
  });

  it('counts a runtime as updated once it mirrors what the status says', async () => {
    const world = await mirroring('a', 'b');
    world.sync(['a'], counts({}));
    world.sync(['b'], counts({}, 5));
    await observed(world);
    expect(world.status.runtimes).toMatchObject({ desired: 2, updated: 1 });
    world.sync(['b'], counts({}));
    await observed(world);
    expect(world.status.runtimes).toMatchObject({ desired: 2, updated: 2 });
    world.ask('abort@1');
    await world.run();
    world.sync();
    await observed(world);
    expect(world.status).toMatchObject({ weights: { canary: 0, stable: 100 }, runtimes: { updated: 2 } });
  });
});
