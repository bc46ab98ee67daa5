import { describe, expect, it } from 'vitest';
import { conditionOf } from '../../api/condition.ts';
import type { RolloutSpec } from '../../api/rollout.ts';
import { RolloutWorld, steps, underWay } from './world.fixture.ts';

const schedulable = (world: RolloutWorld) => conditionOf(world.status.conditions, 'Schedulable');

describe('a rollout with runtimes that are cordoned or held', () => {
  it('does not wait for them, counts them apart, and says what they serve', async () => {
    const world = new RolloutWorld('a', 'b', 'c').adapter('v1').adapter('v2');
    world.spec({ adapter: 'v1', ...steps(10) }).state('v1', 'Resident');
    await world.settle();
    world.restrain('b', { cordoned: true }).restrain('c', { held: true });
    world.spec({ adapter: 'v2' }).state('v2', 'Resident', ['a']);
    await world.settle();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    await world.advance(20_000).run();
    expect(world.status.runtimes).toMatchObject({ desired: 1, ready: 1, cordoned: 2 });
    expect(world.status.apart).toEqual([
      { runtime: 'edge/b', why: 'Cordoned', serves: 'v1' },
      { runtime: 'edge/c', why: 'Held', serves: 'v1' },
    ]);
    expect(schedulable(world)).toMatchObject({ status: 'True', reason: 'Placeable' });
  });

  it('goes on without one that is cordoned while it waits for it, and with it when it is released', async () => {
    const world = await underWay('a', 'b');
    world.spec({ adapter: 'v3' }).state('v3', 'Resident', ['a']);
    await world.settle();
    expect(world.status.message).toContain('waits until v3 is Resident');
    await world.restrain('b', { cordoned: true }).settle();
    expect(world.status).toMatchObject({ phase: 'Paused', canary: { adapter: 'v3' } });
    await world.restrain('b', {}).settle();
    expect(world.status.message).toContain('edge/b (does not know it yet)');
    await world.advance(20_000).run();
    expect(world.status.apart).toBeUndefined();
    expect(world.status.runtimes?.cordoned).toBeUndefined();
  });

  it('waits for a cordoned one that has the canary already', async () => {
    const world = await underWay('a', 'b');
    world.restrain('b', { cordoned: true }).state('v2', 'Loaded', ['b']);
    await world.settle();
    expect(world.status.message).toContain('not edge/b (Loaded)');
  });

  it('believes the guard of one that is held', async () => {
    const world = await underWay('a', 'b');
    await world.restrain('b', { held: true }).settle();
    await world.hold('b', 'Guard').settle();
    expect(world.status.abort?.reason).toContain('the guard tripped on edge/b');
  });

  it('waits while all of them are cordoned, and says so', async () => {
    const world = await underWay('a', 'b');
    world.restrain('a', { cordoned: true }).restrain('b', { cordoned: true });
    world.spec({ adapter: 'v3' });
    await world.settle();
    expect(world.status.phase).toBe('Progressing');
    expect(world.status.message).toContain('is connected and takes new adapters; 2 cordoned or held');
    expect(schedulable(world)).toMatchObject({ status: 'False', reason: 'Cordoned' });
  });
});

describe('groups with runtimes that are cordoned', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const grouped = async (count: number): Promise<RolloutWorld> => {
    const groups = [{ name: 'first', limit: { count }, progressDeadline: '1m' }] as RolloutSpec['groups'];
    const world = new RolloutWorld(...names).adapter('v1').adapter('v2');
    world.spec({ adapter: 'v1', ...steps(10), groups }).state('v1', 'Resident');
    await world.settle();
    return world;
  };

  it('leave them out', async () => {
    const world = await grouped(5);
    world.restrain('b', { cordoned: true });
    world.spec({ adapter: 'v2' }).state('v2', 'Resident', ['a', 'c', 'd', 'e']);
    await world.settle();
    await world.advance(20_000).run();
    expect(world.status.groups?.[0]).toMatchObject({
      phase: 'Progressing',
      runtimes: { desired: 4, ready: 4 },
    });
  });

  it.each<[string, string, boolean]>([
    ['do not blame the canary for a node that was drained', '2020-01-01T00:00:00.000Z', false],
    ['blame it for a node that was cordoned only after it went', '2100-01-01T00:00:00.000Z', true],
  ])('%s', async (_, since, isBlamed) => {
    const world = await grouped(1);
    world.spec({ adapter: 'v2' }).state('v2', 'Resident');
    await world.settle();
    const pilot = names.find((name) => world.weightOf(name) === 10) ?? '';
    world.leave(pilot).restrain(pilot, { cordoned: true }, since);
    await world.settle();
    await world.advance(120_000).settle();
    expect(world.status.abort !== undefined).toBe(isBlamed);
  });
});

describe('the condition Schedulable of a rollout', () => {
  it('says that no runtime has the labels, and that one has when it comes', async () => {
    const world = new RolloutWorld('a', 'b').adapter('v1');
    world.spec({ adapter: 'v1', runtimeSelector: { matchLabels: { site: 'x' } } });
    await world.settle();
    expect(schedulable(world)).toMatchObject({
      status: 'False',
      reason: 'NoRuntime',
      message:
        'no runtime has the base model tiny and the labels site=x (2 runtimes, 2 with this model, 0 of these with these labels)',
    });
    await world.advance(20_000).settle();
    const warnings = world.cluster.events.filter(({ reason }) => reason === 'NotSchedulable');
    expect(warnings).toEqual([
      expect.objectContaining({ type: 'Warning', note: schedulable(world)?.message }),
    ]);
    const { revision } = world.status;
    await world.join('c', { site: 'x' }).settle();
    expect(schedulable(world)).toMatchObject({ status: 'True', reason: 'Placeable' });
    expect(world.status.revision).toBe(revision);
  });

  it('is not known without the Adapter', async () => {
    const world = new RolloutWorld('a').spec({ adapter: 'v1' });
    await world.settle();
    expect(schedulable(world)).toMatchObject({ status: 'Unknown', reason: 'AdapterUnknown' });
  });

  it('says that canary and stable do not fit together, with the numbers that runtimes report', async () => {
    const world = await underWay('a');
    world.state('v1', 'Resident', ['a'], { neededBytes: 600 });
    world.state('v3', 'Compiled', ['a'], { neededBytes: 500, message: 'there is no room' });
    world.spec({ adapter: 'v3' });
    await world.settle();
    expect(schedulable(world)).toMatchObject({ status: 'False', reason: 'NoMemory' });
  });
});
