import { expect, it } from 'vitest';
import { aPolicy, aRoute } from '../../plan/manifests.fixture.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { RouteWorld } from './world.fixture.ts';

const zone = (value: string) => ({ matchLabels: { zone: value } });

it('wants of 300 routes those whose namespace sees a runtime that comes, goes or moves', () => {
  const world = new RouteWorld();
  const { cluster, fleet, clock } = world;
  const place = (name: string, labels: Readonly<Record<string, string>>): void =>
    void cluster.apply(aRuntimeObject(runtimeKey(name), labels, aRuntimeStatus(true)));
  const pod = { ...aRuntimeStatus(true), kind: 'Pod' as const };
  place('north', { zone: 'north' });
  cluster.apply(aRuntimeObject(runtimeKey('team-c/pod'), {}, pod));
  fleet.report(runtimeKey('north'));
  fleet.report(runtimeKey('team-c/pod'), { kind: 'Pod' });
  cluster.apply(aPolicy('team-b', { runtimes: { nodes: zone('south') } }));
  for (const namespace of ['team-a', 'team-b', 'team-c'])
    for (let at = 0; at < 100; at++) cluster.apply(aRoute({ name: `r${at}`, namespace }));
  const wanted: string[] = [];
  const stop = world.controller.follow((key) => void wanted.push(key));
  const woken = () => {
    clock.advance(500);
    return Map.groupBy(wanted.splice(0), (key) => key.slice(0, key.indexOf('/')));
  };
  const countsOf = (happen: () => void) => {
    woken();
    happen();
    return Object.fromEntries([...woken()].map(([namespace, keys]) => [namespace, keys.length]));
  };
  const toNodes = { 'team-a': 100, 'team-c': 100 };
  for (const connected of [false, true])
    expect(countsOf(() => fleet.report(runtimeKey('north'), { connected }))).toEqual(toNodes);
  expect(countsOf(() => fleet.report(runtimeKey('team-c/pod'), { connected: false }))).toEqual({
    'team-c': 100,
  });
  // It was in the north, and is in the south.
  expect(countsOf(() => place('north', { zone: 'south' }))).toEqual({ ...toNodes, 'team-b': 100 });
  // Several that come and go together are one thing to look at.
  const flaps = (): void => {
    for (const connected of [false, true, false, true]) fleet.report(runtimeKey('north'), { connected });
  };
  expect(countsOf(flaps)).toEqual({ ...toNodes, 'team-b': 100 });
  stop();
  expect(countsOf(flaps)).toEqual({});
});
