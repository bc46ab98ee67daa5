import { expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { anAdapter, aPolicy, aRollout } from '../../plan/manifests.fixture.ts';
import { anAdapterState, aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { AdapterWorld } from './world.fixture.ts';

const zone = (value: string) => ({ runtimeSelector: { matchLabels: { zone: value } } });
const schedulable = (reason: string) => ({
  observedGeneration: 1,
  runtimes: { desired: 0, stored: 0, resident: 0, serving: 0, failed: 0 },
  failures: [],
  conditions: [
    {
      type: 'Schedulable',
      status: reason === 'NoRuntime' ? ('False' as const) : ('True' as const),
      reason,
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00.000Z',
    },
  ],
});

it('wants of a thousand Adapters the four that a runtime which comes or goes may concern', () => {
  const world = new AdapterWorld();
  const add = (
    name: string,
    spec: Parameters<typeof anAdapter>[1],
    { reason = 'Placeable', namespace = 'team-a' } = {},
  ) =>
    world.cluster.apply({
      ...anAdapter({ name, namespace }, { digest: fakeDigest('1'), ...spec }),
      status: schedulable(reason),
    });
  world.cluster.apply(aRuntimeObject(runtimeKey('a'), { zone: 'north' }, aRuntimeStatus(true)));
  world.fleet.report(runtimeKey('a'));
  const unseen = { namespace: 'team-b' };
  world.cluster.apply(aPolicy('team-b', { runtimes: { nodes: { matchLabels: { zone: 'south' } } } }));
  for (let n = 0; n < 332; n++) {
    add(`on-demand-${n}`, {});
    add(`other-${n}`, { preload: { tier: 'Memory' }, baseModel: 'other' });
    add(`unseen-${n}`, { preload: { tier: 'Disk' } }, unseen);
  }
  add('everywhere', { preload: { tier: 'Disk' } });
  // It says how many runtimes of the base model there are.
  add('south', { preload: { tier: 'Disk', ...zone('south') } });
  add('used', {});
  world.cluster.apply(aRollout({ name: 'of-used' }, { adapter: 'used' }));
  add('none', { preload: { tier: 'Disk' }, baseModel: 'absent' }, { reason: 'NoRuntime' });
  const wanted: string[] = [];
  const stop = world.controller.follow((key) => void wanted.push(key));
  expect(wanted.splice(0)).toHaveLength(1000);
  // What base models there are is looked at once.
  world.clock.advance(500);
  wanted.length = 0;
  const four = ['everywhere', 'none', 'south', 'used'].map((name) => `team-a/${name}`);
  const woken = () => {
    world.clock.advance(500);
    return wanted.splice(0).sort();
  };
  // Another one of the base model stays.
  world.join('b');
  woken();
  world.fleet.report(runtimeKey('a'), { connected: false });
  expect(woken()).toEqual(four);
  world.fleet.report(runtimeKey('a'), { connected: true });
  expect(woken()).toEqual(four);
  stop();
  world.fleet.report(runtimeKey('a'), { connected: false });
  expect(woken()).toEqual([]);
});

it('wants an Adapter once for all the runtimes that have it and go at once', () => {
  const world = new AdapterWorld();
  world.cluster.apply({
    ...anAdapter({ name: 'held', namespace: 'team-a' }, { digest: fakeDigest('1') }),
    status: schedulable('Placeable'),
  });
  const names = ['a', 'b', 'c', 'd'];
  world.join(...names, 'stays');
  world.cluster.apply({
    ...anAdapter({ name: 'used', namespace: 'team-a' }, { digest: fakeDigest('1') }),
    status: schedulable('Placeable'),
  });
  world.cluster.apply(aRollout({ name: 'of-used' }, { adapter: 'used' }));
  const state = anAdapterState('uid', fakeDigest('1'), 'Stored');
  const held = new Map(['held', 'used'].map((name) => [objectKey('team-a', name), state]));
  for (const name of names) world.fleet.report(runtimeKey(name), { adapters: held });
  const wanted: string[] = [];
  const stop = world.controller.follow((key) => void wanted.push(key));
  world.clock.advance(500);
  wanted.length = 0;
  for (const name of names) world.fleet.report(runtimeKey(name), { connected: false });
  world.clock.advance(500);
  expect(wanted.toSorted()).toEqual(['team-a/held', 'team-a/used']);
  stop();
});
