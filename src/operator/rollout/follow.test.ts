import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aRollout, aRoute } from '../../plan/manifests.fixture.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { type RolloutWorld, sql, underWay } from './world.fixture.ts';

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
  for (let n = 0; n < 50; n++) world.fleet.report(runtimeKey(`n${n}`));
  world.clock.advance(200);
  expect(take()).toEqual([`${sql} 0`]);
});
