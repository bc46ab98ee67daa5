import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus } from '../../plan/manifests.fixture.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { RolloutWorld, sql, underWay } from './world.fixture.ts';

const follow = (world: RolloutWorld) => {
  const wanted: string[] = [];
  const stop = world.controller.follow((key, afterMs) => void wanted.push(`${key} ${afterMs}`));
  return { stop, take: () => wanted.splice(0) };
};
const soon = `${sql} 50`;

it('wants every rollout at the start, and those that a change touches, by how much it matters', async () => {
  const world = await underWay('a', 'b');
  const { take, stop } = follow(world);
  expect(take()).toEqual([`${sql} 0`]);
  world.sync(['a'], { weight: 5 });
  expect(take()).toEqual([soon]);
  // Counts decide nothing.
  world.served('a', 5, 5).served('a', 6, 6);
  expect(take()).toEqual([`${sql} 5000`, `${sql} 5000`]);
  world.hold('a', 'Guard');
  expect(take()).toEqual([soon]);
  world.state('v2', 'Fetching', ['a']);
  expect(take()).toEqual([soon]);
  world.state('unrelated', 'Fetching', ['a']);
  expect(take()).toEqual([]);
  world.adapter('v1');
  expect(take()).toEqual([`${sql} 0`]);
  world.leave('b');
  expect(take()).toEqual([]);
  world.clock.advance(200);
  expect(take()).toEqual([`${sql} 0`]);
  world.cluster.apply(aRuntimeObject(runtimeKey('a'), {}, aRuntimeStatus(false)));
  expect(take()).toEqual([]);
  world.cluster.apply(aRuntimeObject(runtimeKey('a'), { zone: 'north' }, aRuntimeStatus(true)));
  world.clock.advance(200);
  expect(take()).toEqual([`${sql} 0`]);
  world.cluster.apply(aRoute({ name: 'older', at: -5 }, { model: 'sql' }));
  expect(take()).toEqual([soon]);
  world.spec({ adapter: 'v3' });
  expect(take()).toEqual([`${sql} 0`]);
  stop();
  world.leave('a').spec({ adapter: 'v2' });
  expect(take()).toEqual([]);
});

it('does not want a rollout for an Adapter of the name in another namespace', async () => {
  const world = await underWay('a');
  world.cluster.apply(aRollout({ name: 'sql', namespace: 'other' }, { adapter: 'v2' }));
  const { take } = follow(world);
  take();
  world.adapter('v2');
  expect(take()).toEqual([`${objectKey('team-a', 'sql')} 0`]);
});

it('wants each rollout once when many runtimes come back at once', async () => {
  const world = await underWay('a');
  const { take } = follow(world);
  take();
  for (let n = 0; n < 50; n++) world.join(`n${n}`);
  world.clock.advance(200);
  expect(take()).toEqual([`${sql} 0`]);
});

it('wants of a thousand rollouts the three that a runtime which comes, goes or moves may concern', () => {
  const world = new RolloutWorld('a').adapter('v1');
  world.join('a', { zone: 'north' });
  world.cluster.apply(anAdapter({ name: 'v8' }, { baseModel: 'other' }));
  world.cluster.apply(aPolicy('team-b', { runtimes: { nodes: { matchLabels: { zone: 'south' } } } }));
  world.cluster.apply(anAdapter({ name: 'v1', namespace: 'team-b' }));
  const isPlaced = { type: 'Schedulable', status: 'True', reason: 'Placeable', message: '' } as const;
  const lastTransitionTime = '2026-01-01T00:00:00.000Z';
  const status = aStatus({ conditions: [{ ...isPlaced, lastTransitionTime }] });
  const zone = (value: string) => ({ runtimeSelector: { matchLabels: { zone: value } } });
  const others = [
    ['team-a', { adapter: 'v1', ...zone('south') }],
    ['team-a', { adapter: 'v8' }],
    ['team-b', { adapter: 'v1' }],
  ] as const;
  for (let n = 0; n < 997; n++) {
    const [namespace, spec] = others[n % others.length] ?? others[0];
    world.cluster.apply(aRollout({ name: `r${n}`, namespace }, spec, status));
  }
  const noneFits = { ...isPlaced, status: 'False', reason: 'NoRuntime', lastTransitionTime } as const;
  world.cluster.apply(aRollout({ name: 'all' }, { adapter: 'v1' }, status));
  world.cluster.apply(aRollout({ name: 'north' }, { adapter: 'v1', ...zone('north') }, status));
  // It says how many runtimes there are.
  const unplaced = aStatus({ conditions: [noneFits] });
  world.cluster.apply(aRollout({ name: 'west' }, { adapter: 'v1', ...zone('west') }, unplaced));
  const { take } = follow(world);
  expect(take()).toHaveLength(1000);
  const three = ['all', 'north', 'west'].map((name) => `team-a/${name} 0`);
  const woken = () => {
    world.clock.advance(200);
    return take();
  };
  world.leave('a');
  expect(woken()).toEqual(three);
  world.join('a', { zone: 'north' });
  expect(woken()).toEqual(three);
  // Where it was, and where it is.
  world.join('a', { zone: 'south' });
  expect(woken()).toHaveLength(3 + 333 + 332);
});

it('looks once at what a rollout selects, however many runtimes come at once', () => {
  const world = new RolloutWorld().adapter('v1');
  let looks = 0;
  const ownKeys = (labels: object) => {
    looks += 1;
    return Reflect.ownKeys(labels);
  };
  const status = aStatus({ conditions: [] });
  const north = { matchLabels: { zone: 'north' } };
  for (let n = 0; n < 100; n++)
    world.cluster.apply(aRollout({ name: `r${n}` }, { adapter: 'v1', runtimeSelector: north }, status));
  for (const { object } of world.cluster.rollouts.list())
    Object.assign(object?.spec.runtimeSelector ?? {}, {
      matchLabels: new Proxy(north.matchLabels, { ownKeys }),
    });
  const { take } = follow(world);
  take();
  for (let n = 0; n < 1000; n++) world.join(`n${n}`, { zone: 'south', host: `n${n}` });
  looks = 0;
  world.clock.advance(200);
  expect(take()).toEqual([]);
  expect(looks).toBeLessThanOrEqual(2 * 100);
  expect(looks).toBeGreaterThan(0);
});
