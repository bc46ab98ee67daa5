import { describe, expect, it } from 'vitest';
import { RolloutWorld } from './world.fixture.ts';

describe('the progress deadline', () => {
  const awaited = async (): Promise<RolloutWorld> => {
    const world = new RolloutWorld('a', 'b').adapter('v1').adapter('v2');
    await world.spec({ adapter: 'v1' }).state('v1', 'Resident').settle();
    await world.spec({ adapter: 'v2' }).state('v2', 'Fetching').settle();
    return world;
  };
  const wait = async (world: RolloutWorld, seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) await world.advance(1000).run();
  };

  it('degrades a rollout whose canary does not come, with one event, and writes the time seldom', async () => {
    const world = await awaited();
    const before = world.cluster.writes.length;
    await wait(world, 630);
    expect(world.status).toMatchObject({
      phase: 'Degraded',
      message: expect.stringMatching(/^no progress for 10m: waits until v2 is Resident/) as string,
      weights: { canary: 0 },
    });
    expect(world.reasons.filter((reason) => reason === 'ProgressDeadlineExceeded')).toHaveLength(1);
    expect(world.cluster.writes.length - before).toBeLessThan(30);
    world.state('v2', 'Resident');
    await world.settle();
    expect(world.status.phase).toBe('Paused');
  });

  it('is looked at again when a runtime that came behind it is late as well', async () => {
    const world = await awaited();
    await wait(world, 630);
    world.join('c');
    await world.settle();
    expect(world.status.failures?.map(({ runtime }) => runtime)).toEqual(['edge/a', 'edge/b']);
    // Nothing happens any more: it is looked at when it asked for that.
    for (let look = 0; look < 10; look++) {
      const { requeueAfterMs } = await world.run();
      if (requeueAfterMs === undefined) break;
      world.advance(requeueAfterMs);
    }
    expect(world.status.failures).toContainEqual(
      expect.objectContaining({ runtime: 'edge/c', reason: 'NotReadyInTime' }),
    );
  });

  it('waits without end for runtimes that are all offline', async () => {
    const world = await awaited();
    world.leave('a').leave('b');
    await wait(world, 60);
    const { progress } = world.status;
    await world.advance(24 * 3_600_000).run();
    expect(world.status).toMatchObject({ phase: 'Progressing', progress });
  });

  it.each([true, false])(
    'counts nothing of a day in which all were offline when one is back; gives up then: %s',
    async (progressDeadlineAbort) => {
      const world = await awaited();
      world.spec({ adapter: 'v2', progressDeadlineAbort });
      await world.settle();
      await wait(world, 300);
      world.leave('a').leave('b');
      await wait(world, 1);
      await world.advance(24 * 3_600_000).run();
      world.join('a').state('v2', 'Fetching', ['a']);
      await wait(world, 200);
      expect(world.status).toMatchObject({ phase: 'Progressing', canary: { adapter: 'v2' } });
      await wait(world, 130);
      expect(world.status.phase).toBe('Degraded');
      expect(world.status.abort !== undefined).toBe(progressDeadlineAbort);
    },
  );

  it('of one who came behind it is not over because another one leads', async () => {
    const world = await awaited();
    await wait(world, 630);
    world.join('c');
    await wait(world, 60);
    world.takeOver();
    await wait(world, 500);
    const names = () => world.status.failures?.map(({ runtime }) => runtime);
    expect(names()).toEqual(['edge/a', 'edge/b']);
    await wait(world, 130);
    expect(names()).toEqual(['edge/a', 'edge/b', 'edge/c']);
  });

  it('does not count while nobody leads', async () => {
    const world = await awaited();
    await wait(world, 300);
    world.advance(3_600_000).takeOver();
    await wait(world, 200);
    expect(world.status.phase).toBe('Progressing');
    await wait(world, 130);
    expect(world.status.phase).toBe('Degraded');
  });

  it('goes on without a runtime that has no canary yet where a preload asks for half of them', async () => {
    const world = new RolloutWorld('a', 'b').adapter('v1').adapter('v2');
    const half = { preload: { successThreshold: '50%' } };
    const strategy = { canary: { steps: [half, { setWeight: 10 }, { pause: {} }], hashOn: 'User' as const } };
    await world.spec({ adapter: 'v1', strategy }).state('v1', 'Resident').settle();
    world.spec({ adapter: 'v2' }).state('v2', 'Fetching');
    await world.settle();
    expect(world.status).toMatchObject({ phase: 'Progressing', step: { index: 0 } });
    await world.state('v2', 'Resident', ['a']).settle();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await world.ask('promote-full@1').settle();
    expect(world.status).toMatchObject({ stable: { adapter: 'v2' }, completionStatus: 'FastPromoted' });
  });
});
