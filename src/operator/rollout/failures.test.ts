import { describe, expect, it } from 'vitest';
import { conditionOf } from '../../api/condition.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, steps, underWay } from './world.fixture.ts';

const nodes = Array.from({ length: 10 }, (_, i) => `n${i}`);
const pods = Array.from({ length: 10 }, (_, i) => `team-a/p${i}`);
const refused = { reason: 'ADAPTER_SHAPE', message: 'q_proj', isFinal: true };

/** Lets what was observed be written. */
const observed = async (world: RolloutWorld): Promise<RolloutWorld> => {
  await world.settle();
  await world.advance(20_000).run();
  await world.advance(20_000).run();
  return world;
};
const wait = async (world: RolloutWorld, seconds: number): Promise<void> => {
  for (let second = 0; second < seconds; second += 10) await world.advance(10_000).run();
};
const aside = (world: RolloutWorld) => conditionOf(world.status.conditions, 'RuntimesSetAside');

describe.each([
  ['nodes', nodes],
  ['pods', pods],
])('one of ten runtimes that fails, of %s', (_, names) => {
  const [liar = ''] = names;
  const key = runtimeKey(liar);

  it('does not degrade a healthy canary by a false Failed', async () => {
    const world = await underWay(...names);
    await observed(world.state('v2', 'Failed', [liar], refused));
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await observed(world.ask('promote@1'));
    await observed(world.ask('promote@2'));
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    expect(world.status.abort).toBeUndefined();
  });

  it('does not degrade it by its guard, and is named in the status, a condition and one event', async () => {
    const world = await underWay(...names);
    await observed(world.hold(liar, 'Guard'));
    expect(world.status).toMatchObject({
      phase: 'Paused',
      runtimes: { desired: 10, held: 1, setAside: 1 },
      failures: [{ runtime: key, reason: 'GuardTripped', message: '5 consecutive errors' }],
    });
    expect(aside(world)?.message).toBe(
      `the rollout goes on without 1 of 10 runtimes, of which 1 may fail; failed: ${key} (GuardTripped: 5 consecutive errors)`,
    );
    expect(world.reasons.filter((reason) => reason === 'RuntimesSetAside')).toHaveLength(1);
    const { revision } = world.status;
    world.sync([liar], { holds: [] });
    await observed(world);
    expect(world.status.failures).toBeUndefined();
    expect(aside(world)).toBeUndefined();
    expect(world.status.revision).toBe(revision);
  });

  it('does not degrade what is stable', async () => {
    const world = await underWay(...names);
    await observed(world.ask('promote-full@1'));
    world.state('v2', 'Failed', [liar], refused);
    const hold = { digest: digestOf('v2'), cause: 'Guard', reason: 'errors', attempt: 1 } as const;
    world.sync([names[1] ?? ''], { holds: [hold] });
    await observed(world);
    expect(world.status).toMatchObject({
      phase: 'Healthy',
      failures: [
        { runtime: key, reason: 'Refused', message: 'ADAPTER_SHAPE: q_proj' },
        { reason: 'StableFails', message: 'errors' },
      ],
    });
  });

  it('does not hold up the first adapter', async () => {
    const world = new RolloutWorld(...names).adapter('v1').spec({ adapter: 'v1', ...steps(10) });
    await world.state('v1', 'Resident').state('v1', 'Failed', [liar], refused).settle();
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1' } });
  });

  it('does not write for each change of its mind', async () => {
    const world = await underWay(...names);
    await observed(world);
    const before = world.cluster.writes.length;
    for (let second = 0; second < 100; second += 1) {
      world.state('v2', second % 2 === 0 ? 'Failed' : 'Resident', [liar], refused);
      await world.advance(1000).run();
    }
    expect(world.cluster.writes.length - before).toBeLessThanOrEqual(15);
  });
});

