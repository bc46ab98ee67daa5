import { describe, expect, it } from 'vitest';
import { GroupWorld, minute } from './fleet.fixture.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const manual = [{ setWeight: 20 }, { pause: {} }];
/** One runtime, then two, then the rest. */
const world = (steps: typeof manual = manual) =>
  new GroupWorld(
    [
      { name: 'pilot', limit: { count: 1 } },
      { name: 'second', limit: { count: 2 } },
    ],
    steps,
  )
    .join(...names)
    .begin();

describe('runtimes that are offline', () => {
  it('do not matter when they were so before their group began, and get the newest adapter when they come back', () => {
    const fleet = world([]);
    for (const name of ['a', 'b'])
      Object.assign(fleet.node(name), { isConnected: false, awaySince: fleet.now - minute });
    fleet.settle();
    expect(fleet.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('get the state of their group when they come back in the middle', () => {
    const fleet = new GroupWorld([{ name: 'all' }], manual).join(...names);
    fleet.decide();
    fleet.leave('a').name('v2');
    fleet.now += minute;
    fleet.settle();
    expect(fleet.status?.groups?.[0]?.runtimes).toMatchObject({ desired: 5, ready: 5, offline: 1 });
    fleet.back('a').decide();
    expect(fleet.given('a')).toMatchObject({ isLoaded: true, weight: 20 });
    expect(fleet.settle().status?.groups?.[0]?.runtimes).toMatchObject({ desired: 6, ready: 6, offline: 0 });
  });

  it('hold their group up at once when they went after it began', () => {
    const fleet = world([]);
    fleet.decide();
    fleet.leave(...fleet.having());
    const { status, requeueAfterMs } = fleet.decide({ elapsedMs: minute });
    expect(status.message).toContain('0 of 1 runtimes of group pilot are ready; not');
    expect(requeueAfterMs).toBe(30_000);
    fleet.decide({ elapsedMs: 8 * minute });
    expect(fleet.phases).toEqual(['pilot Progressing 0', 'second Pending 0', 'rest Pending 0']);
  });

  it('stop an adapter that kills nodes in the first group', () => {
    const fleet = new GroupWorld([{ name: 'pilot', limit: { count: 2 } }], []).join(...names).begin();
    fleet.behave('Dies', ...names).settle();
    const dead = fleet.having();
    expect(dead).toHaveLength(2);
    fleet.decide({ elapsedMs: 10 * minute - 1 });
    expect(fleet.having()).toEqual(dead);
    const { status } = fleet.decide({ elapsedMs: 1 });
    expect(status.abort?.reason).toMatch(
      /2 of 2 runtimes of group pilot failed: . \(went offline and did not come back\)/,
    );
    expect(fleet.having()).toEqual([]);
    expect([...fleet.nodes.values()].filter(({ isConnected }) => isConnected)).toHaveLength(4);
  });

  it('are left out, not failed, where as many went that have nothing to do with the canary', () => {
    const fleet = new GroupWorld([{ name: 'half', limit: { count: 10 } }], []);
    fleet.join(...Array.from({ length: 40 }, (_, i) => `n${i}`)).begin();
    fleet.decide();
    const half = fleet.having();
    const others = [...fleet.nodes.keys()].filter((name) => !half.includes(name));
    fleet
      .follow()
      .leave(...half.slice(0, 3), ...others.slice(0, 12))
      .settle();
    expect(fleet.phases[0]).toBe('half Progressing 0');
    fleet.decide({ elapsedMs: 10 * minute });
    expect(fleet.settle().status?.abort).toBeUndefined();
    expect(fleet.status?.phase).toBe('Healthy');
  });

  it('are failures where the group lost more than the others', () => {
    const fleet = new GroupWorld([{ name: 'half', limit: { count: 10 } }], []);
    fleet.join(...Array.from({ length: 40 }, (_, i) => `n${i}`)).begin();
    fleet.decide();
    const half = fleet.having();
    const others = [...fleet.nodes.keys()].filter((name) => !half.includes(name));
    fleet
      .follow()
      .leave(...half.slice(0, 5), ...others.slice(0, 3))
      .settle();
    fleet.decide({ elapsedMs: 10 * minute });
    expect(fleet.status?.abort?.reason).toContain('5 of 10 runtimes of group half failed');
  });

  it('are no failure any more once their group has succeeded', () => {
    const fleet = world([]);
    fleet.decide();
    const pilot = fleet.having();
    fleet.behave('Slow', ...names.filter((name) => !pilot.includes(name))).settle();
    expect(fleet.phases[0]).toBe('pilot Succeeded 100');
    fleet.leave(...pilot).decide({ elapsedMs: 60 * minute });
    expect(fleet.status?.abort).toBeUndefined();
    expect(fleet.phases[0]).toBe('pilot Succeeded 100');
  });

  it('let a group wait that has nobody else, but the last', () => {
    const fleet = new GroupWorld([{ name: 'lab', selector: { matchLabels: { site: 'lab' } } }], []);
    fleet.join('a', 'b').joinWith({ site: 'lab' }, 'l').begin().leave('l');
    fleet.now += minute;
    fleet.settle();
    expect(fleet.status?.message).toBe('group lab: waits until one of its runtimes is connected');
    expect(fleet.decide({ elapsedMs: 1000 * minute }).status.phase).toBe('Progressing');
    fleet.back('l').settle();
    expect(fleet.status?.phase).toBe('Healthy');
  });

  it('are not waited for by a group of nobody', () => {
    const fleet = new GroupWorld([{ name: 'lab', selector: { matchLabels: { site: 'lab' } } }], []);
    expect(fleet.join('a', 'b').begin().settle().status?.phase).toBe('Healthy');
  });
});

describe('a runtime that joins', () => {
  it('gets the state of the group that reaches it, and moves nobody', () => {
    const fleet = world().settle();
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    const before = new Map(names.map((name) => [name, fleet.given(name)]));
    fleet.join(...Array.from({ length: 50 }, (_, i) => `new-${i}`)).settle();
    for (const [name, given] of before) expect(fleet.given(name)).toEqual(given);
    const weights = new Set([...fleet.nodes.keys()].map((name) => fleet.given(name).weight));
    expect(weights).toEqual(new Set([0, 20, 100]));
  });
});
