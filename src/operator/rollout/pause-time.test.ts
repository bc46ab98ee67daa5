import { describe, expect, it, vi } from 'vitest';
import type { RolloutSpec } from '../../api/rollout.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { RolloutWorld } from './world.fixture.ts';

const pausing = (duration: string): Partial<RolloutSpec> => ({
  strategy: {
    canary: { steps: [{ setWeight: 10 }, { pause: { duration } }, { setWeight: 50 }], hashOn: 'User' },
  },
});

/** v1 is stable, v2 is loaded and asked for; nothing was decided about v2 yet. */
const about = async (duration: string): Promise<RolloutWorld> => {
  const world = new RolloutWorld('a').adapter('v1').adapter('v2');
  world.spec({ adapter: 'v1', ...pausing(duration) }).state('v1', 'Resident');
  await world.settle();
  return world.advance(3_600_000).spec({ adapter: 'v2' }).state('v2', 'Resident');
};

/** The next write is stored; then happens what the API server does not answer at once for. */
const nextWrite = ({ cluster }: RolloutWorld, then: () => void): void => {
  const { writer } = cluster;
  const write = writer.replaceStatus;
  vi.spyOn(writer, 'replaceStatus').mockImplementationOnce(async (...args) => {
    const changes = await write(...args);
    then();
    return changes;
  });
};
const isLost = (): void => {
  throw new AdaptletError('KUBE_UNAVAILABLE', 'the answer is lost');
};

describe('a pause', () => {
  it('begins when its status is written, however long the API server takes for it', async () => {
    const world = await about('10s');
    nextWrite(world, () => world.advance(8000));
    await world.run();
    await world.sync().advance(3000).run();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await world.advance(7000).run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('is not over because its status was written and the answer was lost', async () => {
    const world = await about('10m');
    nextWrite(world, isLost);
    await expect(world.run()).rejects.toThrow('the answer is lost');
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await world.sync().advance(1000).run();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await world.advance(599_000).run();
    await world.advance(1000).run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('does not count twice what was written of it while the answer was lost', async () => {
    const world = await about('100s');
    await world.settle();
    nextWrite(world, isLost);
    await expect(world.advance(40_000).run()).rejects.toThrow('the answer is lost');
    expect(world.status.step?.elapsedMs).toBe(40_000);
    await world.advance(55_000).run();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
  });

  it('goes on when somebody else was faster and nothing was written', async () => {
    const world = await about('100s');
    await world.settle();
    world.cluster.failures.push(new AdaptletError('KUBE_CONFLICT', 'somebody was faster'));
    await world.advance(40_000).run();
    expect(world.status.step?.elapsedMs).toBe(0);
    await world.advance(61_000).run();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });
});