describe('more failures than are allowed', () => {
  it('give the canary up: two of ten, and one of four', async () => {
    const two = await underWay(...nodes);
    await two.state('v2', 'Failed', ['n0'], refused).hold('n1', 'Guard').settle();
    expect(two.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    const small = await underWay('a', 'b', 'c', 'd');
    await small.state('v2', 'Failed', ['a'], refused).settle();
    expect(small.status.abort?.reason).toBe('ADAPTER_SHAPE: on edge/a: q_proj');
  });

  it.each([
    [{ count: 0 }, 1, true],
    [{ count: 3 }, 3, false],
    [{ percentage: '30%' }, 3, false],
    [{ percentage: '30%' }, 4, true],
  ])('are what the spec says: %o, %i failed', async (maxFailures, failed, aborted) => {
    const world = await underWay(...nodes);
    await world.spec({ adapter: 'v2', maxFailures }).settle();
    await world.state('v2', 'Failed', nodes.slice(0, failed), refused).settle();
    expect(world.status.abort !== undefined).toBe(aborted);
  });
});

describe('a runtime that never becomes ready', () => {
  const late = async (...names: string[]): Promise<RolloutWorld> => {
    const world = await underWay(...nodes);
    world.spec({ adapter: 'v3' }).state(
      'v3',
      'Resident',
      nodes.filter((name) => !names.includes(name)),
    );
    await world.state('v3', 'Fetching', names).settle();
    expect(world.status.message).toContain('waits until v3 is Resident');
    return world;
  };

  it('is gone on without after progressDeadline, and counts again when it comes', async () => {
    const world = await late('n0');
    await wait(world, 590);
    expect(world.status.phase).toBe('Progressing');
    await wait(world, 40);
    await observed(world);
    expect(world.status).toMatchObject({
      phase: 'Paused',
      weights: { canary: 10 },
      failures: [{ runtime: 'edge/n0', reason: 'NotReadyInTime', message: 'not ready for 10m: Fetching' }],
      runtimes: { desired: 10, ready: 9, setAside: 1 },
    });
    expect(world.reasons).not.toContain('ProgressDeadlineExceeded');
    await observed(world.state('v3', 'Resident'));
    expect(world.status.runtimes).toMatchObject({ desired: 10, ready: 10 });
    expect(world.status.failures).toBeUndefined();
  });

  it('cannot hold it up anew by coming and going', async () => {
    const world = await late('n0');
    for (let i = 0; i < 70; i += 1) {
      world.state('v3', i % 2 === 0 ? 'Resident' : 'Fetching', ['n0']);
      await wait(world, 20);
    }
    world.state('v3', 'Fetching', ['n0']);
    await wait(world, 10);
    expect(world.status.phase).toBe('Paused');
  });

  it('is still waited for where more of them are late than may fail', async () => {
    const world = await late('n0', 'n1');
    await wait(world, 700);
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    expect(world.status.abort).toBeUndefined();
    await world.state('v3', 'Resident', ['n1']).settle();
    expect(world.status.phase).toBe('Paused');
  });

  it('is not waited for anew by another leader', async () => {
    const world = await late('n0');
    await wait(world, 400);
    world.takeOver();
    await wait(world, 250);
    await observed(world);
    expect(world.status.phase).toBe('Paused');
    world.takeOver();
    await wait(world, 20);
    expect(world.status.phase).toBe('Paused');
  });

  it('has its time anew with another canary and with a retry', async () => {
    const world = await late('n0');
    await wait(world, 640);
    world.ask('abort@1');
    await world.settle();
    world.ask('retry@1');
    await world.settle();
    expect(world.status.phase).toBe('Progressing');
    await wait(world, 640);
    expect(world.status.phase).toBe('Paused');
  });
});

describe('a runtime that is not ready to serve', () => {
  it('is not waited for and not counted', async () => {
    const world = await underWay('a', 'b', 'c');
    world.spec({ adapter: 'v3' }).state('v3', 'Resident', ['a', 'b']);
    world.fleet.report(runtimeKey('c'), { ready: false });
    await observed(world);
    expect(world.status).toMatchObject({ phase: 'Paused', runtimes: { desired: 2, ready: 2, notReady: 1 } });
    world.fleet.report(runtimeKey('c'), { ready: true });
    await world.settle();
    expect(world.status.message).toContain('edge/c (does not know it yet)');
  });

  it('leaves nobody where there is no other', async () => {
    const world = await underWay('a');
    world.fleet.report(runtimeKey('a'), { ready: false });
    await world.spec({ adapter: 'v3' }).settle();
    expect(world.status.message).toContain('; 1 connected, but not ready to serve');
  });
});
